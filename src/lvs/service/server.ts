// SPDX-License-Identifier: Apache-2.0
// A real server of one virtual service, as the director keeps it. Its identity stays one object for as long as
// connections refer to it, also after it was taken out of the service, so that they find it again when it comes back.

import { type AddressWords, addressWords } from '../../packet/address.ts';
import type { ServerKey, ServerOptions, ServerSnapshot } from '../model.ts';
import { newCounters, Traffic } from './traffic.ts';

export class Server {
  /** Row in the director's list of servers; connection records hold it. */
  readonly index: number;
  readonly key: ServerKey;
  readonly words: AddressWords;
  readonly port: number;
  options: ServerOptions;
  /** In its service now; packets of connections to a server that is not are dropped. */
  available = true;
  /** At its upper threshold; schedulers pass it by. */
  overloaded = false;
  active = 0;
  inactive = 0;
  /** Indexed by CONNECTIONS … OUT_BYTES of traffic.ts; written per packet. */
  readonly counters: Float64Array = newCounters();
  readonly traffic: Traffic = new Traffic();

  constructor(index: number, key: ServerKey, options: ServerOptions) {
    this.index = index;
    this.key = key;
    this.words = addressWords(key.address);
    this.port = key.port;
    this.options = options;
  }

  /** Connections that refer to this server. */
  get references(): number {
    return this.active + this.inactive;
  }

  get weight(): number {
    return this.options.weight;
  }

  snapshot(): ServerSnapshot {
    return {
      ...this.key,
      ...this.options,
      activeConnections: this.active,
      inactiveConnections: this.inactive,
      persistentConnections: 0,
      counters: this.traffic.shown(this.counters),
      rates: this.traffic.rates(),
    };
  }
}

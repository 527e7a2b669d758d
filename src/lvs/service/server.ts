// SPDX-License-Identifier: Apache-2.0
// A real server of one virtual service, as the director keeps it. Its identity stays one object for as long as
// connections refer to it and two minutes more, also after it was taken out of the service, so that they find it again
// when it comes back.

import { type AddressWords, addressFamily, addressWords, type Family } from '../../packet/address.ts';
import { TICKS_PER_SECOND } from '../connection/layout.ts';
import { Tunnel } from '../forward/tunnel.ts';
import type { Path } from '../host-addresses.ts';
import type { DrainSnapshot, ServerKey, ServerOptions, ServerSnapshot } from '../model.ts';
import { ResponseTime } from './response-time.ts';
import type { Service } from './service.ts';
import { newCounters, Traffic } from './traffic.ts';

/** What a server is told when its drain begins, and what of it was done. */
export interface Drain {
  /** Tick from which on connections that are left are reset; undefined for never. */
  readonly deadline: number | undefined;
  /** How often its connections were looked at for that. */
  sweeps: number;
  /** Tick of the next look. */
  sweepAt: number;
}

export class Server {
  /** Row in the director's list of servers, from 1; connection records hold it. */
  readonly index: number;
  readonly key: ServerKey;
  readonly words: AddressWords;
  /** Of its own address, which with a tunnel may be another than its service's. */
  readonly family: Family;
  /** 0: connections keep their destination port. */
  readonly port: number;
  /** The service that it is in, or was in last. */
  service: Service;
  options: ServerOptions;
  /** What schedulers go by: the configured weight, or less while the server starts slowly. */
  weight: number;
  /** The last weight other than 0; 0 when there was none. */
  lastWeight: number;
  /** In its service now; packets of connections to a server that is not are dropped. */
  available = true;
  /** At its upper threshold; schedulers pass it by. */
  overloaded = false;
  /** Connections in an active state. */
  active = 0;
  /** All connections, templates not among them. */
  total = 0;
  /** Persistence templates. */
  persistent = 0;
  /** Places in schedulers' tables that hold it: what lblc and lblcr remember of destinations, tables of mh. */
  remembered = 0;
  /** From SYN to SYN-ACK; only measured for `lrt`. */
  readonly response: ResponseTime = new ResponseTime();
  /** Present while it is drained and takes no new connections at all, also not those of its persistent clients. */
  drain: Drain | undefined = undefined;
  /** Past the deadline of its drain: its connections are reset. */
  isResetting = false;
  /** The data plane's own: how packets get to it. */
  egress = 0;
  /** How packets are tunnelled to it, if they are. */
  tunnel: Tunnel;
  /** What the director found of the way to it when the machine's `changes` was {@link pathAt}. */
  path: Path | undefined = undefined;
  pathAt = -1;
  /** Path MTU that routers told of, and the tick until which it holds; 0 for none. */
  toldMtu = 0;
  toldUntil = 0;
  /** Indexed by CONNECTIONS … OUT_BYTES of traffic.ts; written per packet. */
  readonly counters: Float64Array = newCounters();
  readonly traffic: Traffic = new Traffic();

  constructor(index: number, service: Service, key: ServerKey, options: ServerOptions) {
    this.index = index;
    this.service = service;
    this.key = key;
    this.words = addressWords(key.address);
    this.family = addressFamily(key.address);
    this.tunnel = new Tunnel(options.tunnel ?? { type: 'ipip' });
    this.port = key.port;
    this.options = options;
    this.weight = options.weight;
    this.lastWeight = options.weight;
  }

  /** Connections, templates and schedulers' tables that refer to this server. */
  get references(): number {
    return this.total + this.persistent + this.remembered;
  }

  /** Takes new options, with what follows from them; `isAdded` when it is put into a service (__ip_vs_update_dest). */
  configure(options: ServerOptions, isAdded: boolean): void {
    const { weight, upperThreshold, lowerThreshold } = options;
    const thresholdsChange =
      upperThreshold !== this.options.upperThreshold || lowerThreshold !== this.options.lowerThreshold;
    this.options = options;
    this.tunnel = new Tunnel(options.tunnel ?? { type: 'ipip' });
    this.weight = weight;
    if (isAdded || weight !== 0) {
      this.drain = undefined;
      this.isResetting = false;
    }
    if (isAdded || weight !== 0) this.lastWeight = weight;
    if (thresholdsChange) this.#weigh(upperThreshold, this.#lowerMark());
  }

  /** Counts one connection more; `isActive` when it starts in an active state. */
  bind(isActive: boolean): void {
    if (isActive) this.active++;
    this.total++;
    if (this.total === this.options.upperThreshold) this.#weigh(this.#lowerMark(), this.#lowerMark());
  }

  /** Counts one connection less. */
  unbind(isActive: boolean): void {
    if (isActive) this.active--;
    const before = this.total--;
    if (before === this.#lowerMark()) this.#weigh(this.options.upperThreshold, this.options.upperThreshold);
  }

  /** Three quarters of the upper threshold unless there is a lower one. */
  #lowerMark(): number {
    const { upperThreshold, lowerThreshold } = this.options;
    return lowerThreshold !== 0 ? lowerThreshold : upperThreshold - (upperThreshold >>> 2);
  }

  /** Overloaded from `set` connections on, not any more below `clear`, as before in between. */
  #weigh(set: number, clear: number): void {
    const before = this.overloaded;
    if (this.options.upperThreshold === 0) this.overloaded = false;
    else if (this.total >= set) this.overloaded = true;
    else if (this.total < clear) this.overloaded = false;
    if (this.overloaded !== before) this.service.overloadChanges++;
  }

  /** @param now - current tick. */
  snapshot(now: number): ServerSnapshot {
    const isMeasured = this.service.isTimed && this.response.value > 0;
    return {
      ...this.key,
      ...this.options,
      ...(this.weight !== this.options.weight && { effectiveWeight: this.weight }),
      ...(isMeasured && { responseTimeUs: Math.round(this.response.value) }),
      ...(this.drain !== undefined && { drain: drainSnapshot(this.drain, now) }),
      activeConnections: this.active,
      inactiveConnections: Math.max(this.total - this.active, 0),
      persistentConnections: this.persistent,
      counters: this.traffic.shown(this.counters),
      rates: this.traffic.rates(),
    };
  }
}

function drainSnapshot({ deadline }: Drain, now: number): DrainSnapshot {
  if (deadline === undefined) return {};
  return { secondsLeft: Math.max(0, Math.ceil(((deadline - now) | 0) / TICKS_PER_SECOND)) };
}

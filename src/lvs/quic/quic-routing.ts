// SPDX-License-Identifier: Apache-2.0
// QUIC in one service: the server that a client's connection ID names, among the service's servers. Made when the service
// is tuned, told of its servers, asked by admission for packets that belong to no connection.

import type { Headers } from '../../packet/parse.ts';
import { UDP_HLEN } from '../../packet/udp.ts';
import { LvsError, type QuicTuning } from '../model.ts';
import type { Server } from '../service/server.ts';
import { formatServerKey, parseServerKey } from '../service-key.ts';
import { type ConnectionIdEncoding, ConnectionIdReader, QUIC_FOUND, ServerId } from './connection-id.ts';
import { dpvsServerIds, katranServerId, QuicServers, quicLbServerId } from './quic-servers.ts';

const LEAST_NONCE = 4;
const MAX_KATRAN_ID = 0xffffffff;

export class QuicRouting {
  readonly #reader: ConnectionIdReader;
  readonly #encoding: QuicTuning['encoding'];
  /** Configured ids by the server's name. */
  readonly #configured: ReadonlyMap<string, Uint8Array>;
  #known = new QuicServers();
  #servers: Server[] = [];
  readonly #id = new ServerId();

  /** Throws LvsError EINVAL. */
  constructor(tuning: QuicTuning) {
    if (!Object.hasOwn(WANTED, tuning.encoding))
      throw new LvsError('EINVAL', 'QUIC needs an encoding of connection IDs');
    this.#encoding = tuning.encoding;
    this.#configured = readIds(tuning);
    this.#reader = new ConnectionIdReader(encodingOf(tuning, this.#configured));
  }

  /** The service's servers are these from now on. */
  learn(servers: readonly Server[]): void {
    this.#servers = [...servers];
    this.#known = new QuicServers();
    for (const [index, server] of this.#servers.entries()) {
      for (const id of this.#idsOf(server)) this.#known.add(id, index);
    }
  }

  // hot path
  /** The server that the datagram in `headers` names, if it names one. */
  find(view: DataView, headers: Headers): Server | undefined {
    const payload = headers.transport + UDP_HLEN;
    if (this.#reader.read(view, payload, headers.end, this.#id) !== QUIC_FOUND) return undefined;
    const index = this.#known.find(this.#id);
    return index === -1 ? undefined : this.#servers[index];
  }

  #idsOf(server: Server): readonly Uint8Array[] {
    if (this.#encoding === 'dpvs') return dpvsServerIds(server.family, server.words, server.port);
    const id = this.#configured.get(formatServerKey(server.key));
    return id === undefined ? [] : [id];
  }
}

/** Throws LvsError for a tuning that makes no sense. */
export function checkQuic(tuning: QuicTuning): void {
  new QuicRouting(tuning);
}

function readIds({ encoding, ids = {} }: QuicTuning): Map<string, Uint8Array> {
  const read = new Map<string, Uint8Array>();
  const owners = new Map<string, string>();
  for (const [name, text] of Object.entries(ids)) {
    const key = parseServerKey(name);
    if (key === undefined) throw new LvsError('EINVAL', `QUIC id of '${name}': that is no server, ADDRESS:PORT`);
    const id = encoding === 'quic-lb' ? quicLbServerId(text) : encoding === 'katran' ? readKatran(text) : undefined;
    if (id === undefined) throw new LvsError('EINVAL', `QUIC id '${text}' of ${name}: ${WANTED[encoding]}`);
    const server = formatServerKey(key);
    const owner = owners.get(id.join());
    if (owner !== undefined) throw new LvsError('EINVAL', `QUIC id '${text}' is that of ${owner} and of ${server}`);
    owners.set(id.join(), server);
    read.set(server, id);
  }
  return read;
}

const WANTED: Readonly<Record<QuicTuning['encoding'], string>> = {
  'quic-lb': 'hexadecimal digits of 1 … 15 bytes are needed',
  katran: 'a number, 0 … 4294967295, is needed',
  dpvs: 'ids of DPVS follow from the addresses of the servers, none can be given',
};

function readKatran(text: string): Uint8Array | undefined {
  if (!/^\d{1,10}$/.test(text) || Number(text) > MAX_KATRAN_ID) return undefined;
  return katranServerId(Number(text));
}

function encodingOf(tuning: QuicTuning, ids: ReadonlyMap<string, Uint8Array>): ConnectionIdEncoding {
  const { encoding: kind, configId = 0, nonceLength = LEAST_NONCE } = tuning;
  if (kind !== 'quic-lb') return { kind };
  const lengths = new Set([...ids.values()].map(({ length }) => length));
  const serverIdLength = tuning.serverIdLength ?? [...lengths][0];
  if (serverIdLength === undefined)
    throw new LvsError('EINVAL', 'QUIC-LB needs the length of its server ids, or an id');
  if (lengths.size > 1 || (lengths.size === 1 && !lengths.has(serverIdLength))) {
    throw new LvsError('EINVAL', `QUIC ids of ${[...lengths].join(' and ')} bytes where all have ${serverIdLength}`);
  }
  try {
    new ConnectionIdReader({ kind, configs: [{ configId, serverIdLength, nonceLength }], hasLength: false });
  } catch (error) {
    if (error instanceof RangeError) throw new LvsError('EINVAL', error.message);
    throw error;
  }
  return { kind, configs: [{ configId, serverIdLength, nonceLength }], hasLength: false };
}

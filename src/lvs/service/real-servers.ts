// SPDX-License-Identifier: Apache-2.0
// Real servers by their own address, whatever service they are in (rs_table of ip_vs_ctl.c): with NAT by their port, for
// packets of theirs that belong to no connection; with tunnels by the tunnel's port, for errors about tunnelled packets.
// Where several services have the same one, the one that came last is found.

import type { Server } from './server.ts';

export class RealServers {
  /** Newest first. */
  readonly #byEnd = new Map<number, Server[]>();
  readonly #tunnels = new Map<number, Server[]>();
  /** Servers with tunnels. */
  tunnels = 0;

  add(server: Server): void {
    const { method } = server.options;
    if (method === 'nat') put(this.#byEnd, keyOf(server.words, server.port), server);
    else if (method === 'tun' && put(this.#tunnels, keyOf(server.words, server.tunnel.port), server)) this.tunnels++;
  }

  remove(server: Server): void {
    take(this.#byEnd, keyOf(server.words, server.port), server);
    if (take(this.#tunnels, keyOf(server.words, server.tunnel.port), server)) this.tunnels--;
  }

  /** The server of exactly this address and port in a service of the protocol, or of a mark (ip_vs_find_real_service). */
  find(family: number, protocol: number, words: ArrayLike<number>, port: number): Server | undefined {
    const servers = this.#byEnd.get(keyOf(words, port));
    if (servers === undefined) return undefined;
    for (let i = 0; i < servers.length; i++) {
      const server = servers[i];
      const { service } = server;
      if (server.port !== port || service.family !== family) continue;
      if ((service.mark !== 0 || service.protocol === protocol) && isSame(server.words, words)) return server;
    }
    return undefined;
  }

  /** Whether `other` is the same machine as `server`, reached by a tunnel of the same kind, for another service or this one. */
  static sharesTunnel(server: Server, other: Server): boolean {
    return (
      other.family === server.family && other.tunnel.port === server.tunnel.port && isSame(other.words, server.words)
    );
  }

  /** Those among whom are all that {@link sharesTunnel} finds. */
  tunnelsNear(server: Server): readonly Server[] {
    return this.#tunnels.get(keyOf(server.words, server.tunnel.port)) ?? NONE;
  }

  /** The server that packets are tunnelled to at this address; `port` is GUE's, else 0 (ip_vs_find_tunnel). */
  findTunnel(family: number, words: ArrayLike<number>, port: number): Server | undefined {
    return this.#tunnels
      .get(keyOf(words, port))
      ?.find((server) => server.family === family && server.tunnel.port === port && isSame(server.words, words));
  }
}

const NONE: readonly Server[] = [];

/** False when it was there already. */
function put(map: Map<number, Server[]>, key: number, server: Server): boolean {
  const servers = map.get(key);
  if (servers === undefined) map.set(key, [server]);
  else if (servers.includes(server)) return false;
  else servers.unshift(server);
  return true;
}

/** False when it was not there. */
function take(map: Map<number, Server[]>, key: number, server: Server): boolean {
  const servers = map.get(key);
  if (servers === undefined || !servers.includes(server)) return false;
  const others = servers.filter((other) => other !== server);
  if (others.length === 0) map.delete(key);
  else map.set(key, others);
  return true;
}

/** No more than a hash: what differs is told apart. */
function keyOf(words: ArrayLike<number>, port: number): number {
  return (words[0] ^ words[1] ^ words[2] ^ words[3] ^ (port << 16)) | 0;
}

function isSame(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}

// SPDX-License-Identifier: Apache-2.0
// Real servers with NAT by their own address and port, whatever service they are in: for packets of theirs that belong to no
// connection (rs_table of ip_vs_ctl.c). Where several services have the same one, the one that came last is found.

import type { Server } from './server.ts';

export class RealServers {
  /** Newest first. */
  readonly #byEnd = new Map<number, Server[]>();

  add(server: Server): void {
    if (server.options.method !== 'nat') return;
    const key = keyOf(server.words, server.port);
    const servers = this.#byEnd.get(key);
    if (servers === undefined) this.#byEnd.set(key, [server]);
    else if (!servers.includes(server)) servers.unshift(server);
  }

  remove(server: Server): void {
    const key = keyOf(server.words, server.port);
    const servers = this.#byEnd.get(key)?.filter((other) => other !== server) ?? [];
    if (servers.length === 0) this.#byEnd.delete(key);
    else this.#byEnd.set(key, servers);
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
}

/** No more than a hash: what differs is told apart. */
function keyOf(words: ArrayLike<number>, port: number): number {
  return (words[0] ^ words[1] ^ words[2] ^ words[3] ^ (port << 16)) | 0;
}

function isSame(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}

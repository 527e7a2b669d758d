// SPDX-License-Identifier: Apache-2.0
// How loaded servers are, as the kernel's schedulers see it: shared by those that look for the least loaded.
// hot path

import type { Server } from '../service/server.ts';

/** Largest product that a double holds exactly. */
export const EXACT: number = Number.MAX_SAFE_INTEGER;

/** Connections of a server with active ones counted 257-fold (ip_vs_dest_conn_overhead). */
export function overhead(server: Server): number {
  return 256 * server.active + server.total;
}

/** Whether a × b > c × d, exactly, for a, c below 2^37 and b, d below 2^31: ratios are compared crosswise, never divided. */
export function exceeds(a: number, b: number, c: number, d: number): boolean {
  const left = a * b;
  const right = c * d;
  if (left <= EXACT && right <= EXACT) return left > right;
  // In two parts of which each is exact: the factor's upper and lower 16 bits.
  const leftLow = a * (b & 0xffff);
  const rightLow = c * (d & 0xffff);
  const leftHigh = a * (b >>> 16) + Math.floor(leftLow / 0x10000);
  const rightHigh = c * (d >>> 16) + Math.floor(rightLow / 0x10000);
  return leftHigh > rightHigh || (leftHigh === rightHigh && leftLow % 0x10000 > rightLow % 0x10000);
}

/** The server with the least overhead for its weight, the first of equals; undefined when none may take a connection. */
export function leastLoaded(servers: readonly Server[]): Server | undefined {
  let least: Server | undefined;
  // So that at first nobody but a server of weight 0 is passed by.
  let load = 1;
  let leastWeight = 0;
  for (let i = 0; i < servers.length; i++) {
    const server = servers[i];
    const { weight } = server;
    const own = overhead(server);
    // Most are passed by here, which takes few of their fields.
    const product = own * leastWeight;
    if ((load * weight <= product && product <= EXACT) || server.overloaded || !server.available) continue;
    if (!exceeds(load, weight, own, leastWeight)) continue;
    least = server;
    load = own;
    leastWeight = weight;
  }
  return least;
}

/** Whether a server has more active connections than weight while another has not even half (lblc, lblcr). */
export function isOverburdened(server: Server, servers: readonly Server[]): boolean {
  if (server.active <= server.weight) return false;
  for (let i = 0; i < servers.length; i++) if (servers[i].active * 2 < servers[i].weight) return true;
  return false;
}

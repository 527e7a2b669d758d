// SPDX-License-Identifier: Apache-2.0
// How a client's packet leaves for the server of its connection, by the connection's forwarding method: NAT, direct routing,
// tunnel, or into the machine itself; and what its sender hears when it cannot (ip_vs_xmit.c). Asked by the director and
// for ICMP errors about connections.
// hot path: request

import { IPV4_DF, IPV4_DST, IPV4_FRAGMENT } from '../../packet/ipv4.ts';
import { IPV6_DST } from '../../packet/ipv6.ts';
import type { Headers } from '../../packet/parse.ts';
import type { Connections } from '../connection/connections.ts';
import {
  CLIENT,
  CLIENT_6,
  CONN_F_FULLNAT,
  DESTINATION_6,
  DESTINATION as DESTINATION_WORD,
  FLAGS,
  IP_VS_CONN_F_BYPASS,
  IP_VS_CONN_F_FWD_MASK,
  IP_VS_CONN_F_MASQ,
  IP_VS_CONN_F_TUNNEL,
  PORTS_REPLY,
  RECORD_SHIFT,
} from '../connection/layout.ts';
import type { FrameMemory } from '../frame-memory.ts';
import { FULLNAT_DROP, type Fullnat } from '../fullnat/fullnat.ts';
import { type HostAddresses, PATH_LOCAL, PATH_NONE, PATH_OUT, type Path } from '../host-addresses.ts';
import { HOST_UNREACHABLE, type IcmpAnswers, TIME_EXCEEDED, TOO_BIG } from '../icmp-answers.ts';
import type { Server } from '../service/server.ts';
import type { Sysctls } from '../sysctl.ts';
import {
  ANSWER,
  DROP_LOCAL_BYPASS,
  DROP_LOOPBACK,
  DROP_MTU,
  DROP_NO_ROUTE,
  DROP_PROXY,
  DROP_TTL,
  FORWARD,
  LOCAL,
} from '../verdict.ts';
import type { Departure } from './departure.ts';
import { hopsOf, passHop } from './hops.ts';
import { DESTINATION, rewriteIpv4, rewriteIpv6 } from './nat.ts';
import { encapsulate, tunnelOverhead } from './tunnel.ts';

/** Least MTU that a tunnel may leave (RFC 791, RFC 8200 §5). */
const MIN_MTU = 68;
const MIN_MTU_6 = 1280;

/** Without a machine to ask, everything is somewhere outside and fits. */
const ANYWHERE: Path = { kind: PATH_OUT, mtu: 0xffff, source: undefined };
const HERE: Path = { kind: PATH_LOCAL, mtu: 0, source: undefined };
const NOWHERE: Path = { kind: PATH_NONE, mtu: 0, source: undefined };

export interface ForwarderParts {
  readonly connections: Connections;
  readonly sysctls: Sysctls;
  readonly host: HostAddresses | undefined;
  readonly answers: IcmpAnswers;
  readonly departure: Departure;
  readonly fullnat: Fullnat;
  /** Where identifications of tunnels' packets begin. */
  readonly id: number;
}

export class Forwarder {
  readonly #connections: Connections;
  readonly #sysctls: Sysctls;
  readonly #host: HostAddresses | undefined;
  readonly #answers: IcmpAnswers;
  readonly #departure: Departure;
  readonly #fullnat: Fullnat;
  readonly #words = new Int32Array(4);
  #id: number;
  /** The machine's `changes` and `leastMtu` when they were last looked at. */
  #changes = 0;
  #leastMtu = 0xffff;

  constructor({ connections, sysctls, host, answers, departure, fullnat, id }: ForwarderParts) {
    this.#connections = connections;
    this.#sysctls = sysctls;
    this.#host = host;
    this.#answers = answers;
    this.#departure = departure;
    this.#fullnat = fullnat;
    this.#id = id & 0xffff;
    this.refresh();
  }

  /** Looks whether the machine's ways have changed. Once per batch. */
  refresh(): void {
    if (this.#host === undefined || this.#changes === this.#host.changes) return;
    this.#changes = this.#host.changes;
    this.#leastMtu = this.#host.leastMtu;
  }

  /**
   * Sends the packet in `headers` on to `server`, or to where it is addressed when its connection `id` has none; rewritten as
   * its method has it, unless it `isError`: an ICMP error about the connection, already rewritten. Returns the verdict.
   */
  request(
    frames: FrameMemory,
    headers: Headers,
    id: number,
    server: Server | undefined,
    isError: boolean,
    now: number,
  ): number {
    const flags = this.#connections.records[(id << RECORD_SHIFT) + FLAGS];
    const method = flags & IP_VS_CONN_F_FWD_MASK;
    if (method === IP_VS_CONN_F_BYPASS || server === undefined) return this.#bypass(frames, headers, isError, now);
    const path = server.pathAt === this.#changes ? (server.path as Path) : this.#find(server);
    if (path.kind !== PATH_OUT) {
      if (path.kind === PATH_LOCAL) return this.#deliver(frames, headers, id, flags, isError);
      return isError ? DROP_NO_ROUTE : this.#answer(frames, headers, HOST_UNREACHABLE, 0, DROP_NO_ROUTE, now);
    }
    const verdict = this.#passHop(frames, headers, isError, now);
    if (verdict !== FORWARD) return verdict;
    if (method === IP_VS_CONN_F_TUNNEL) return this.#tunnel(frames, headers, server, path, isError, now);
    if (headers.end - headers.ip > this.#leastMtu) {
      const verdict = this.#fit(frames, headers, path.mtu, isError, now);
      if (verdict !== FORWARD) return verdict;
    }
    this.#departure.nextHop = server;
    if (method !== IP_VS_CONN_F_MASQ || isError) return FORWARD;
    if ((flags & CONN_F_FULLNAT) === 0) {
      this.#rewrite(frames.view, headers, id);
      return FORWARD;
    }
    const result = this.#fullnat.request(frames, headers, id, path.mtu, server.service.tuning.toaKind ?? 0);
    return result === FULLNAT_DROP ? DROP_PROXY : FORWARD;
  }

  /** The reply of connection `id` must fit the way to its client (ip_forward). */
  fitReply(frames: FrameMemory, headers: Headers, id: number, now: number): number {
    if (headers.end - headers.ip <= this.#leastMtu) return FORWARD;
    const { mtu } = this.#pathToClient(headers.family, id);
    if (headers.end - headers.ip <= mtu || mtu === 0) return FORWARD;
    const departure = this.#departure;
    const { datagram } = departure;
    // Fragments of IPv4 have passed this check one by one; of IPv6 the largest counts (ip6_pkt_too_big).
    const mayCut =
      headers.family === 4
        ? datagram !== undefined || (frames.view.getUint16(headers.ip + IPV4_FRAGMENT) & IPV4_DF) === 0
        : datagram !== undefined && datagram.largestFragment <= mtu;
    if (mayCut) {
      departure.fragmentMtu = mtu;
      return FORWARD;
    }
    const length = this.#answers.toServer(frames, headers, TOO_BIG, mtu, now);
    if (length === 0) return DROP_MTU;
    departure.length = length;
    return ANSWER;
  }

  /** What a router said of the way to a server with a tunnel; it holds for ten minutes (net.ipv4.route.mtu_expires). */
  learnMtu(server: Server, mtu: number, now: number): void {
    const path = server.pathAt === this.#changes ? (server.path as Path) : this.#find(server);
    const told = Math.max(mtu, server.family === 4 ? LEAST_TOLD : MIN_MTU_6);
    if (told >= this.#mtuTo(server, path, now)) return;
    server.toldMtu = told;
    server.toldUntil = (now + TOLD_TICKS) | 0;
  }

  /** Longest packet that a tunnel to `server` takes, below 0 for none. */
  tunnelMtu(server: Server, now: number): number {
    const path = server.pathAt === this.#changes ? (server.path as Path) : this.#find(server);
    return this.#mtuTo(server, path, now) - tunnelOverhead(server.tunnel, server.family);
  }

  /** Tells the sender of a packet, from the address that it was sent to; `otherwise` when it may not be. */
  #answer(frames: FrameMemory, headers: Headers, error: number, mtu: number, otherwise: number, now: number): number {
    const length = this.#answers.toClient(frames, headers, error, mtu, now);
    if (length === 0) return otherwise;
    this.#departure.length = length;
    return ANSWER;
  }

  /** To where the packet is addressed. */
  #bypass(frames: FrameMemory, headers: Headers, isError: boolean, now: number): number {
    const { view } = frames;
    if (headers.family === 6 && this.#host?.isLocal(6, this.#destination(view, headers)) === true) {
      return DROP_LOCAL_BYPASS;
    }
    const verdict = this.#passHop(frames, headers, isError, now);
    if (verdict !== FORWARD || headers.end - headers.ip <= this.#leastMtu) return verdict;
    return this.#fit(frames, headers, this.#pathOfPacket(view, headers).mtu, isError, now);
  }

  /** The server is this machine: nothing is sent, and no hop passed. */
  #deliver(frames: FrameMemory, headers: Headers, id: number, flags: number, isError: boolean): number {
    if ((flags & IP_VS_CONN_F_FWD_MASK) !== IP_VS_CONN_F_MASQ) return LOCAL;
    // The machine takes nothing that comes from its own address.
    if ((flags & CONN_F_FULLNAT) !== 0) return DROP_NO_ROUTE;
    if (this.#goesToLoopback(id, headers.family)) return DROP_LOOPBACK;
    if (!isError) this.#rewrite(frames.view, headers, id);
    return LOCAL;
  }

  #tunnel(frames: FrameMemory, headers: Headers, server: Server, path: Path, isError: boolean, now: number): number {
    const { tunnel, family } = server;
    const { source } = path;
    if (source === undefined) return DROP_NO_ROUTE;
    const pathMtu = this.#mtuTo(server, path, now);
    const mtu = pathMtu - tunnelOverhead(tunnel, family);
    if (mtu < (family === 4 ? MIN_MTU : MIN_MTU_6)) return DROP_MTU;
    const departure = this.#departure;
    const cutsOuter = this.#sysctls.values.pmtuDisc === 0;
    if (headers.end - headers.ip > mtu) {
      if (headers.family === 6 || !cutsOuter) {
        const verdict = this.#fit(frames, headers, mtu, isError, now);
        if (verdict !== FORWARD) return verdict;
      }
      departure.fragmentMtu = pathMtu;
    }
    this.#id = (this.#id + 1) & 0xffff;
    departure.frame = encapsulate(
      frames.view,
      headers,
      tunnel,
      family,
      source,
      server.words,
      cutsOuter && family === 4,
      this.#id,
    );
    departure.length = headers.end - departure.frame;
    departure.nextHop = server;
    departure.isOwn = true;
    return FORWARD;
  }

  /** Takes a hop, or tells the sender that there is none left. */
  #passHop(frames: FrameMemory, headers: Headers, isError: boolean, now: number): number {
    if (hopsOf(frames.view, headers) <= 1) {
      return isError ? DROP_TTL : this.#answer(frames, headers, TIME_EXCEEDED, 0, DROP_TTL, now);
    }
    passHop(frames.view, headers);
    return FORWARD;
  }

  /** FORWARD when the packet is short enough for `mtu` or may be cut; else its sender hears of it, unless it is an error. */
  #fit(frames: FrameMemory, headers: Headers, mtu: number, isError: boolean, now: number): number {
    if (headers.end - headers.ip <= mtu || mtu === 0) return FORWARD;
    if (headers.family === 4) {
      const mayCut = (frames.view.getUint16(headers.ip + IPV4_FRAGMENT) & IPV4_DF) === 0;
      if (mayCut || isError) {
        this.#departure.fragmentMtu = mtu;
        return FORWARD;
      }
    } else if ((this.#departure.datagram?.largestFragment ?? mtu + 1) <= mtu) {
      this.#departure.fragmentMtu = mtu;
      return FORWARD;
    }
    return isError ? DROP_MTU : this.#answer(frames, headers, TOO_BIG, mtu, DROP_MTU, now);
  }

  /** Destination NAT. */
  #rewrite(view: DataView, headers: Headers, id: number): void {
    const { records } = this.#connections;
    const base = id << RECORD_SHIFT;
    const address = records[base + DESTINATION_WORD];
    const port = records[base + PORTS_REPLY] >>> 16;
    if (headers.family === 4) {
      rewriteIpv4(view, headers, DESTINATION, address, port);
      return;
    }
    const rest = base + DESTINATION_6;
    rewriteIpv6(view, headers, DESTINATION, address, records[rest], records[rest + 1], records[rest + 2], port);
  }

  #goesToLoopback(id: number, family: number): boolean {
    const { records } = this.#connections;
    const base = id << RECORD_SHIFT;
    const address = records[base + DESTINATION_WORD];
    return isLoopback(
      family,
      address,
      records[base + DESTINATION_6],
      records[base + DESTINATION_6 + 1],
      records[base + DESTINATION_6 + 2],
    );
  }

  /** Path MTU to a server, with what routers said. */
  #mtuTo(server: Server, path: Path, now: number): number {
    if (server.toldMtu === 0 || server.toldMtu >= path.mtu) return path.mtu;
    if (((now - server.toldUntil) | 0) < 0) return server.toldMtu;
    server.toldMtu = 0;
    return path.mtu;
  }

  /** Finds out again how the machine gets to a server. */
  #find(server: Server): Path {
    const [w0, w1, w2, w3] = server.words;
    let path = this.#host?.pathTo(server.family, server.words);
    if (path === undefined) path = isLoopback(server.family, w0, w1, w2, w3) ? HERE : ANYWHERE;
    server.path = path;
    server.pathAt = this.#changes;
    return path;
  }

  #pathToClient(family: number, id: number): Path {
    const { records } = this.#connections;
    const base = id << RECORD_SHIFT;
    const words = this.#words;
    words[0] = records[base + CLIENT];
    for (let i = 0; i < 3; i++) words[1 + i] = family === 4 ? 0 : records[base + CLIENT_6 + i];
    return this.#pathTo(family, words);
  }

  /** The way to a packet's own destination. */
  #pathOfPacket(view: DataView, headers: Headers): Path {
    return this.#pathTo(headers.family, this.#destination(view, headers));
  }

  #pathTo(family: number, words: Int32Array): Path {
    if (this.#host === undefined) return ANYWHERE;
    const path = this.#host.pathTo(family, words);
    return path.kind === PATH_OUT ? path : NOWHERE;
  }

  #destination(view: DataView, { family, ip }: Headers): Int32Array {
    const at = ip + (family === 4 ? IPV4_DST : IPV6_DST);
    for (let i = 0; i < 4; i++) this.#words[i] = family === 4 && i > 0 ? 0 : view.getInt32(at + (i << 2));
    return this.#words;
  }
}

/** Less than this the kernel does not believe (net.ipv4.route.min_pmtu). */
const LEAST_TOLD = 552;
const TOLD_TICKS = 600 * 100;

function isLoopback(family: number, w0: number, w1: number, w2: number, w3: number): boolean {
  return family === 4 ? w0 >>> 24 === 127 : (w0 | w1 | w2) === 0 && w3 === 1;
}

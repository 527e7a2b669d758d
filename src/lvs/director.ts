// SPDX-License-Identifier: Apache-2.0
// The director: a packet and the time go in, a rewritten packet and a verdict come out. It holds services, servers and
// connections and knows nothing of devices, sockets or clocks, so it runs the same in a test, over a capture and behind
// XDP. The order of decisions is that of the kernel (ip_vs_in_hook and ip_vs_out_hook in ip_vs_core.c).
// hot path: process()

import { ETH_HLEN } from '../packet/ethernet.ts';
import {
  IPPROTO_AH,
  IPPROTO_ESP,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPV4_DST,
  IPV4_SRC,
} from '../packet/ipv4.ts';
import { IPV6_DST, IPV6_SRC, isExtensionHeader } from '../packet/ipv6.ts';
import { Headers, PARSE_FRAGMENT, PARSE_MALFORMED, PARSE_NOT_IP, parseFrame } from '../packet/parse.ts';
import { TCP_FLAGS, TCP_RST, TCP_SYN } from '../packet/tcp.ts';
import { Admission } from './admission.ts';
import { Marks } from './classify/marks.ts';
import { Connections, isTracked } from './connection/connections.ts';
import { Foresight } from './connection/foresight.ts';
import {
  CONN_F_FULLNAT,
  type ConnectionMemory,
  EGRESS,
  FLAGS,
  IP_VS_CONN_F_FWD_MASK,
  IP_VS_CONN_F_MASQ,
  IP_VS_CONN_F_ONE_PACKET,
  PORTS_REQUEST,
  RECORD_SHIFT,
  REPLY,
  REQUEST,
  TICKS_PER_SECOND,
  VIRTUAL,
  VIRTUAL_6,
} from './connection/layout.ts';
import { isSctpAbort, isSctpInit } from './connection/sctp-state.ts';
import type { HashSeed } from './connection/table.ts';
import { Culling } from './defence/culling.ts';
import { Defence } from './defence/defence.ts';
import type { IcmpRate } from './defence/icmp-limit.ts';
import { Drains, RESET_FORWARD } from './drains.ts';
import { Departure } from './forward/departure.ts';
import { Forwarder } from './forward/forwarder.ts';
import { hopsOf, passHop } from './forward/hops.ts';
import { rewriteIpv4, rewriteIpv6, SOURCE } from './forward/nat.ts';
import { EXPIRED_WITH_FIRST, NONE_EXPIRED, Reassembly } from './fragment/reassembly.ts';
import { COMPLETE, HELD as FRAGMENT_HELD } from './fragment/reassembly-answers.ts';
import type { FrameMemory } from './frame-memory.ts';
import { Fullnat } from './fullnat/fullnat.ts';
import { FtpHelper } from './helper/ftp-helper.ts';
import type { HostAddresses } from './host-addresses.ts';
import { IcmpAnswers, PORT_UNREACHABLE, REASSEMBLY_EXCEEDED, TIME_EXCEEDED } from './icmp-answers.ts';
import type { ServerKey, ServiceKey } from './model.ts';
import { randomBits } from './random.ts';
import { RelatedErrors } from './related-errors.ts';
import { checkDeadline } from './service/checks.ts';
import type { Server } from './service/server.ts';
import { ServiceList, type ServiceObserver } from './service/service-list.ts';
import { ESTIMATION_TICKS, IN_BYTES, IN_PACKETS, OUT_BYTES, OUT_PACKETS } from './service/traffic.ts';
import { Sysctls } from './sysctl.ts';
import { TunnelErrors } from './tunnel-errors.ts';
import {
  ANSWER,
  DROP_FRAGMENT,
  DROP_MALFORMED,
  DROP_NO_SERVER,
  DROP_RESET,
  DROP_SERVER_GONE,
  DROP_TTL,
  FORWARD,
  HELD,
  PASS,
  VERDICT_NAMES,
} from './verdict.ts';

/** Most connections that one {@link Director.tick} ends. */
const EXPIRY_BUDGET = 1024;

/** Both ports of IKE (RFC 7296 §2), as a packet has them. */
const KEY_EXCHANGE = (500 << 16) | 500;

/** Place of a packet that was not. */
const NOT_FORESEEN = -1;
/** With so many packets of its own waiting to be sent the director makes no more errors. */
const MAX_OUTBOX = 1024;
export interface DirectorOptions {
  readonly memory: ConnectionMemory;
  /** Random words from outside. */
  readonly seed: HashSeed;
  /** Current tick; ticks of 10 ms, wrapping at 32 bits. */
  readonly now: number;
  readonly observer?: ServiceObserver;
  /** Left out: the director knows no address of its own, and sends no errors to servers. */
  readonly host?: HostAddresses;
  /** Limit of ICMP errors; the kernel's default when left out. */
  readonly icmpRate?: IcmpRate;
}

export class Director {
  readonly sysctls: Sysctls = new Sysctls();
  readonly services: ServiceList;
  readonly connections: Connections;
  readonly admission: Admission;
  readonly drains: Drains;
  readonly fullnat: Fullnat;
  /** IP packets that the director sends by itself, for the data plane to take. */
  readonly outbox: Uint8Array[] = [];
  /** Firewall marks of packets. */
  readonly marks: Marks = new Marks();
  /** Packets by verdict, indexed as VERDICT_NAMES. */
  readonly verdicts: Float64Array = new Float64Array(VERDICT_NAMES.length);
  /** How the packet of the last FORWARD, ANSWER or LOCAL leaves. */
  readonly departure: Departure = new Departure();
  /** Index of the device that packets come in by; set by the data plane. */
  device = 0;
  /** Where the headers of the frame last processed are. */
  readonly headers: Headers = new Headers();

  readonly #host: HostAddresses | undefined;
  readonly #defence: Defence;
  readonly #culling: Culling;
  readonly #answers: IcmpAnswers;
  readonly #forwarder: Forwarder;
  readonly #errors: RelatedErrors;
  readonly #ftp: FtpHelper;
  readonly #foresight: Foresight;
  readonly #words = new Int32Array(4);
  readonly #others = new Int32Array(4);
  readonly #seed: HashSeed;
  /** Made for the first fragment. */
  #reassembly: Reassembly | undefined = undefined;
  #estimateAt: number;
  #secondAt: number;

  constructor({ memory, seed, now, observer, host, icmpRate }: DirectorOptions) {
    const random = randomBits(seed.k0 ^ seed.k1);
    this.#seed = seed;
    const servers: (Server | undefined)[] = [undefined];
    this.connections = new Connections(memory, seed, servers, now);
    this.#foresight = new Foresight(this.connections.table);
    this.fullnat = new Fullnat(this.connections, this.departure, seed);
    const environment = { sysctls: this.sysctls, times: this.connections.times, random };
    this.services = new ServiceList({ environment, servers, now, observer });
    this.#host = host;
    this.#defence = new Defence(this.sysctls, memory.maxConnections);
    this.#culling = new Culling(this.connections, random);
    this.services.onServerGone = () => {
      if (this.sysctls.values.expireNodestConn !== 0) this.#culling.flushLost();
    };
    this.admission = new Admission({
      services: this.services,
      connections: this.connections,
      sysctls: this.sysctls,
      defence: this.#defence,
      host,
      fullnat: this.fullnat,
    });
    this.admission.marks = this.marks;
    this.drains = new Drains(this.connections, this.outbox);
    this.#answers = new IcmpAnswers({ now, rate: icmpRate, id: seed.k0, host });
    this.#forwarder = new Forwarder({
      connections: this.connections,
      sysctls: this.sysctls,
      host,
      answers: this.#answers,
      departure: this.departure,
      fullnat: this.fullnat,
      id: seed.k1,
    });
    const tunnels = new TunnelErrors({
      connections: this.connections,
      servers: this.services.realServers,
      forwarder: this.#forwarder,
      answers: this.#answers,
      departure: this.departure,
      host,
    });
    this.#errors = new RelatedErrors(this.connections, this.#forwarder, tunnels);
    this.#ftp = new FtpHelper(this.connections, this.departure);
    this.#estimateAt = (now + ESTIMATION_TICKS) | 0;
    this.#secondAt = (now + TICKS_PER_SECOND) | 0;
  }

  /**
   * Time passes: ends connections whose timers ran out, steps the rate estimators, looks after what has a period. Once
   * per batch. True when more is due than one call may do: call again soon.
   */
  tick(now: number): boolean {
    this.services.now = now;
    this.#forwarder.refresh();
    this.connections.expire(now, EXPIRY_BUDGET);
    this.#expireFragments(now);
    while (((now - this.#estimateAt) | 0) >= 0) {
      if (this.sysctls.values.runEstimation !== 0) this.services.estimate();
      this.#estimateAt = (this.#estimateAt + ESTIMATION_TICKS) | 0;
    }
    while (((now - this.#secondAt) | 0) >= 0) {
      this.#secondAt = (this.#secondAt + TICKS_PER_SECOND) | 0;
      this.services.tick(now);
      this.#defend();
      if (this.#defence.dropsEntries) this.#culling.sample();
    }
    this.#culling.work(now);
    this.drains.work(now);
    return this.connections.lags(now) || this.#culling.isBusy || this.drains.isBusy;
  }

  /** Changes settings, by name, all or none. Throws LvsError. */
  setSysctls(values: Readonly<Record<string, number>>): void {
    const { dropEntry, dropPacket, secureTcp } = this.sysctls.values;
    this.sysctls.set(values);
    const after = this.sysctls.values;
    // Other settings of the defence count from its next look on, as in the kernel.
    if (dropEntry !== after.dropEntry || dropPacket !== after.dropPacket || secureTcp !== after.secureTcp) {
      this.#defend();
    }
  }

  /** Weight 0 now, and a reset for the connections that are left after `deadlineSeconds`, if any. Throws LvsError. */
  drain(service: ServiceKey, key: ServerKey, deadlineSeconds: number | undefined): void {
    checkDeadline(deadlineSeconds);
    const server = this.services.findServer(service, key);
    this.services.editServer(service, key, { ...server.options, weight: 0 });
    const ticks = deadlineSeconds === undefined ? undefined : deadlineSeconds * TICKS_PER_SECOND;
    this.drains.start(server, ticks === undefined ? undefined : (this.services.now + ticks) | 0);
  }

  #defend(): void {
    this.#defence.update(this.connections.table.count);
    this.connections.isSecure = this.#defence.isSecure;
  }

  /**
   * Decides about the Ethernet frame of `length` bytes at `frame` and rewrites it in place. The frame's slot must have
   * 48 bytes of room behind it, for an ICMP error, and MAX_TUNNEL_HEADER before it. Returns a verdict; after FORWARD, ANSWER
   * and LOCAL {@link departure} is set.
   */
  process(frames: FrameMemory, frame: number, length: number, now: number): number {
    return this.#count(this.#decide(frames, frame, length, now, NOT_FORESEEN));
  }

  /** {@link process} for the packet at `place` of the batch, which was foreseen. */
  processForeseen(frames: FrameMemory, frame: number, length: number, now: number, place: number): number {
    return this.#count(this.#decide(frames, frame, length, now, place));
  }

  /** {@link Foresight.foresee} for the batch whose packets are processed next. */
  foresee(frames: FrameMemory, offsets: Int32Array, lengths: Int32Array, count: number): void {
    this.#foresight.foresee(frames, offsets, lengths, count);
  }

  /** Takes a frame that the director itself made, as if it had just said FORWARD of it. */
  adopt(frames: FrameMemory, frame: number, length: number): void {
    parseFrame(frames.view, frame, length, this.headers);
    this.departure.reset(frames, frame, length);
  }

  #count(verdict: number): number {
    this.verdicts[verdict]++;
    return verdict;
  }

  #decide(frames: FrameMemory, frame: number, length: number, now: number, place: number): number {
    const view = frames.view;
    const headers = this.headers;
    const parsed = parseFrame(view, frame, length, headers);
    if (parsed >= PARSE_MALFORMED) return DROP_MALFORMED + parsed - PARSE_MALFORMED;
    if (parsed === PARSE_NOT_IP) return PASS;
    if (parsed === PARSE_FRAGMENT) return this.#fragment(frames, frame, now);
    this.departure.reset(frames, frame, headers.end - frame);
    return this.#decidePacket(frames, now, place);
  }

  /** A whole packet, in a frame or out of reassembly; {@link departure} is reset. */
  #decidePacket(frames: FrameMemory, now: number, place: number): number {
    const { view } = frames;
    const { headers } = this;
    if (!isTracked(headers.protocol)) return this.#other(frames, now);
    // Without a service of its family the kernel does not look at packets at all (ip_vs_unregister_hooks).
    if (!this.services.table.serves(headers.family)) return PASS;

    let entry = this.#lookup(view, place);
    if (entry === 0 && this.connections.expected > 0) entry = this.#ftp.claim(view, headers) << 1;
    if (entry === 0 || this.#isPortless(view, entry)) return this.#stray(frames, now);
    const id = entry >> 1;
    const server = this.connections.serverOf(id);
    if ((entry & 1) !== REQUEST) {
      return server?.isResetting === true
        ? this.#reset(frames, id, REPLY, server, now)
        : this.#reply(frames, id, server, now);
    }
    if (this.#opensAnew(view, id, server)) return this.#replace(frames, id, now);
    if (server?.isResetting === true) return this.#reset(frames, id, REQUEST, server, now);
    if (server !== undefined && !server.available) {
      return this.sysctls.values.expireNodestConn !== 0 ? this.#replace(frames, id, now) : DROP_SERVER_GONE;
    }
    return this.#request(frames, id, server, now);
  }

  /** One fragment; with the last one that was missing, the datagram. */
  #fragment(frames: FrameMemory, frame: number, now: number): number {
    const { headers } = this;
    const { family, protocol } = headers;
    this.departure.reset(frames, frame, headers.end - frame);
    if (!this.services.table.serves(family) || (!isTracked(protocol) && !isExtensionHeader(protocol))) return PASS;
    this.#reassembly ??= new Reassembly({ seed: this.#seed });
    const answer = this.#reassembly.add(frames, headers, now);
    if (answer === FRAGMENT_HELD) return HELD;
    if (answer !== COMPLETE) return DROP_FRAGMENT;
    const { datagram } = this.#reassembly;
    const parsed = parseFrame(datagram.memory.view, datagram.frame, datagram.length, headers);
    // A fragment of a fragment is nobody's honest packet.
    if (parsed === PARSE_FRAGMENT) return DROP_FRAGMENT;
    if (parsed >= PARSE_MALFORMED) return DROP_MALFORMED + parsed - PARSE_MALFORMED;
    this.departure.reset(datagram.memory, datagram.frame, datagram.length);
    this.departure.datagram = datagram;
    return this.#decidePacket(datagram.memory, now, NOT_FORESEEN);
  }

  /** Senders of datagrams that stay incomplete are told, as far as the first fragment came (RFC 792, RFC 4443 §3.3). */
  #expireFragments(now: number): void {
    const reassembly = this.#reassembly;
    if (reassembly === undefined || reassembly.waiting === 0) return;
    const { datagram } = reassembly;
    for (let left = EXPIRY_BUDGET; left > 0; left--) {
      const expired = reassembly.expire(now);
      if (expired === NONE_EXPIRED) return;
      if (expired !== EXPIRED_WITH_FIRST || this.outbox.length >= MAX_OUTBOX) continue;
      const { memory, frame, length } = datagram;
      parseFrame(memory.view, frame, length, this.headers);
      const error = this.#answers.toSender(memory, this.headers, REASSEMBLY_EXCEEDED, 0, now);
      if (error !== 0) this.outbox.push(memory.bytes.slice(frame + ETH_HLEN, frame + error));
    }
  }

  /** Neither TCP, UDP nor SCTP: ICMP errors may be about connections. */
  #other(frames: FrameMemory, now: number): number {
    const { family, protocol } = this.headers;
    if (protocol === IPPROTO_ESP || protocol === IPPROTO_AH) return this.#security(frames, now);
    if (protocol !== (family === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) return PASS;
    // A tunnel may be of another family than its service.
    if (!this.services.table.serves(family) && this.services.realServers.tunnels === 0) return PASS;
    return this.#errors.process(frames, this.headers, now);
  }

  /**
   * AH and ESP go where the key exchange of the same two ends went, over UDP from port 500 to 500, and keep its entry alive
   * (ip_vs_proto_ah_esp.c).
   */
  #security(frames: FrameMemory, now: number): number {
    const { family, ip } = this.headers;
    if (!this.services.table.serves(family)) return PASS;
    const { view } = frames;
    const length = family === 4 ? 4 : 16;
    const source = ip + (family === 4 ? IPV4_SRC : IPV6_SRC);
    for (let i = 0; i < 4; i++) {
      this.#words[i] = family === 4 && i > 0 ? 0 : view.getInt32(source + (i << 2));
      this.#others[i] = family === 4 && i > 0 ? 0 : view.getInt32(source + length + (i << 2));
    }
    const kind = (IPPROTO_UDP << 8) | family;
    const entry = this.connections.table.lookupWords(kind, this.#words, this.#others, KEY_EXCHANGE);
    const id = entry >> 1;
    if (entry === 0 || (this.connections.records[(id << RECORD_SHIFT) + FLAGS] & CONN_F_FULLNAT) !== 0) return PASS;
    const server = this.connections.serverOf(id);
    if ((entry & 1) !== REQUEST) return this.#reply(frames, id, server, now);
    if (server !== undefined && !server.available) return DROP_SERVER_GONE;
    return this.#request(frames, id, server, now);
  }

  /** Whether a request comes from port 0: the kernel finds no connection for those. */
  #isPortless(view: DataView, entry: number): boolean {
    return (entry & 1) === REQUEST && view.getUint16(this.headers.transport) === 0;
  }

  #lookup(view: DataView, place: number): number {
    const { family, ip, transport, protocol } = this.headers;
    const kind = (protocol << 8) | family;
    const ports = view.getInt32(transport);
    const table = this.connections.table;
    if (family !== 4) return table.lookupIpv6(kind, view, ip + IPV6_SRC, ports);
    const source = view.getInt32(ip + IPV4_SRC);
    const destination = view.getInt32(ip + IPV4_DST);
    const { known, hashes } = this.#foresight;
    const isForeseen = place !== NOT_FORESEEN && known[place] === 1;
    const hash = isForeseen ? hashes[place] : table.hashIpv4(kind, source, destination, ports);
    return table.lookupIpv4(kind, source, destination, ports, hash);
  }

  /** A packet of a connection that is past the deadline of its server's drain. */
  #reset(frames: FrameMemory, id: number, direction: number, server: Server, now: number): number {
    const { view } = frames;
    const isForwarded = this.drains.reset(view, this.headers, id, direction) === RESET_FORWARD;
    let verdict = DROP_RESET;
    if (isForwarded) {
      this.departure.length = this.headers.end - this.headers.ip + ETH_HLEN;
      verdict = direction === REQUEST ? this.#request(frames, id, server, now) : this.#reply(frames, id, server, now);
      // The record goes, and with it the note about its replies' way.
      this.departure.egressWord = 0;
    }
    this.connections.close(id);
    return verdict;
  }

  /** Whether a packet that could be the first of a connection, on a connection that is there, means a new one. */
  #opensAnew(view: DataView, id: number, server: Server | undefined): boolean {
    const { protocol, transport, end } = this.headers;
    if (protocol === IPPROTO_TCP) {
      if ((view.getUint8(transport + TCP_FLAGS) & TCP_SYN) === 0) return false;
    } else if (protocol !== IPPROTO_SCTP) {
      // A datagram means as little or as much as the first one did.
      return server?.isResetting === true;
    } else if (!isSctpInit(view, transport, end)) {
      return false;
    }
    if (server?.isResetting === true) return true;
    const { values } = this.sysctls;
    if (server !== undefined) {
      const isQuiesced = server.options.weight === 0;
      if (values.expireNodestConn !== 0 && isQuiesced) return true;
      if (server.service.freshSyn && (isQuiesced || !server.available || this.connections.isClosing(id))) return true;
    }
    return this.connections.isOver(id, values.connReuseMode);
  }

  /** The packet opens a connection in the place of `id`, which counts on its server until the new one has its own. */
  #replace(frames: FrameMemory, id: number, now: number): number {
    const { connections } = this;
    if (connections.table.isFull) {
      connections.close(id);
      return this.#first(frames, now);
    }
    const verdict = this.#first(frames, now, id);
    connections.close(id);
    return verdict;
  }

  /** A packet that belongs to no connection. */
  #stray(frames: FrameMemory, now: number): number {
    const asksForSender = this.sysctls.values.natIcmpSend !== 0 || this.services.table.engines > 0;
    const sender = asksForSender ? this.#senderOf(frames.view) : undefined;
    if (sender === undefined) return this.#first(frames, now);
    // What passes through has its hops counted before the kernel looks at it, and answered when they are used up.
    const passesThrough = !this.#isForUs(frames.view);
    if (passesThrough && hopsOf(frames.view, this.headers) <= 1) return PASS;
    if (passesThrough && sender.service.engine !== '' && this.headers.protocol === IPPROTO_UDP) {
      const id = this.admission.admitServers(frames.view, this.headers, sender, now);
      if (id !== 0) return this.#firstReply(frames, id, sender, now);
    }
    if (this.sysctls.values.natIcmpSend === 0 || this.#isEnd(frames.view)) return this.#first(frames, now);
    if (passesThrough) passHop(frames.view, this.headers);
    return this.#answerServer(frames, PORT_UNREACHABLE, DROP_NO_SERVER, now);
  }

  /** The first packet of a connection that a server opened. */
  #firstReply(frames: FrameMemory, id: number, server: Server, now: number): number {
    const flags = this.connections.records[(id << RECORD_SHIFT) + FLAGS];
    const verdict = this.#reply(frames, id, server, now);
    if ((flags & IP_VS_CONN_F_ONE_PACKET) !== 0) {
      this.departure.egressWord = 0;
      this.connections.release(id, REPLY);
    }
    return verdict;
  }

  /** The first packet of a connection, if it is for a service; it may be in the place of another, `replaced`. */
  #first(frames: FrameMemory, now: number, replaced = 0): number {
    const id = this.admission.admit(frames.view, this.headers, this.device, now);
    if (id === -DROP_NO_SERVER) {
      const verdict = this.#answer(frames, PORT_UNREACHABLE, DROP_NO_SERVER, now);
      if (verdict === ANSWER && replaced !== 0) this.#countAnswer(replaced);
      return verdict;
    }
    if (id <= 0) return -id;
    const flags = this.connections.records[(id << RECORD_SHIFT) + FLAGS];
    const verdict = this.#request(frames, id, this.connections.serverOf(id), now);
    if ((flags & IP_VS_CONN_F_ONE_PACKET) !== 0) this.connections.release(id, REQUEST);
    return verdict;
  }

  /** The real server with NAT that sends this packet. */
  #senderOf(view: DataView): Server | undefined {
    const { family, ip, transport, protocol } = this.headers;
    const source = this.#address(view, ip + (family === 4 ? IPV4_SRC : IPV6_SRC));
    return this.services.realServers.find(family, protocol, source, view.getUint16(transport));
  }

  /** Whether the packet is for the machine itself. */
  #isForUs(view: DataView): boolean {
    const { family, ip } = this.headers;
    return this.#host?.isLocal(family, this.#address(view, ip + (family === 4 ? IPV4_DST : IPV6_DST))) === true;
  }

  /** The address at `at` as four words, good until the next call. */
  #address(view: DataView, at: number): Int32Array {
    const words = this.#words;
    for (let i = 0; i < 4; i++) words[i] = this.headers.family === 4 && i > 0 ? 0 : view.getInt32(at + (i << 2));
    return words;
  }

  /** Whether the packet ends a connection at once: nobody is told about those. */
  #isEnd(view: DataView): boolean {
    const { transport, protocol, end } = this.headers;
    if (protocol === IPPROTO_TCP) return (view.getUint8(transport + TCP_FLAGS) & TCP_RST) !== 0;
    return protocol === IPPROTO_SCTP && isSctpAbort(view, transport, end);
  }

  /** Client to server. */
  #request(frames: FrameMemory, id: number, server: Server | undefined, now: number): number {
    const view = frames.view;
    const headers = this.headers;
    if (server !== undefined) {
      server.counters[IN_PACKETS]++;
      server.counters[IN_BYTES] += headers.end - headers.ip;
    }
    this.connections.advance(id, REQUEST, server, view, headers, now);
    const verdict = this.#forwarder.request(frames, headers, id, server, false, now);
    if (verdict === ANSWER) this.#countAnswer(id);
    else if (this.#ftp.helps(id, headers)) this.#ftp.request(view, headers, id, now);
    return verdict;
  }

  /** Server to client. */
  #reply(frames: FrameMemory, id: number, server: Server | undefined, now: number): number {
    const view = frames.view;
    const headers = this.headers;
    const records = this.connections.records;
    const base = id << RECORD_SHIFT;
    if (hopsOf(view, headers) <= 1) return this.#answerServer(frames, TIME_EXCEEDED, DROP_TTL, now);
    let verdict = this.#ftp.helps(id, headers) ? this.#ftp.reply(frames, headers, id, now) : FORWARD;
    if (verdict === FORWARD) verdict = this.#forwarder.fitReply(frames, headers, id, now);
    if (verdict !== FORWARD) return verdict;
    passHop(view, headers);
    const port = records[base + PORTS_REQUEST] & 0xffff;
    if ((records[base + FLAGS] & CONN_F_FULLNAT) !== 0) {
      this.fullnat.reply(view, headers, id);
    } else if (headers.family === 4) {
      rewriteIpv4(view, headers, SOURCE, records[base + VIRTUAL], port);
    } else {
      const rest = base + VIRTUAL_6;
      rewriteIpv6(
        view,
        headers,
        SOURCE,
        records[base + VIRTUAL],
        records[rest],
        records[rest + 1],
        records[rest + 2],
        port,
      );
    }
    if (server?.available === true) {
      server.counters[OUT_PACKETS]++;
      server.counters[OUT_BYTES] += headers.end - headers.ip;
    }
    this.connections.advance(id, REPLY, server, view, headers, now);
    this.departure.egressWord = base + EGRESS;
    return FORWARD;
  }

  /**
   * An error to the client about a packet of connection `id` was made. Without NAT the kernel takes its own error, on the
   * way out, for one that the server sends, and counts it so (ip_vs_out_icmp).
   */
  #countAnswer(id: number): void {
    const flags = this.connections.records[(id << RECORD_SHIFT) + FLAGS];
    const server = this.connections.serverOf(id);
    // One-packet connections are in no table, so it does not find those.
    const isFound = (flags & IP_VS_CONN_F_FWD_MASK) !== IP_VS_CONN_F_MASQ && (flags & IP_VS_CONN_F_ONE_PACKET) === 0;
    if (!isFound || server?.available !== true) return;
    server.counters[OUT_PACKETS]++;
    server.counters[OUT_BYTES] += this.departure.length - ETH_HLEN;
  }

  /** An ICMP error to a real server, from the machine's own address; `otherwise` when none may be sent. */
  #answerServer(frames: FrameMemory, error: number, otherwise: number, now: number): number {
    return this.#answered(this.#answers.toServer(frames, this.headers, error, 0, now), otherwise);
  }

  /** Turns the packet into an ICMP error to its sender, from the virtual address; `otherwise` when none may be sent. */
  #answer(frames: FrameMemory, error: number, otherwise: number, now: number): number {
    return this.#answered(this.#answers.toClient(frames, this.headers, error, 0, now), otherwise);
  }

  #answered(length: number, otherwise: number): number {
    if (length === 0) return otherwise;
    this.departure.length = length;
    return ANSWER;
  }
}

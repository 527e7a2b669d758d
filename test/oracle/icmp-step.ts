// SPDX-License-Identifier: Apache-2.0
// ICMP messages in the oracle's scenarios: errors of routers, servers and clients about packets of conversations, and
// echoes. What they quote is what left the director last, so the agent writes them out when the time comes.

import { SCTP_HLEN } from '../../src/packet/sctp.ts';
import { tcp, udp } from '../support/frames.ts';
import { icmp } from '../support/icmp.ts';
import type { Conversation } from './scenario.ts';
import { isTunnelled } from './tunnel-frame.ts';
import { INNER_ROUTER, ROUTER, SIDES, type Side, serverAddress } from './world.ts';

export interface IcmpStep extends Conversation {
  readonly kind: 'icmp';
  /**
   * What it is about: a client's packet as it went to its server, a server's as it went to its client, the tunnel's packet
   * around one of the first, or nothing: an echo request to the virtual address.
   */
  readonly about: 'request' | 'reply' | 'tunnel' | 'echo';
  /** Whether a router between says it, or the end that got the packet. */
  readonly isRouter: boolean;
  /** Who is taken for the server when none has been chosen. */
  readonly server: number;
  readonly type: number;
  readonly code: number;
  /** Second word of its header. */
  readonly rest: number;
  /** Bytes that it quotes, at most. */
  readonly quoted: number;
  /** What was quoted, when it has been changed: a fragment's header, another client's port. */
  readonly change: 'none' | 'fragment' | 'port';
  readonly checksum: boolean;
  readonly ttl: number;
}

/** What the agent knows of a conversation. */
export interface Trace {
  /** Number of the server that it went to. */
  server: number;
  /** The last IP packet to the server, with its tunnel's headers. */
  request: Uint8Array | undefined;
  /** The last IP packet to the client. */
  reply: Uint8Array | undefined;
  /** It goes on under other addresses. */
  isNat: boolean;
}

export interface SentIn {
  readonly side: Side;
  readonly packet: Uint8Array;
}

export function icmpOf(asked: IcmpStep, trace: Trace | undefined): SentIn {
  const step = asOracleTells(asked, trace);
  const side: Side = step.about === 'reply' || step.about === 'echo' ? 'front' : 'back';
  const about = step.about === 'echo' ? new Uint8Array(Math.max(0, step.quoted)) : quote(step, trace);
  const { family } = step;
  const server = serverAddress(trace?.server ?? step.server, family);
  const src = side === 'back' ? (step.isRouter ? INNER_ROUTER[family] : server) : frontSource(step);
  const dst = step.about === 'tunnel' ? SIDES.back.address[family] : side === 'back' ? step.client : step.virtual;
  const { type, code, rest, ttl } = step;
  const packet = icmp({ src, dst, type, code, rest, ttl, about });
  if (!step.checksum) packet[(family === 4 ? 20 : 40) + 3] ^= 0x55;
  return { side, packet };
}

/** The message that the two sides can agree about; the others stand in docs/compatibility.md. */
function asOracleTells(step: IcmpStep, trace: Trace | undefined): IcmpStep {
  // From errors about tunnels in IPv6 the kernel learns nothing.
  const isTunnel = trace?.request !== undefined && trace.request[0] >>> 4 === 4 && isTunnelled(trace.request);
  const about = step.about === 'tunnel' && !isTunnel ? 'request' : step.about;
  // This kernel drops errors of IPv6 servers with NAT (their checksum is looked at without the addresses), takes those of
  // clients whatever the checksum, and looks for ports in later fragments that are quoted.
  if (step.family === 6)
    return { ...step, about: about === 'request' && trace?.isNat === true ? 'reply' : about, checksum: true };
  return { ...step, about, change: step.change === 'fragment' ? 'none' : step.change };
}

function frontSource(step: IcmpStep): string {
  return step.isRouter ? ROUTER.address[step.family] : step.client;
}

function quote(step: IcmpStep, trace: Trace | undefined): Uint8Array {
  const whole = (step.about === 'reply' ? trace?.reply : trace?.request) ?? madeUp(step, trace);
  const bytes = whole.slice(0, Math.max(0, step.quoted));
  if (step.change === 'fragment' && bytes.length >= 8 && bytes[0] >>> 4 === 4) {
    bytes[6] = 0x20;
    bytes[7] = 0x10;
  }
  const port = (step.family === 4 ? 20 : 40) + (step.about === 'reply' ? 3 : 1);
  if (step.change === 'port' && bytes.length > port) bytes[port] ^= 0x40;
  return bytes;
}

/** A packet of the conversation as if nothing were rewritten. */
function madeUp(step: IcmpStep, trace: Trace | undefined): Uint8Array {
  const client = { address: step.client, port: step.clientPort };
  const isReply = step.about === 'reply';
  const address = isReply ? step.virtual : serverAddress(trace?.server ?? step.server, step.family);
  const far = { address, port: step.virtualPort };
  const [from, to] = isReply ? [far, client] : [client, far];
  const ends = { src: from.address, sport: from.port, dst: to.address, dport: to.port };
  if (step.protocol === 'tcp') return tcp({ ...ends, flags: 'A' });
  const datagram = udp({ ...ends, payload: new Uint8Array(SCTP_HLEN) });
  if (step.protocol === 'sctp') datagram[step.family === 4 ? 9 : 6] = 132;
  return datagram;
}

// SPDX-License-Identifier: Apache-2.0
// What the oracle plays: a configuration, traffic, edits and waits, as plain data that goes through JSON into the kernel's
// world and back. A packet is described, not written out, because a server's answer depends on which server was chosen.

import type { Family } from '../../src/packet/address.ts';
import { sctp, tcp, udp } from '../support/frames.ts';
import { type Piece, pieceOf } from './fragment-step.ts';
import type { IcmpStep } from './icmp-step.ts';
import { type Mtus, serverAddress } from './world.ts';

export type OracleProtocol = 'tcp' | 'udp' | 'sctp';

/** Client and virtual end of a conversation. */
export interface Conversation {
  readonly protocol: OracleProtocol;
  readonly family: Family;
  readonly client: string;
  readonly clientPort: number;
  readonly virtual: string;
  readonly virtualPort: number;
}

export interface PacketStep extends Conversation {
  readonly kind: 'packet';
  /** A reply comes from where the conversation's last packet went, or from `server` when none has. */
  readonly direction: 'request' | 'reply';
  readonly server: number;
  /** TCP: letters of S, A, F, R, P. */
  readonly flags: string;
  /** SCTP: chunk types in turn. */
  readonly chunks: readonly number[];
  /** Bytes of payload as text. */
  readonly payload: string;
  readonly ttl: number;
  /** UDP: false sends no checksum. */
  readonly checksum: boolean;
  /** Type of service, or traffic class. */
  readonly tos?: number;
  /** IPv4: false may be cut into fragments. */
  readonly df?: boolean;
  /** No more than this of the packet. */
  readonly piece?: Piece;
}

export type Step =
  | PacketStep
  | IcmpStep
  /** One ipvsadm command line. */
  | { readonly kind: 'ipvsadm'; readonly line: string }
  | { readonly kind: 'sysctl'; readonly name: string; readonly value: number }
  | { readonly kind: 'wait'; readonly seconds: number }
  /** Listings are compared; counters too when they are settled. */
  | { readonly kind: 'look'; readonly counters: boolean };

/** Packets to this port of this address get a firewall mark. */
export interface MarkRule {
  readonly family: Family;
  readonly protocol: OracleProtocol;
  readonly virtual: string;
  readonly virtualPort: number;
  readonly mark: number;
}

export interface Scenario {
  readonly name: string;
  readonly marks: readonly MarkRule[];
  /** Of the director's devices, when they are not {@link MTUS}. */
  readonly mtus?: Mtus;
  /** Some servers are the director itself: what reaches its own network stack is compared, and that stack does not answer. */
  readonly hasLocalServers?: boolean;
  readonly steps: readonly Step[];
}

/** Ends of a packet on the wire. */
export interface Ends {
  readonly src: string;
  readonly sport: number;
  readonly dst: string;
  readonly dport: number;
}

/** The command lines from step `i` on that follow one another: each side takes them in one restore. */
export function commandsFrom(steps: readonly Step[], i: number): string[] {
  const lines: string[] = [];
  for (let at = i; at < steps.length; at++) {
    const step = steps[at];
    if (step.kind !== 'ipvsadm') break;
    lines.push(step.line);
  }
  return lines;
}

export function conversationName(step: Conversation): string {
  return `${step.protocol} ${step.client} ${step.clientPort} ${step.virtual} ${step.virtualPort}`;
}

/** Ends of a step's packet; `target` is where the conversation's last request went. */
export function endsOf(step: PacketStep, target: { address: string; port: number } | undefined): Ends {
  if (step.direction === 'request') {
    return { src: step.client, sport: step.clientPort, dst: step.virtual, dport: step.virtualPort };
  }
  const { address, port } = target ?? { address: serverAddress(step.server, step.family), port: step.virtualPort };
  return { src: address, sport: port, dst: step.client, dport: step.clientPort };
}

/** The IP packet of a step. */
export function packetOf(step: PacketStep, ends: Ends): Uint8Array {
  const whole = wholeOf(step, ends);
  return step.piece === undefined ? whole : pieceOf(whole, step.piece);
}

function wholeOf(step: PacketStep, ends: Ends): Uint8Array {
  const payload = new TextEncoder().encode(step.payload);
  const fields = { ...ends, ttl: step.ttl, tos: step.tos ?? 0, df: step.df ?? true, payload };
  switch (step.protocol) {
    case 'tcp':
      return tcp({ ...fields, flags: step.flags });
    case 'udp':
      return udp({ ...fields, checksum: step.checksum });
    case 'sctp':
      return sctp({ ...fields, chunks: step.chunks });
  }
}

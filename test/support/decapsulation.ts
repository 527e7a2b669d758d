// SPDX-License-Identifier: Apache-2.0
// What the decapsulator has to make of a frame, said plainly: the model for its property tests. Follows RFC 2003, 2473,
// 2784, 6040 and the GUE of the kernel's include/net/gue.h; slow, whole, and independent of bpf/.

import { internetChecksum } from './frames.ts';

export interface DecapRules {
  readonly types: readonly ('ipip' | 'gue' | 'gre')[];
  readonly guePort: number;
  /** Whether the address, its bytes in hexadecimal, is a virtual one, or this machine's. */
  readonly isVirtual: (bytes: Uint8Array) => boolean;
  readonly isLocal: (bytes: Uint8Array) => boolean;
}

const ETH_HLEN = 14;
const CE = 3;

/** The frame as it has to go on: the same bytes when nothing may be done to it. */
export function decapsulate(frame: Uint8Array, rules: DecapRules): Uint8Array {
  const outer = readIp(frame, ETH_HLEN, u16(frame, 12));
  if (outer === undefined || outer.isFragment || outer.end > frame.length || !rules.isLocal(outer.destination)) {
    return frame;
  }
  const tunnel = readTunnel(frame, outer, rules);
  if (tunnel === undefined) return frame;
  const inner = readIp(frame, tunnel.at, tunnel.family === 4 ? 0x0800 : 0x86dd);
  if (inner === undefined || inner.end > outer.end || !rules.isVirtual(inner.destination)) return frame;

  const result = Uint8Array.from([...frame.subarray(0, 12), ...(tunnel.family === 4 ? [8, 0] : [0x86, 0xdd])]);
  const rest = frame.slice(tunnel.at);
  if (outer.ecn === CE && inner.ecn === 0) return frame;
  if (tunnel.remote !== undefined && !complete(rest, inner.end - tunnel.at, tunnel.remote)) return frame;
  if (outer.ecn === CE) markCongestion(rest, tunnel.family);
  return Uint8Array.from([...result, ...rest]);
}

interface Ip {
  readonly destination: Uint8Array;
  readonly protocol: number;
  readonly next: number;
  readonly end: number;
  readonly isFragment: boolean;
  readonly ecn: number;
}

function readIp(frame: Uint8Array, at: number, type: number): Ip | undefined {
  if (type === 0x0800) {
    if (frame.length < at + 20 || frame[at] >>> 4 !== 4) return undefined;
    const header = (frame[at] & 15) * 4;
    const total = u16(frame, at + 2);
    if (header < 20 || total < 20) return undefined;
    return {
      destination: frame.subarray(at + 16, at + 20),
      protocol: frame[at + 9],
      next: at + header,
      end: at + total,
      isFragment: (u16(frame, at + 6) & 0x3fff) !== 0,
      ecn: frame[at + 1] & CE,
    };
  }
  if (type !== 0x86dd || frame.length < at + 40 || frame[at] >>> 4 !== 6) return undefined;
  return {
    destination: frame.subarray(at + 24, at + 40),
    protocol: frame[at + 6],
    next: at + 40,
    end: at + 40 + u16(frame, at + 4),
    isFragment: false,
    ecn: (frame[at + 1] >>> 4) & CE,
  };
}

interface Inner {
  readonly at: number;
  readonly family: 4 | 6;
  readonly remote?: { readonly start: number; readonly offset: number };
}

function readTunnel(frame: Uint8Array, { protocol, next }: Ip, rules: DecapRules): Inner | undefined {
  const has = (length: number): boolean => frame.length >= next + length;
  if (protocol === 47) {
    if (!rules.types.includes('gre') || !has(4)) return undefined;
    const flags = u16(frame, next);
    const type = u16(frame, next + 2);
    if ((flags !== 0 && flags !== 0x8000) || (type !== 0x0800 && type !== 0x86dd)) return undefined;
    return { at: next + (flags === 0 ? 4 : 8), family: type === 0x0800 ? 4 : 6 };
  }
  if (protocol === 17) {
    if (!rules.types.includes('gue') || !has(12) || u16(frame, next + 2) !== rules.guePort) return undefined;
    const family = familyOf(frame[next + 9]);
    const flags = u16(frame, next + 10);
    if (family === undefined) return undefined;
    if (flags === 0 && frame[next + 8] === 0) return { at: next + 12, family };
    if (flags !== 1 || frame[next + 8] !== 2 || !has(20)) return undefined;
    if (u16(frame, next + 12) !== 0x8000 || u16(frame, next + 14) !== 0) return undefined;
    return { at: next + 20, family, remote: { start: u16(frame, next + 16), offset: u16(frame, next + 18) } };
  }
  const family = familyOf(protocol);
  return family === undefined || !rules.types.includes('ipip') ? undefined : { at: next, family };
}

function complete(packet: Uint8Array, length: number, remote: { start: number; offset: number }): boolean {
  const { start, offset } = remote;
  if (offset <= start || offset + 2 > length || length - start > 4096) return false;
  const sum = internetChecksum(packet.subarray(start, length)) || 0xffff;
  packet.set([sum >>> 8, sum & 255], offset);
  return true;
}

function markCongestion(packet: Uint8Array, family: 4 | 6): void {
  if (family === 6) {
    packet[1] |= 0x30;
    return;
  }
  // The change alone goes into the checksum, so that a wrong one stays wrong.
  const before = u16(packet, 0);
  packet[1] |= CE;
  let sum = (~u16(packet, 10) & 0xffff) + (~before & 0xffff) + u16(packet, 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  packet.set([(~sum >>> 8) & 255, ~sum & 255], 10);
}

function familyOf(protocol: number): 4 | 6 | undefined {
  return protocol === 4 ? 4 : protocol === 41 ? 6 : undefined;
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

// SPDX-License-Identifier: Apache-2.0
// iptables' targets as far as they matter for firewall marks: what they write, whether they end the walk, and what
// cannot be done here. Used for iptables-legacy and for nft's `target` expressions. Pure.

import { NATIVE_LE } from '../libc.ts';
import { slice } from './xt-test.ts';

/** What a target that cannot be done here may do, for whoever has to leave its rule out. */
export interface XtEffects {
  readonly marks?: boolean;
  readonly drops?: boolean;
  /** It ends the chain. */
  readonly ends?: boolean;
  /** It changes the packet. */
  readonly alters?: boolean;
}

export type XtTarget =
  /** Nothing that a mark could depend on. */
  | { readonly type: 'nothing' }
  | { readonly type: 'drop' }
  | { readonly type: 'untrack' }
  /** `(mark & markAnd) ^ (connection mark & ctAnd) ^ xor` becomes the mark, or the connection's. */
  | {
      readonly type: 'write';
      readonly toConnection: boolean;
      readonly markAnd: number;
      readonly ctAnd: number;
      readonly xor: number;
    }
  | { readonly type: 'unreadable'; readonly reason: string; readonly effects: XtEffects };

const HARMLESS: readonly string[] = [
  ...['AUDIT', 'CHECKSUM', 'CLASSIFY', 'CONNSECMARK', 'IDLETIMER', 'LED', 'LOG', 'NFLOG', 'RATEEST', 'SECMARK'],
  ...['TEE', 'TRACE', 'ULOG'],
];

/** Anything, for a target that nobody here has heard of. */
const ANYTHING: XtEffects = { marks: true, drops: true, ends: true, alters: true };
const NAT: XtEffects = { ends: true, alters: true };
const CHANGE: XtEffects = { alters: true };

const UNREADABLE: Readonly<Record<string, XtEffects>> = {
  DNAT: NAT,
  REDIRECT: NAT,
  NETMAP: NAT,
  SNAT: NAT,
  MASQUERADE: NAT,
  NFQUEUE: { ends: true, drops: true },
  SYNPROXY: { ends: true, drops: true },
  TPROXY: { ends: true, marks: true },
  HMARK: { marks: true },
  DSCP: CHANGE,
  ECN: CHANGE,
  HL: CHANGE,
  TCPMSS: CHANGE,
  TCPOPTSTRIP: CHANGE,
  TOS: CHANGE,
  TTL: CHANGE,
};

const XT_CT_NOTRACK = 1;

/** Throws NetlinkFormatError for one that is cut short. */
export function readTarget(name: string, revision: number, info: DataView): XtTarget {
  if (HARMLESS.includes(name)) return { type: 'nothing' };
  switch (name) {
    case 'REJECT':
    case 'DROP':
      return { type: 'drop' };
    case 'NOTRACK':
      return { type: 'untrack' };
    //  0 flags(2) …
    case 'CT':
      return { type: (u16(info, 0) & XT_CT_NOTRACK) !== 0 ? 'untrack' : 'nothing' };
    //  0 mark(4)  4 mask(4)
    case 'MARK':
      if (revision !== 2) break;
      return { type: 'write', toConnection: false, markAnd: ~u32(info, 4), ctAnd: 0, xor: u32(info, 0) | 0 };
    case 'CONNMARK':
      if (revision === 1 || revision === 2) return connmark(info, revision);
      break;
    default:
      if (Object.hasOwn(UNREADABLE, name)) {
        return { type: 'unreadable', reason: `target '${name}'`, effects: UNREADABLE[name] };
      }
  }
  return { type: 'unreadable', reason: `target '${name}' revision ${revision}`, effects: ANYTHING };
}

//  0 connection mark(4)  4 connection mask(4)  8 packet mask(4)  12 mode(1)
//  revision 2: … 12 direction(1)  13 bits(1)  14 mode(1)
function connmark(info: DataView, revision: number): XtTarget {
  const value = u32(info, 0) | 0;
  const connectionMask = u32(info, 4) | 0;
  const packetMask = u32(info, 8) | 0;
  if (revision === 2 && slice(info, 13, 1)[0] !== 0) {
    return { type: 'unreadable', reason: "shift of target 'CONNMARK'", effects: { marks: true } };
  }
  const mode = slice(info, revision === 2 ? 14 : 12, 1)[0];
  switch (mode) {
    case 0:
      return { type: 'write', toConnection: true, markAnd: 0, ctAnd: ~connectionMask, xor: value };
    case 1:
      return { type: 'write', toConnection: true, markAnd: packetMask, ctAnd: ~connectionMask, xor: 0 };
    case 2:
      return { type: 'write', toConnection: false, markAnd: ~packetMask, ctAnd: connectionMask, xor: 0 };
    default:
      return { type: 'nothing' };
  }
}

function u16(info: DataView, at: number): number {
  return new DataView(slice(info, at, 2).buffer).getUint16(0, NATIVE_LE);
}

function u32(info: DataView, at: number): number {
  return new DataView(slice(info, at, 4).buffer).getUint32(0, NATIVE_LE);
}

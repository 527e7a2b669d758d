// SPDX-License-Identifier: Apache-2.0
// Reads nftables' rules of a namespace, all of one generation: when they change meanwhile, once more. Elements of sets
// are read when somebody wants them, since a set may be large and of no interest. Reading changes nothing.

import { SysError } from '../errno.ts';
import type { NetlinkSocket } from '../netlink.ts';
import { type MessageBuilder, type NetlinkMessage, need, parseAttributes } from '../netlink-message.ts';
import {
  be32,
  NFGEN_LENGTH,
  NFPROTO_UNSPEC,
  NFT_MSG_GETCHAIN,
  NFT_MSG_GETGEN,
  NFT_MSG_GETRULE,
  NFT_MSG_GETSET,
  NFT_MSG_GETSETELEM,
  NFT_MSG_GETTABLE,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWSET,
  NFT_MSG_NEWSETELEM,
  NFT_MSG_NEWTABLE,
  nftMessage,
  nftRequest,
  openNetfilterSocket,
} from './nfnetlink.ts';
import {
  type NftChain,
  type NftElement,
  type NftRule,
  type NftSet,
  type NftTable,
  parseChain,
  parseElements,
  parseRule,
  parseSet,
  parseTable,
} from './nft-message.ts';

/** Readings that the rules may change under before that counts as a failure. */
const ATTEMPTS = 4;

/** What the kernel says when it has no nf_tables: no such socket, no such subsystem. */
const ABSENT: readonly string[] = ['EPROTONOSUPPORT', 'EAFNOSUPPORT', 'EOPNOTSUPP', 'EINVAL'];

const NFTA_GEN_ID = 1;

/** Everything in the kernel's order: chains of a table and rules of a chain as they were made and are walked. */
export interface NftRules {
  readonly tables: readonly NftTable[];
  readonly chains: readonly NftChain[];
  readonly rules: readonly NftRule[];
  readonly sets: readonly NftSet[];
  /** Asks the kernel for a set's content. */
  elements(set: NftSet): NftElement[];
}

export const NO_NFT_RULES: NftRules = { tables: [], chains: [], rules: [], sets: [], elements: () => [] };

/** Reading took longer than it may. */
export class SlowReadError extends Error {
  readonly code = 'BALLAST_SLOW_READ';

  constructor(mostMs: number) {
    super(`reading the firewall rules takes more than ${mostMs} ms`);
    this.name = 'SlowReadError';
  }
}

/**
 * What `use` makes of the rules in force, which may be called again when they change under it. Throws SysError,
 * NetlinkFormatError, or SlowReadError after `mostMs`.
 */
export function readNftRules<T>(mostMs: number, use: (rules: NftRules) => T): T {
  const deadline = performance.now() + mostMs;
  const socket = openSocket();
  if (socket === undefined) return use(NO_NFT_RULES);
  try {
    for (let attempt = 1; ; attempt++) {
      const generation = readGeneration(socket);
      if (generation === undefined) return use(NO_NFT_RULES);
      const made = use(readAll(socket, deadline, mostMs));
      if (readGeneration(socket) === generation) return made;
      if (attempt === ATTEMPTS) throw new SysError('nfnetlink', 'EAGAIN', 'read rules', 'they keep changing');
    }
  } finally {
    socket.close();
  }
}

function openSocket(): NetlinkSocket | undefined {
  try {
    return openNetfilterSocket();
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** Undefined when the kernel has no nf_tables. */
function readGeneration(socket: NetlinkSocket): number | undefined {
  try {
    return socket.get(nftRequest(NFT_MSG_GETGEN, NFPROTO_UNSPEC), 'read the generation of rules', (message) =>
      be32(parseAttributes(need(message.payload, NFGEN_LENGTH, 'nfgenmsg'), NFGEN_LENGTH), NFTA_GEN_ID, 0),
    );
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof SysError && ABSENT.includes(error.errno);
}

function readAll(socket: NetlinkSocket, deadline: number, mostMs: number): NftRules {
  const dump = <T>(builder: MessageBuilder, answer: number, what: string, parse: (message: NetlinkMessage) => T): T[] =>
    socket.dump(builder, `list ${what}`, (message) => {
      if (performance.now() > deadline) throw new SlowReadError(mostMs);
      return nftMessage(message.type) === answer ? parse(message) : undefined;
    });
  const all = <T>(question: number, answer: number, what: string, parse: (message: NetlinkMessage) => T): T[] =>
    dump(nftRequest(question, NFPROTO_UNSPEC), answer, what, parse);
  return {
    tables: all(NFT_MSG_GETTABLE, NFT_MSG_NEWTABLE, 'tables', parseTable),
    chains: all(NFT_MSG_GETCHAIN, NFT_MSG_NEWCHAIN, 'chains', parseChain),
    rules: all(NFT_MSG_GETRULE, NFT_MSG_NEWRULE, 'rules', parseRule),
    sets: all(NFT_MSG_GETSET, NFT_MSG_NEWSET, 'sets', parseSet),
    elements: (set) => {
      const request = nftRequest(NFT_MSG_GETSETELEM, set.family).text(1, set.table).text(2, set.name);
      return dump(request, NFT_MSG_NEWSETELEM, `elements of '${set.name}'`, (message) =>
        parseElements(message, set),
      ).flat();
    },
  };
}

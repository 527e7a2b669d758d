// SPDX-License-Identifier: Apache-2.0
// The machine that a director runs on, for tests: the addresses that it holds, and the one from which it speaks to servers.

import type { HostAddresses } from '../../src/lvs/host-addresses.ts';
import { type Address, addressFamily, addressWords } from '../../src/packet/address.ts';

/** A machine with `own` addresses; it speaks from the first one of a family, or has no way there. */
export function machine(...own: readonly string[]): HostAddresses {
  const held = own.map((text) => ({ family: addressFamily(text as Address), words: addressWords(text as Address) }));
  const isLocal = (family: number, words: ArrayLike<number>): boolean =>
    held.some((one) => one.family === family && one.words.every((word, i) => word === words[i]));
  return {
    isLocal,
    sourceFor: (family) => held.find((one) => one.family === family)?.words,
    deliversMarked: () => true,
  };
}

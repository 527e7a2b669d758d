// SPDX-License-Identifier: Apache-2.0
// The machine that a director runs on, for tests: the addresses that it holds, the one from which it speaks to servers, and
// how long its ways are.

import { type HostAddresses, PATH_LOCAL, PATH_NONE, PATH_OUT } from '../../src/lvs/host-addresses.ts';
import { type Address, type AddressWords, addressFamily, addressWords } from '../../src/packet/address.ts';

/** A machine with `own` addresses; it speaks from the first one of a family, or has no way there. */
export function machine(...own: readonly string[]): HostAddresses {
  return new TestMachine(own);
}

export class TestMachine implements HostAddresses {
  changes = 0;
  leastMtu = 0xffff;
  /** MTU of every way. */
  #mtu = 0xffff;
  readonly #held: { family: number; words: AddressWords }[];
  readonly #unreachable: { family: number; words: AddressWords }[] = [];

  constructor(own: readonly string[]) {
    this.#held = own.map(parse);
  }

  /** All ways are so long from now on. */
  set mtu(mtu: number) {
    this.#mtu = mtu;
    this.leastMtu = mtu;
    this.changes++;
  }

  /** No route leads there any more. */
  cut(address: string): void {
    this.#unreachable.push(parse(address));
    this.changes++;
  }

  isLocal(family: number, words: ArrayLike<number>): boolean {
    return has(this.#held, family, words) || isLoopback(family, words);
  }

  sourceFor(family: number): AddressWords | undefined {
    return this.#held.find((one) => one.family === family)?.words;
  }

  pathTo(family: number, words: ArrayLike<number>): ReturnType<HostAddresses['pathTo']> {
    if (this.isLocal(family, words)) return { kind: PATH_LOCAL, mtu: 0, source: undefined };
    if (has(this.#unreachable, family, words)) return { kind: PATH_NONE, mtu: 0, source: undefined };
    return { kind: PATH_OUT, mtu: this.#mtu, source: this.sourceFor(family) };
  }

  deliversMarked(): boolean {
    return true;
  }
}

function parse(text: string): { family: number; words: AddressWords } {
  return { family: addressFamily(text as Address), words: addressWords(text as Address) };
}

function has(
  list: readonly { family: number; words: AddressWords }[],
  family: number,
  words: ArrayLike<number>,
): boolean {
  return list.some((one) => one.family === family && one.words.every((word, i) => word === words[i]));
}

function isLoopback(family: number, words: ArrayLike<number>): boolean {
  return family === 4 ? words[0] >>> 24 === 127 : (words[0] | words[1] | words[2]) === 0 && words[3] === 1;
}

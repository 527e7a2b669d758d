// SPDX-License-Identifier: Apache-2.0
// What nftables' registers hold while a rule is being read: not values, but where the values would come from. Sixteen
// words, as in struct nft_regs; expressions fill them and change them, tests and statements take them.

import { type Field, FROM_PROTOCOL, isNumber, sizeMask, type Word } from '../../lvs/classify/rules.ts';
import { UnreadableError } from './draft.ts';
import type { SetContent } from './nft-sets.ts';

const REGISTERS = 16;
const WORD_BYTES = 4;

/** A map's value, to be looked up when it is used. */
export interface MapValue {
  readonly field: Field;
  readonly content: SetContent;
  /** By range, numbers in host order. */
  readonly values: readonly number[];
  /** -1: none. */
  readonly otherwise: number;
}

/** One word of the registers. */
export type Cell =
  /** Bits of the packet; `host` when the register has the number in the machine's byte order. */
  | { readonly kind: 'word'; readonly word: Word; readonly host: boolean }
  /** The register's bytes, the first in the top bits. */
  | { readonly kind: 'constant'; readonly bits: number }
  | { readonly kind: 'map'; readonly value: MapValue };

export class NftRegisters {
  readonly #cells: (Cell | undefined)[] = new Array<undefined>(REGISTERS).fill(undefined);

  set(register: number, cells: readonly Cell[]): void {
    for (const [i, cell] of cells.entries()) this.#cells[this.#place(register + i)] = cell;
  }

  get(register: number): Cell {
    const cell = this.#cells[this.#place(register)];
    if (cell === undefined) throw new UnreadableError('a register that nothing is in');
    return cell;
  }

  /** Takes the packet's bits in words. */
  load(register: number, field: Field): void {
    this.set(
      register,
      field.map((word) => ({ kind: 'word', word, host: isNumber(word.source) })),
    );
  }

  /** Takes bytes as they are. */
  store(register: number, value: Uint8Array): void {
    const cells: Cell[] = [];
    for (let at = 0; at < value.length; at += WORD_BYTES) cells.push({ kind: 'constant', bits: bitsAt(value, at) });
    this.set(register, cells);
  }

  /**
   * What a test of `length` bytes looks at, and of each word whether it is in host order. A constant is a word of which
   * no bit counts.
   */
  field(register: number, length: number): { field: Field; isHost: boolean[]; isConstant: boolean } {
    const field: Word[] = [];
    const isHost: boolean[] = [];
    let isConstant = true;
    for (let at = 0; at < length; at += WORD_BYTES) {
      const cell = this.get(register + at / WORD_BYTES);
      const size = Math.min(WORD_BYTES, length - at);
      if (cell.kind === 'map') throw new UnreadableError("a test of a map's value");
      if (cell.kind === 'constant') {
        field.push({ ...NOTHING, xor: cell.bits & sizeMask(size) });
        isHost.push(false);
        continue;
      }
      if (cell.host && size !== WORD_BYTES) throw new UnreadableError('a part of a number in host order');
      isConstant = false;
      field.push(truncate(cell.word, size));
      isHost.push(cell.host);
    }
    return { field, isHost, isConstant };
  }

  /** `to` becomes `from` with masks, word by word of `length` bytes. */
  mask(from: number, to: number, length: number, mask: Uint8Array, xor: Uint8Array): void {
    const cells: Cell[] = [];
    for (let at = 0; at < length; at += WORD_BYTES) {
      cells.push(masked(this.get(from + at / WORD_BYTES), bitsAt(mask, at), bitsAt(xor, at)));
    }
    this.set(to, cells);
  }

  /** `to` becomes `from` shifted, to the right for positive `bits`. */
  shift(from: number, to: number, length: number, bits: number): void {
    if (length > WORD_BYTES) throw new UnreadableError('a shift across words');
    const cell = this.get(from);
    if (cell.kind !== 'word' || cell.word.shift !== 0 || Math.abs(bits) > 31) {
      throw new UnreadableError('a shift of what is no field');
    }
    const { word, host } = cell;
    if (!host) {
      const lost = ((1 << bits) - 1) << 24;
      const isPlain = bits > 0 && bits < 8 && word.size === 1 && ((word.and | word.xor) & lost) === 0;
      if (!isPlain) throw new UnreadableError('a shift of bytes of the packet');
    }
    this.set(to, [{ kind: 'word', word: { ...word, shift: bits }, host }]);
  }

  /** Turns words of four bytes around. */
  swap(from: number, to: number, length: number, size: number): void {
    if (size !== WORD_BYTES) throw new UnreadableError(`another byte order of ${size} bytes`);
    const cells: Cell[] = [];
    for (let at = 0; at < length; at += WORD_BYTES) {
      const cell = this.get(from + at / WORD_BYTES);
      if (cell.kind === 'constant') cells.push({ kind: 'constant', bits: swapped(cell.bits) });
      else if (cell.kind === 'word' && isNumber(cell.word.source)) cells.push({ ...cell, host: !cell.host });
      else throw new UnreadableError('another byte order of bytes of the packet');
    }
    this.set(to, cells);
  }

  #place(register: number): number {
    if (register >= 0 && register < REGISTERS) return register;
    throw new UnreadableError(`register word ${register}`);
  }
}

/** Four bytes from `at` as a word, the first in the top bits, zeros behind the last. */
export function bitsAt(bytes: Uint8Array, at: number): number {
  const byte = (i: number): number => bytes[at + i] ?? 0;
  return (byte(0) << 24) | (byte(1) << 16) | (byte(2) << 8) | byte(3);
}

/** The number that four bytes in host order are. */
export function swapped(bits: number): number {
  return (bits >>> 24) | ((bits >>> 8) & 0xff00) | ((bits << 8) & 0xff0000) | (bits << 24);
}

/** A word of which no bit counts, from a source that is always there. */
const NOTHING: Word = { source: FROM_PROTOCOL, offset: 0, size: 4, and: 0, xor: 0, shift: 0 };

function masked(cell: Cell, mask: number, xor: number): Cell {
  if (cell.kind === 'constant') return { kind: 'constant', bits: (cell.bits & mask) ^ xor };
  if (cell.kind === 'map') {
    const change = (value: number): number => ((value & swapped(mask)) ^ swapped(xor)) >>> 0;
    const { values, otherwise } = cell.value;
    const changed = { values: values.map(change), otherwise: otherwise < 0 ? otherwise : change(otherwise) };
    return { kind: 'map', value: { ...cell.value, ...changed } };
  }
  const { word, host } = cell;
  const and = host ? swapped(mask) : mask;
  const flip = host ? swapped(xor) : xor;
  if (word.shift < 0) throw new UnreadableError('a mask behind a shift to the left');
  const { shift } = word;
  const before = and << shift;
  if ((flip << shift) >>> shift !== flip >>> 0) throw new UnreadableError('a mask behind a shift');
  return {
    kind: 'word',
    word: { ...word, and: word.and & before, xor: (word.xor & before) ^ (flip << shift) },
    host,
  };
}

/** The leading bytes of a word alone. */
function truncate(word: Word, size: number): Word {
  const mask = sizeMask(size);
  if (size === WORD_BYTES) return word;
  return word.shift === 0 ? { ...word, and: word.and & mask, xor: word.xor & mask } : word;
}

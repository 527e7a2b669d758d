// SPDX-License-Identifier: Apache-2.0
// The Call-ID of a SIP message (RFC 3261 §20.8), found as the kernel's persistence engine finds it (ip_vs_pe_sip.c with
// nf_conntrack_sip.c): a header line `Call-Id` or `i`, a word, perhaps `@` and another word, and the end of the line.
// Only for services with that engine; makes text.

/** Longest Call-ID that is taken (IP_VS_PEDATA_MAXLEN). */
const MAX_LENGTH = 255;

const CR = 13;
const LF = 10;
const TAB = 9;
const SPACE = 32;
const COLON = 58;
const AT = 64;

const NAME = 'call-id';
const COMPACT_NAME = 'i';
/** Characters of a word beside letters and digits. */
const WORD_MARKS: ReadonlySet<number> = new Set([...'-.!%*_+`\'~()<>:\\"/[]?{}'].map((mark) => mark.charCodeAt(0)));

/** The Call-ID in the bytes `start` … `end` of a message, or undefined when it has none that counts. */
export function findCallId(view: DataView, start: number, end: number): string | undefined {
  let from = start;
  for (let at = from; at < end; at++) {
    at = lineAfter(view, at, end);
    if (at >= end) return undefined;
    const byte = view.getUint8(at);
    if (byte === SPACE || byte === TAB) continue;
    const name = nameLength(view, at, end);
    if (name === 0) continue;
    const colon = skipSpace(view, at + name, end);
    if (colon >= end || view.getUint8(colon) !== COLON) return undefined;
    const value = skipSpace(view, colon + 1, end);
    if (value >= end) return undefined;
    const length = callIdLength(view, value, end);
    if (length === 0) {
      // An empty one does not count: the next may. The kernel goes on as far behind where it began as the value stands in
      // the message, which the first time is at the value.
      from += value - start;
      at = from - 1;
      continue;
    }
    return isTerminated(view, value + length, end) && length <= MAX_LENGTH ? textOf(view, value, length) : undefined;
  }
  return undefined;
}

/** Start of the line after the next line's end at or behind `at`, or `end`. */
function lineAfter(view: DataView, at: number, end: number): number {
  for (let i = at; i < end; i++) {
    const byte = view.getUint8(i);
    if (byte === CR) return i + 1 < end && view.getUint8(i + 1) === LF ? i + 2 : i + 1;
    if (byte === LF) return i + 1;
  }
  return end;
}

/** Length of the header's name at `at`, 0 when another header is there. */
function nameLength(view: DataView, at: number, end: number): number {
  if (startsWith(view, at, end, NAME)) return NAME.length;
  const after = at + COMPACT_NAME.length;
  const isCompact = after < end && startsWith(view, at, end, COMPACT_NAME) && !isLetter(view.getUint8(after));
  return isCompact ? COMPACT_NAME.length : 0;
}

function startsWith(view: DataView, at: number, end: number, lowerCase: string): boolean {
  if (end - at < lowerCase.length) return false;
  for (let i = 0; i < lowerCase.length; i++) {
    const byte = view.getUint8(at + i);
    const lower = byte >= 65 && byte <= 90 ? byte + 32 : byte;
    if (lower !== lowerCase.charCodeAt(i)) return false;
  }
  return true;
}

/** First byte behind blanks, which may go on in a continuation line; `end` when there is none. */
function skipSpace(view: DataView, at: number, end: number): number {
  let i = skipBlanks(view, at, end);
  if (i >= end || (view.getUint8(i) !== CR && view.getUint8(i) !== LF)) return i;
  i = lineAfter(view, i, end);
  if (i >= end || (view.getUint8(i) !== SPACE && view.getUint8(i) !== TAB)) return end;
  return skipBlanks(view, i, end);
}

function skipBlanks(view: DataView, at: number, end: number): number {
  let i = at;
  while (i < end && (view.getUint8(i) === SPACE || view.getUint8(i) === TAB)) i++;
  return i;
}

function callIdLength(view: DataView, at: number, end: number): number {
  const word = wordLength(view, at, end);
  if (word === 0 || at + word === end || view.getUint8(at + word) !== AT) return word;
  const domain = wordLength(view, at + word + 1, end);
  return domain === 0 ? 0 : word + 1 + domain;
}

function wordLength(view: DataView, at: number, end: number): number {
  let i = at;
  while (i < end && isWordByte(view.getUint8(i))) i++;
  return i - at;
}

function isWordByte(byte: number): boolean {
  return isLetter(byte) || (byte >= 48 && byte <= 57) || WORD_MARKS.has(byte);
}

/** Letters as the kernel has them: those of Latin-1. */
function isLetter(byte: number): boolean {
  if (byte >= 0xc0) return byte !== 0xd7 && byte !== 0xf7;
  return (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122);
}

function isTerminated(view: DataView, at: number, end: number): boolean {
  return at < end && (view.getUint8(at) === CR || view.getUint8(at) === LF);
}

function textOf(view: DataView, at: number, length: number): string {
  let text = '';
  for (let i = 0; i < length; i++) text += String.fromCharCode(view.getUint8(at + i));
  return text;
}

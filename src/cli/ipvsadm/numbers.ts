// SPDX-License-Identifier: Apache-2.0
// Numbers of the command line as C's strtol(3) with base 10 reads them: blanks and a sign in front, nothing behind.

import { ArgumentError } from './messages.ts';

const MAX_TIMEOUT_SECONDS = 31 * 24 * 60 * 60;

/** The number in `text`, or undefined when it is none or outside `minimum` … `maximum`. */
export function parseNumber(text: string, minimum: number, maximum: number): number | undefined {
  if (!/^[ \t\n\v\f\r]*[+-]?[0-9]+$/.test(text)) return undefined;
  const value = Number(text) + 0; // -0 becomes 0
  return value >= minimum && value <= maximum ? value : undefined;
}

/** Seconds of -p and --set. */
export function parseTimeout(text: string, minimum: 0 | 1): number {
  const seconds = parseNumber(text, minimum, MAX_TIMEOUT_SECONDS);
  if (seconds === undefined) throw new ArgumentError(`invalid timeout value \`${text}' specified`);
  return seconds;
}

/** As C's atoi(3): the leading number, 0 when there is none. */
export function leadingNumber(text: string): number {
  return Number(/^[ \t\n\v\f\r]*([+-]?[0-9]+)/.exec(text)?.[1] ?? 0) + 0;
}

/**
 * An IPv4 address as inet_aton(3) reads it: one to four parts, each decimal, octal (`010`) or hexadecimal (`0x0a`), the
 * last filling what is left (`10.1` is 10.0.0.1); whatever follows a blank is ignored. Undefined when it is none.
 */
export function parseInetAton(text: string): number | undefined {
  const parts = text.split(/[ \t\n\v\f\r]/, 1)[0].split('.');
  if (parts.length > 4) return undefined;
  const values: number[] = [];
  for (const part of parts) {
    const match = /^(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))$/.exec(part);
    if (match === null) return undefined;
    const [, hex, octal, decimal] = match;
    values.push(
      hex !== undefined
        ? Number.parseInt(hex, 16)
        : octal !== undefined
          ? Number.parseInt(octal, 8)
          : Number.parseInt(decimal, 10),
    );
  }
  const last = values.pop()!;
  if (values.some((value) => value > 255) || last >= 256 ** (4 - values.length)) return undefined;
  return values.reduce((word, value, i) => word + value * 256 ** (3 - i), last) | 0;
}

// SPDX-License-Identifier: Apache-2.0
// What `ballast mark list` prints: the kernel's rules first, as packets meet them first, then the user's own.

import type { MarksSnapshot } from '../dataplane/dataplane.ts';
import { formatMarkRule } from '../lvs/classify/mark-rules.ts';
import type { RulePlace } from '../lvs/model.ts';

export function formatMarks({ kernel, rules }: MarksSnapshot): string {
  const parts: string[] = [];
  if (kernel !== undefined) {
    const marking = kernel.rules.map((rule) => [formatPlace(rule), rule.text]);
    parts.push(section('Rules of the kernel that mark packets', marking));
    if (kernel.unreadable.length > 0) {
      const left = kernel.unreadable.map((rule) => [formatPlace(rule), rule.reason]);
      parts.push(section('Rules of the kernel that are left out, because not all that they say can be done', left));
    }
    if (kernel.problem !== undefined) parts.push(`These are not read anew: ${kernel.problem}\n`);
  }
  const own = rules.map((rule) => [`${rule.number}`, formatMarkRule(rule)]);
  parts.push(section("Rules of 'ballast mark', by number", own));
  return parts.join('\n');
}

/** `ip mangle PREROUTING handle 4`, `iptables-legacy ip mangle PREROUTING 2`. */
function formatPlace({ source, family, table, chain, number }: RulePlace): string {
  const place = [family, table, chain].filter((part) => part !== '').join(' ');
  if (source === 'iptables-legacy') return number === 0 ? `${source} ${place}` : `${source} ${place} ${number}`;
  return number === 0 ? place : `${place} handle ${number}`;
}

function section(title: string, rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return `${title}: none\n`;
  const width = Math.max(...rows.map(([place]) => place.length));
  return `${title}:\n${rows.map(([place, text]) => `  ${place.padEnd(width)}  ${text}\n`).join('')}`;
}

// SPDX-License-Identifier: Apache-2.0
// What a test needs from the machine. A test passes the result as its `skip` option, so that a plain user sees why it
// did not run; with CI=true a missing need throws, because there a skip would hide a failure.

import koffi from 'koffi';
import { missingPrograms, type Program, packagesOf, TEST_PROGRAMS } from '../../scripts/packages.ts';

/** `xdp` is a kernel with AF_XDP sockets, and root to open one. */
export type Requirement = 'root' | 'xdp' | `program:${Program}`;

const AF_XDP = 44;
const SOCK_RAW = 3;

/** False when everything is there, else the reason to skip, which names the remedy. */
export function requirements(...needs: readonly Requirement[]): string | false {
  const reasons = needs.map(reasonAgainst).filter((reason) => reason !== undefined);
  if (reasons.length === 0) return false;
  const reason = [...new Set(reasons)].join('; ');
  if (process.env.CI === 'true') throw new Error(`CI=true allows no skipped test, but this one ${reason}`);
  return reason;
}

function reasonAgainst(need: Requirement): string | undefined {
  if (need === 'root') return isRoot() ? undefined : 'needs root';
  if (need === 'xdp') return reasonAgainstXdp();
  const program = need.slice('program:'.length) as Program;
  if (!TEST_PROGRAMS.includes(program)) throw new Error(`add '${program}' to TEST_PROGRAMS in scripts/packages.ts`);
  if (missingPrograms([program]).length === 0) return undefined;
  return `needs ${program} (apt-get install ${packagesOf(program).join(' ')})`;
}

function reasonAgainstXdp(): string | undefined {
  if (!isRoot()) return 'needs root';
  const library = koffi.load(null);
  const socket = library.func('int socket(int, int, int)');
  const close = library.func('int close(int)');
  const fd: number = socket(AF_XDP, SOCK_RAW, 0);
  if (fd < 0) return 'needs a kernel with AF_XDP (CONFIG_XDP_SOCKETS)';
  close(fd);
  return undefined;
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

// SPDX-License-Identifier: Apache-2.0
// `ballast sysctl`: the director's settings of net.ipv4.vs, as sysctl(8) shows and sets the kernel's. Several are set all
// or none, by the director.

import { parseArgs } from 'node:util';
import { socketPath } from '../daemon/protocol.ts';
import { refuseSysctl, SYSCTL_NAMES } from '../lvs/sysctl.ts';
import { withDaemon } from './client.ts';
import { UsageError } from './usage-error.ts';

export const SYSCTL_HELP = `usage: ballast sysctl [-n] [NAME ...]
       ballast sysctl [-n] [-w] NAME=VALUE ...

Shows the director's settings of net.ipv4.vs, all of them or those named, or sets some, all or none. Names may be given
with or without net.ipv4.vs in front. What each does: docs/compatibility.md.

  -w, --write      only set: every word has to be NAME=VALUE
  -n, --values     print values without names
  -a, --all        all, as without names
  --socket PATH    socket of the daemon
`;

const PREFIX = 'net.ipv4.vs.';

/** Runs the command, returns its exit status. */
export async function runSysctl(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      write: { type: 'boolean', short: 'w' },
      values: { type: 'boolean', short: 'n' },
      all: { type: 'boolean', short: 'a' },
      socket: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    process.stdout.write(SYSCTL_HELP);
    return 0;
  }
  const isWrite = values.write === true;
  if (isWrite && positionals.length === 0) throw new UsageError('-w takes NAME=VALUE');
  const { names, changes } = readWords(positionals, isWrite);
  await withDaemon(values.socket ?? socketPath(process.env), async (client) => {
    let { sysctls } = await client.snapshot();
    for (const name of names) if (!Object.hasOwn(sysctls, name)) throw refuseSysctl(name);
    if (Object.keys(changes).length > 0) {
      await client.apply({ type: 'set-sysctls', values: changes });
      sysctls = (await client.snapshot()).sysctls;
    }
    const shown = names.length === 0 || values.all === true ? Object.keys(sysctls) : names;
    const line = (name: string): string => (values.values === true ? '' : `${PREFIX}${name} = `) + sysctls[name];
    process.stdout.write(shown.map((name) => `${line(name)}\n`).join(''));
  });
  return 0;
}

/** Names in their order, to be shown, and what some are set to first. Throws a {@link UsageError}, or the refusal of a name. */
export function readWords(
  words: readonly string[],
  isWrite: boolean,
): { names: string[]; changes: Record<string, number> } {
  const names: string[] = [];
  const changes = new Map<string, number>();
  for (const word of words) {
    const equals = word.indexOf('=');
    if (equals === -1 && isWrite) throw new UsageError(`'${word}' is not NAME=VALUE`);
    const name = plainName(equals === -1 ? word : word.slice(0, equals).trim());
    names.push(name);
    if (equals !== -1) changes.set(name, numberIn(word, name, word.slice(equals + 1).trim()));
  }
  return { names, changes: Object.fromEntries(changes) };
}

/** `net.ipv4.vs.drop_entry`, `net/ipv4/vs/drop_entry` or `drop_entry`. */
function plainName(text: string): string {
  return text.replace(/^net([./])ipv4\1vs\1/, '');
}

function numberIn(word: string, name: string, value: string): number {
  if (/^-?\d{1,15}$/.test(value)) return Number(value);
  // The kernel has some that are no numbers; why they are not here says more.
  if (!SYSCTL_NAMES.includes(name)) throw refuseSysctl(name);
  throw new UsageError(`'${word}' sets no number`);
}

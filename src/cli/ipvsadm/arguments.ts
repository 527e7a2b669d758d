// SPDX-License-Identifier: Apache-2.0
// Words to draft: walks over a command line as ipvsadm 1.31 does, checking each value as it comes, so that of several
// mistakes the same one is reported. What fits with what is decided afterwards, by rules.ts.

import type { SchedulerFlag } from '../../lvs/model.ts';
import type { Command } from './command.ts';
import { type Draft, newDraft } from './draft.ts';
import { ArgumentError, tryHelp } from './messages.ts';
import type { Names } from './names.ts';
import { parseTimeout } from './numbers.ts';
import { readOption } from './option-values.ts';
import { type CommandName, WORDS, type WordName } from './options.ts';
import { PoptReader } from './popt.ts';
import { draftToCommand } from './rules.ts';

/** Characters of the value of -b that are looked at. */
const FLAG_TEXT_MAX = 127;

/** The command that `words` (without the program's name) ask for. Throws an {@link ArgumentError}. */
export async function parseArguments(words: readonly string[], names: Names): Promise<Command> {
  if (words.length === 0) return draftToCommand(newDraft('list'));
  const reader = new PoptReader(WORDS, words);
  const first = reader.next();
  if (first === undefined || first.kind === 'error') throw tryHelp();
  if (first.name === 'help' || first.name === 'version') return { type: first.name };
  if (!isCommand(first.name)) throw tryHelp();
  const draft = newDraft(first.name);
  if (first.name === 'start-daemon') draft.role = role(first.value, 'illegal start-daemon parameter specified');
  if (first.name === 'stop-daemon') draft.role = role(first.value, 'illegal start_daemon specified');
  for (let item = reader.next(); item !== undefined; item = reader.next()) {
    if (item.kind === 'error') throw new ArgumentError(`${reader.lastWord}: ${item.reason}`, 255, false);
    await readOption(draft, item.name, item.value ?? '', item.value !== undefined, reader.lastWord, names);
  }
  const rest = reader.leftovers;
  if (draft.command === 'set') {
    const [tcp, tcpFin, udp] = rest.splice(0, 3);
    if (udp === undefined) throw new ArgumentError('--set option requires 3 timeout values');
    draft.timeouts = [parseTimeout(tcp, 0), parseTimeout(tcpFin, 0), parseTimeout(udp, 0)];
  }
  if (rest.length > 0) throw new ArgumentError(`unexpected argument ${rest[0]}`);
  draft.flags = schedulerFlags(draft);
  return draftToCommand(draft);
}

const COMMAND_WORDS: ReadonlySet<WordName> = new Set<CommandName>([
  'add-service',
  'edit-service',
  'delete-service',
  'flush',
  'restore',
  'save',
  'add-server',
  'edit-server',
  'delete-server',
  'list',
  'zero',
  'set',
  'start-daemon',
  'stop-daemon',
]);

function isCommand(word: WordName): word is CommandName {
  return COMMAND_WORDS.has(word);
}

function role(value: string | undefined, message: string): 'master' | 'backup' {
  if (value === 'master' || value === 'backup') return value;
  throw new ArgumentError(message);
}

/** Flags of -b, which may stand before the -s that they have to go with. */
function schedulerFlags(draft: Draft): SchedulerFlag[] {
  const flags = new Set<SchedulerFlag>();
  for (const flag of (draft.flagText ?? '').slice(0, FLAG_TEXT_MAX).split(',')) {
    const named = /^(sh|mh)-(fallback|port)$/.exec(flag);
    if (named !== null) {
      if (draft.scheduler !== named[1]) throw new ArgumentError(`incompatible scheduler flag \`${flag}'`);
      flags.add(named[2] === 'fallback' ? 'flag-1' : 'flag-2');
    } else if (flag === 'flag-1' || flag === 'flag-2' || flag === 'flag-3') {
      flags.add(flag);
    } else if (flag !== '') {
      throw new ArgumentError(`invalid scheduler flag \`${flag}'`);
    }
  }
  return [...flags].sort();
}

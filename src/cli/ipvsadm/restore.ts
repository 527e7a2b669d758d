// SPDX-License-Identifier: Apache-2.0
// `ipvsadm -R`: one command line per line of standard input. Words are separated by blanks, nothing quotes; the word
// `ipvsadm` and empty lines are skipped; comments are not understood. What the director refuses is said and the rest
// goes on; a wrong line ends the run, except for what libpopt itself complains about.

import { parseArguments } from './arguments.ts';
import { execute, type Session, UNSUPPORTED } from './execute.ts';
import { ArgumentError, tryHelp, UnsupportedArgument } from './messages.ts';

/** Text in pieces of any size. */
export type TextInput = AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>;

/**
 * Carries the lines of `input` out one after the other. Returns the status of the last, as the original does, but 2 when
 * something is beyond Ballast; throws the {@link ArgumentError} that ends the run.
 */
export async function restore(input: TextInput, session: Session): Promise<number> {
  let last = 0;
  let isBeyond = false;
  for await (const line of linesOf(input)) {
    const words = line.split(/[ \t\r\n\0]+/).filter((word) => word !== '' && word !== 'ipvsadm');
    if (words.length === 0) continue;
    try {
      const command = await parseArguments(words, session.names);
      if (command.type === 'restore') throw tryHelp();
      last = await execute(command, session);
      // These three end the process in the original.
      if (command.type === 'help' || command.type === 'version') return 0;
      if (command.type === 'list' && last !== 0) return last;
      if (last === UNSUPPORTED) isBeyond = true;
    } catch (error) {
      if (error instanceof ArgumentError && error.stopsRestore) throw error;
      if (error instanceof UnsupportedArgument) {
        session.stderr(`ipvsadm: ${error.message}\n`);
        isBeyond = true;
      } else if (error instanceof ArgumentError) {
        session.stderr(`${error.message}\n`);
      } else {
        throw error;
      }
    }
  }
  return isBeyond ? UNSUPPORTED : last;
}

async function* linesOf(input: TextInput): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const piece of input) {
    rest += typeof piece === 'string' ? piece : decoder.decode(piece, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== '') yield rest;
}

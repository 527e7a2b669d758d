// SPDX-License-Identifier: Apache-2.0
// The `ipvsadm` command: the command line, options, messages, listings and exit status of ipvsadm 1.31, on a Ballast
// data plane. Called by the `ballast` program, also when that is called `ipvsadm`, and to restore saved rules.

import type { DataPlane } from '../../dataplane/dataplane.ts';
import { parseArguments } from './arguments.ts';
import { execute, type Session } from './execute.ts';
import { ArgumentError, UnsupportedArgument } from './messages.ts';
import { type Names, systemNames } from './names.ts';
import { restore, type TextInput } from './restore.ts';

export interface IpvsadmIo {
  /** Read by -R alone. */
  readonly stdin: TextInput;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

/** Exit status of a command that could not be carried out at all. */
const FAILED = 2;

/**
 * Runs `ipvsadm` with `args` (without the program's name) and returns the exit status. `dataplane` may be a function
 * that connects: it is called once at most, and not before the arguments are known to be right. The caller closes it.
 */
export async function runIpvsadm(
  args: readonly string[],
  io: IpvsadmIo,
  dataplane: DataPlane | (() => Promise<DataPlane>),
  names: Names = systemNames(),
): Promise<number> {
  let connected: Promise<DataPlane> | undefined;
  const connect = (): Promise<DataPlane> => {
    connected ??= typeof dataplane === 'function' ? dataplane() : Promise.resolve(dataplane);
    return connected;
  };
  const session: Session = { dataplane: connect, names, stdout: io.stdout, stderr: io.stderr };
  try {
    const command = await parseArguments(args, names);
    return command.type === 'restore' ? await restore(io.stdin, session) : await execute(command, session);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // A bug of ours keeps its stack; everything else is for the user.
    if (error instanceof TypeError || error instanceof ReferenceError) throw error;
    io.stderr(`${error instanceof UnsupportedArgument ? `ipvsadm: ${error.message}` : error.message}\n`);
    return error instanceof ArgumentError ? error.status : FAILED;
  }
}

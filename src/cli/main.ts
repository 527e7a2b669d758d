// SPDX-License-Identifier: Apache-2.0
// The `ballast` program: finds the command and hands over to it. Each command's code is loaded only when it is asked
// for, since `ballast ipvsadm -Ln` must start fast. Errors that end a command are printed here, in one line.

import { basename } from 'node:path';
import { socketPath } from '../daemon/protocol.ts';

const HELP = `usage: ballast COMMAND [OPTIONS]

A Linux Virtual Server: spreads connections to one address over many servers.

  run                 start the load balancer (a daemon) on this machine
  ipvsadm OPTIONS     add, change and list services, as with ipvsadm(8)
  status [--json]     show what the running load balancer does
  drain SERVICE SERVER
                      take a server out, at a deadline also its connections
  tune SERVICE        show or change what a service does better than IPVS
  sysctl [NAME[=VALUE]]
                      show or change settings, as of net.ipv4.vs
  mark add|del|list   rules that give packets firewall marks, without iptables
  realserver up|down|print
                      make this machine a server behind a director's -g or -i
  lab NAME            try it: a client, a director and servers on this machine
  help [COMMAND]      show this text, or a command's own
  version             show the version

A first service, as root:

  ballast run
  ballast ipvsadm -A -t 192.0.2.10:80 -s rr
  ballast ipvsadm -a -t 192.0.2.10:80 -r 10.0.0.2:8080 -m
  ballast ipvsadm -Ln

BALLAST_SOCKET names the daemon's socket (default /run/ballast/ballast.sock).
`;

/** Exit status of a command line that is wrong. */
const USAGE = 2;

/** Runs the program that `argv` (as process.argv) calls for, and sets the exit status. */
export async function main(argv: readonly string[]): Promise<void> {
  survivePipes();
  const args = argv.slice(2);
  const isIpvsadm = basename(argv[1] ?? '').replace(/\.[jt]s$/, '') === 'ipvsadm';
  try {
    process.exitCode = await dispatch(isIpvsadm ? ['ipvsadm', ...args] : args);
  } catch (error) {
    process.stderr.write(`ballast: ${describeError(error)}\n`);
    process.exitCode = isUsageError(error) ? USAGE : 1;
  }
}

async function dispatch(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  switch (command) {
    case 'run': {
      const { runDaemon } = await import('./run.ts');
      return await runDaemon(rest);
    }
    case 'ipvsadm':
      return await ipvsadm(rest);
    case 'status': {
      const { runStatus } = await import('./status.ts');
      return await runStatus(rest);
    }
    case 'drain': {
      const { runDrain } = await import('./drain.ts');
      return await runDrain(rest);
    }
    case 'tune': {
      const { runTune } = await import('./tune.ts');
      return await runTune(rest);
    }
    case 'sysctl': {
      const { runSysctl } = await import('./sysctl.ts');
      return await runSysctl(rest);
    }
    case 'mark': {
      const { runMark } = await import('./mark.ts');
      return await runMark(rest);
    }
    case 'realserver': {
      const { runRealserver } = await import('./realserver.ts');
      return await runRealserver(rest);
    }
    case 'lab': {
      const { runLab } = await import('../lab/lab.ts');
      return await runLab(rest);
    }
    case 'version':
    case '--version':
    case '-V': {
      const { ballastVersion } = await import('../daemon/version.ts');
      process.stdout.write(`ballast ${ballastVersion()}\n`);
      return 0;
    }
    case 'help':
    case '--help':
    case '-h':
      if (rest.length > 0 && rest[0] !== 'help') return await dispatch([rest[0], '--help']);
      process.stdout.write(HELP);
      return 0;
    case undefined:
      process.stderr.write(HELP);
      return USAGE;
    default:
      process.stderr.write(`ballast: unknown command '${command}', see 'ballast help'\n`);
      return USAGE;
  }
}

async function ipvsadm(args: readonly string[]): Promise<number> {
  const { runIpvsadm } = await import('./ipvsadm/run.ts');
  let client: { close(): Promise<void> } | undefined;
  const connect = async () => {
    const { ApiDataPlane } = await import('./client.ts');
    const opened = new ApiDataPlane(socketPath(process.env));
    client = opened;
    return opened;
  };
  const io = {
    stdin: process.stdin,
    stdout: (text: string): void => void process.stdout.write(text),
    stderr: (text: string): void => void process.stderr.write(text),
  };
  try {
    return await runIpvsadm(args, io, connect);
  } finally {
    await client?.close();
  }
}

/** `ballast … | head` ends silently: nobody reads the rest. */
function survivePipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      if (stream === process.stdout) process.exit();
    });
  }
}

/** One line for what the user or the machine did wrong; the classes that only our own bugs throw keep their stack. */
function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const isBug = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
  return isBug && !isUsageError(error) ? (error.stack ?? error.message) : error.message;
}

/** What node:util parseArgs throws, and our own. */
function isUsageError(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && (code === 'BALLAST_USAGE' || code.startsWith('ERR_PARSE_ARGS_'));
}

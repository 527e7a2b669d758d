// SPDX-License-Identifier: Apache-2.0
// Runs inside User Mode Linux, started by its init script: runs the programs that the host asks for, as a person at that
// machine's terminal would. Spoken with by lines over the console; commands and what they answer go through files.

import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { runRealserver } from '../../src/cli/realserver.ts';
import { listAddresses } from '../../src/linux/route/address.ts';
import { listLinks } from '../../src/linux/route/link.ts';
import { openRouteSocket } from '../../src/linux/route/route-socket.ts';
import { readSysctl } from '../../src/linux/sysctl.ts';
import { LINE_MARK } from '../oracle/uml.ts';

const [folder] = process.argv.slice(2);
const say = (line: string): void => void process.stdout.write(`${LINE_MARK}${line}\n`);

/** `ballast realserver` in this process: starting another Node in here takes seconds. */
async function ballast(args: readonly string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  let stdout = '';
  const write = process.stdout.write;
  process.stdout.write = (text: string | Uint8Array): boolean => {
    stdout += String(text);
    return true;
  };
  try {
    const status = await runRealserver(args);
    return { status, stdout, stderr: '' };
  } catch (error) {
    return { status: 1, stdout, stderr: String(error) };
  } finally {
    process.stdout.write = write;
  }
}

/** All that a real server may change, but for devices that came with modules and are down. No program is started: slow. */
function look(): object {
  const socket = openRouteSocket();
  try {
    const up = listLinks(socket).filter((link) => link.up);
    return {
      devices: up.map((link) => link.name),
      addresses: listAddresses(socket).map(({ interfaceIndex, address, prefixLength }) => {
        return `${up.find((link) => link.index === interfaceIndex)?.name} ${address}/${prefixLength}`;
      }),
      settings: ['all', 'default', 'lo', 'eth0'].flatMap((device) =>
        ['arp_ignore', 'arp_announce', 'rp_filter'].map((name) => readSysctl(`net/ipv4/conf/${device}/${name}`)),
      ),
      udp: readFileSync('/proc/net/udp', 'latin1').split('\n').length,
      udp6: readFileSync('/proc/net/udp6', 'latin1').split('\n').length,
    };
  } finally {
    socket.close();
  }
}

say('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const [word, name] = line.trim().split(' ');
  if (word === 'look') {
    writeFileSync(join(folder, name), JSON.stringify(look(), undefined, 1));
    say('done');
    continue;
  }
  if (word !== 'run' && word !== 'start' && word !== 'ballast') break;
  const words = JSON.parse(readFileSync(join(folder, name), 'utf8')) as string[];
  const [command, ...args] = words;
  if (word === 'ballast') {
    writeFileSync(join(folder, `${name}.out`), JSON.stringify(await ballast(words)));
    say('done');
    continue;
  }
  if (word === 'run') {
    const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
    const result = { status: status ?? -1, stdout, stderr: stderr || (error?.message ?? '') };
    writeFileSync(join(folder, `${name}.out`), JSON.stringify(result));
    say('done');
    continue;
  }
  // A program that stays; its first output says that it is ready.
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise<void>((done) => {
    child.stdout.once('data', () => done());
    child.once('exit', () => done());
    child.once('error', () => done());
  });
  say(child.exitCode === null && child.pid !== undefined ? 'done' : 'failed');
}

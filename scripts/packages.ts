// SPDX-License-Identifier: Apache-2.0
// The one table of the programs that tests and benchmarks run but do not bring along, and the Debian packages that
// hold them. Read by the installer, the test script, the benches and test/support/requirements.ts.

import { accessSync, constants, existsSync } from 'node:fs';
import { join } from 'node:path';

/** Program → Debian packages that make it work. */
const PACKAGES = {
  clang: ['clang'],
  curl: ['curl'],
  ethtool: ['ethtool'],
  gcc: ['gcc', 'libc6-dev'],
  haproxy: ['haproxy'],
  ip: ['iproute2'],
  iperf3: ['iperf3'],
  iptables: ['iptables'],
  'iptables-legacy': ['iptables'],
  ipvsadm: ['ipvsadm'],
  lftp: ['lftp'],
  'linux.uml': ['user-mode-linux'],
  modprobe: ['kmod'],
  nft: ['nftables'],
  nginx: ['nginx-light'],
  'nginx-stream': ['libnginx-mod-stream'],
  ping: ['iputils-ping'],
  'redis-cli': ['redis-tools'],
  'redis-server': ['redis-server'],
  ssh: ['openssh-client'],
  'ssh-keygen': ['openssh-client'],
  sshd: ['openssh-server'],
  tcpdump: ['tcpdump'],
  vsftpd: ['vsftpd'],
  traceroute: ['traceroute'],
  usrsctp: ['libusrsctp-examples'],
  wrk: ['wrk'],
} as const satisfies Record<string, readonly string[]>;

export type Program = keyof typeof PACKAGES;

/** What the kernel of the oracle needs, `npm run oracle` and its short form in the tests. */
export const ORACLE_PROGRAMS: readonly Program[] = ['iptables-legacy', 'ipvsadm', 'linux.uml', 'modprobe'];

/** What `npm test` uses. A test that requires a program outside this list is refused. */
export const TEST_PROGRAMS: readonly Program[] = [
  'clang',
  'curl',
  'ethtool',
  'gcc',
  'haproxy',
  'ip',
  'iperf3',
  'iptables',
  'lftp',
  'nft',
  'nginx',
  'ping',
  'redis-cli',
  'redis-server',
  'ssh',
  'ssh-keygen',
  'sshd',
  'tcpdump',
  'vsftpd',
  'traceroute',
  'usrsctp',
  'wrk',
  ...ORACLE_PROGRAMS,
];

/** What `npm run bench -- http` uses. */
export const BENCH_PROGRAMS: readonly Program[] = ['haproxy', 'nft', 'nginx', 'nginx-stream', 'wrk'];

/** Things that are no programs but files. */
const FILES: Readonly<Partial<Record<Program, string>>> = {
  'nginx-stream': '/usr/lib/nginx/modules/ngx_stream_module.so',
  usrsctp: '/usr/lib/usrsctp/echo_server',
};

/** A plain user's PATH lacks the folders of system programs. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Path of an installed program, or undefined. */
export function findProgram(program: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(':').filter((folder) => folder !== ''), ...SYSTEM_FOLDERS];
  return folders.map((folder) => join(folder, program)).find(isExecutable);
}

/** Debian packages of `program`. */
export function packagesOf(program: Program): readonly string[] {
  return PACKAGES[program];
}

/** Those of `programs` that are not installed. */
export function missingPrograms(programs: readonly Program[]): Program[] {
  return programs.filter((program) => {
    const file = FILES[program];
    return file === undefined ? findProgram(program) === undefined : !existsSync(file);
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

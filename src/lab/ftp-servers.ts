// SPDX-License-Identifier: Apache-2.0
// FTP servers for labs: vsftpd on each real server, for anonymous users, with files to fetch and a folder to put files in.
// They live in the servers' namespaces and end with them; their files are in the lab's folder.

import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, chownSync, linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNamespace } from '../linux/process-namespace.ts';
import { LabError } from './lab-error.ts';
import type { HostPlan } from './plan.ts';
import { programPath } from './programs.ts';
import { eventually, startDaemon } from './server-daemons.ts';
import type { StandingLab } from './standing-lab.ts';

export const FTP_PORT = 21;
/** Files that every server has. */
export const SMALL_FILE = 'small.bin';
export const BIG_FILE = 'big.bin';
/** Holds the name of its server. */
export const NAME_FILE = 'server';
/** Where clients may put files. */
export const UPLOADS = 'incoming';

const SMALL_BYTES = 1_000_000;
/** User of anonymous sessions, made by vsftpd's package. */
const USER = 'ftp';

export interface FtpSite {
  /** SHA-256 by file. */
  readonly sums: Readonly<Record<string, string>>;
  /** What a server has in a file that a client put there. */
  upload(server: HostPlan, name: string): Buffer | undefined;
}

/** Starts vsftpd on each server and waits until all answer. The big file has `bigBytes`. */
export async function startFtp(lab: StandingLab, bigBytes: number): Promise<FtpSite> {
  const { claim, plan } = lab;
  const files: Record<string, Buffer> = { [SMALL_FILE]: randomBytes(SMALL_BYTES), [BIG_FILE]: randomBytes(bigBytes) };
  const sums = Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, sha256(bytes)]));
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(claim.folder, name), bytes, { mode: 0o644 });
  const empty = join(claim.folder, 'empty');
  mkdirSync(empty);
  const [uid, gid] = idsOf(USER);
  const root = (server: HostPlan): string => join(claim.folder, `${server.name}-ftp`);
  for (const server of plan.servers) {
    const folder = root(server);
    mkdirSync(folder);
    // vsftpd wants the root of anonymous users to be nobody's to write.
    chmodSync(folder, 0o555);
    for (const name of Object.keys(files)) linkSync(join(claim.folder, name), join(folder, name));
    writeFileSync(join(folder, NAME_FILE), `${server.name}\n`);
    mkdirSync(join(folder, UPLOADS));
    chownSync(join(folder, UPLOADS), uid, gid);
    const config = join(claim.folder, `${server.name}-vsftpd.conf`);
    const lines = [
      'listen=NO',
      'listen_ipv6=YES',
      `listen_port=${FTP_PORT}`,
      'background=NO',
      `ftpd_banner=${server.name}`,
      'anonymous_enable=YES',
      'no_anon_password=YES',
      `ftp_username=${USER}`,
      `anon_root=${folder}`,
      'anon_umask=022',
      'anon_world_readable_only=NO',
      'write_enable=YES',
      'anon_upload_enable=YES',
      'connect_from_port_20=YES',
      `secure_chroot_dir=${empty}`,
      // Its sandboxes are not for namespaces that others have made.
      'seccomp_sandbox=NO',
      'isolate=NO',
      'isolate_network=NO',
      `vsftpd_log_file=${join(claim.folder, `${server.name}-vsftpd.log`)}`,
    ];
    writeFileSync(config, `${lines.join('\n')}\n`);
    startDaemon(claim, server, programPath('vsftpd'), 'vsftpd', [config]);
  }
  await Promise.all(
    plan.servers.map((server) =>
      eventually(`vsftpd on ${server.name}`, () => {
        const args = ['-sS', '--max-time', '2', `ftp://127.0.0.1/${NAME_FILE}`];
        return runInNamespace(server.namespace, programPath('curl'), args).stdout.trim() === server.name;
      }),
    ),
  );
  return {
    sums,
    upload: (server, name) => {
      try {
        return readFileSync(join(root(server), UPLOADS, name));
      } catch {
        return undefined;
      }
    },
  };
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function idsOf(user: string): [uid: number, gid: number] {
  try {
    const number = (option: string): number => Number(execFileSync('id', [option, user], { encoding: 'utf8' }));
    return [number('-u'), number('-g')];
  } catch (error) {
    throw new LabError(`there is no user '${user}', which the package vsftpd makes`, { cause: error });
  }
}

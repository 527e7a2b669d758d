// SPDX-License-Identifier: Apache-2.0
// The story of `ballast lab ftp`: vsftpd on servers behind NAT, curl and lftp as clients. Each way to get a data
// connection, downloads and uploads compared by checksum, and the path that the frames took. IPv4 and IPv6.

import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Family } from '../packet/address.ts';
import { abortable } from './abortable.ts';
import { type CountedDevice, drawWays, type FrameCounts, framesBetween, readFrames } from './frame-counts.ts';
import { BIG_FILE, FTP_PORT, type FtpSite, NAME_FILE, SMALL_FILE, sha256, startFtp, UPLOADS } from './ftp-servers.ts';
import type { Narrator } from './nat.ts';
import type { LabOptions } from './options.ts';
import { HOST_DEVICE, type NatPlan, socketAddress } from './plan.ts';
import { requirePrograms } from './programs.ts';
import type { NatLab } from './session.ts';
import { Terminal } from './terminal.ts';

const UPLOAD_BYTES = 300_000;

/** Ways to a data connection, and what makes curl go them. It would not believe an address in 227 unless asked to. */
const MODES = {
  PASV: ['--disable-epsv', '--no-ftp-skip-pasv-ip'],
  EPSV: [],
  PORT: ['--ftp-port', '-', '--disable-eprt'],
  EPRT: ['--ftp-port', '-'],
} as const satisfies Record<string, readonly string[]>;

export type FtpMode = keyof typeof MODES;

/** A file that came or went. */
export interface Transfer {
  readonly what: string;
  readonly mode: FtpMode;
  readonly family: Family;
  readonly isIntact: boolean;
}

/** What `--json` prints. */
export interface FtpReport {
  readonly dataplane: string;
  /** The reply to PASV as the client read it. */
  readonly passiveReply: string;
  /** The lines of `ipvsadm -Lnc` that await a data connection. */
  readonly expected: readonly string[];
  readonly transfers: readonly Transfer[];
  /** Servers that took sessions. */
  readonly servers: readonly string[];
  /** Names in a session of lftp: before and after an upload. */
  readonly listing: readonly string[];
  /** Frames of the large download. */
  readonly frames: FrameCounts;
  /** What is wrong, or null. */
  readonly problem: string | null;
}

export function checkFtp(): void {
  requirePrograms(['curl', 'lftp', 'vsftpd']);
}

/** Runs the recipe on a standing lab. Rejects when `signal` aborts. */
export async function tellFtp(
  lab: NatLab,
  { megabytes }: LabOptions,
  narrator: Narrator,
  signal: AbortSignal,
): Promise<FtpReport> {
  const terminal = new Terminal(lab, narrator, signal);
  const bigBytes = megabytes * 1e6;
  const site = await abortable(startFtp(lab, bigBytes), signal);
  const { dataplane } = await abortable(lab.director.status(), signal);
  terminal.say(`\n${dataplane}, daemon pid ${lab.director.pid}\n`);
  const story = new FtpStory(lab, terminal, site);
  await story.configure();
  const { passiveReply, expected } = await story.expect();
  const transfers: Transfer[] = [];
  for (const mode of ['PASV', 'EPSV', 'PORT', 'EPRT'] as const) transfers.push(...(await story.bothWays(mode, 4)));
  for (const mode of ['EPSV', 'EPRT'] as const) transfers.push(...(await story.bothWays(mode, 6)));
  const servers = await story.names();
  const listing = await story.session();
  const { transfer, frames } = await story.download(bigBytes);
  transfers.push(transfer);
  const report = { dataplane, passiveReply, expected, transfers, servers, listing, frames };
  return { ...report, problem: judgeFtp(report, lab.plan, bigBytes) ?? null };
}

class FtpStory {
  readonly #lab: NatLab;
  readonly #terminal: Terminal;
  readonly #site: FtpSite;
  /** File that is fetched into, and one to put. */
  readonly #fetched: string;
  readonly #own: string;
  #uploads = 0;

  constructor(lab: NatLab, terminal: Terminal, site: FtpSite) {
    this.#lab = lab;
    this.#terminal = terminal;
    this.#site = site;
    this.#fetched = join(lab.claim.folder, 'fetched');
    this.#own = join(lab.claim.folder, 'own.bin');
    writeFileSync(this.#own, randomBytes(UPLOAD_BYTES));
  }

  async configure(): Promise<void> {
    const { virtual, servers } = this.#lab.plan;
    for (const family of ['v4', 'v6'] as const) {
      const service = ['-t', socketAddress(virtual[family], FTP_PORT)];
      await this.#terminal.ipvsadm('-A', ...service, '-s', 'rr');
      for (const server of servers) {
        await this.#terminal.ipvsadm('-a', ...service, '-r', socketAddress(server[family].address, FTP_PORT), '-m');
      }
    }
  }

  /** A client that asks for a data connection and does not come: what it reads, and what the director awaits. */
  async expect(): Promise<{ passiveReply: string; expected: string[] }> {
    this.#terminal.say('\nThe server names its own address, the client reads the virtual one:\n');
    const commands = `open ftp://${this.#lab.plan.virtual.v4}; quote PASV`;
    const said = await this.#terminal.onClient('lftp', '-c', commands);
    this.#terminal.say('');
    const listing = await this.#terminal.ipvsadm('-Lnc');
    return {
      passiveReply: said.split('\n').find((line) => line.startsWith('227 ')) ?? '',
      expected: listing.split('\n').filter((line) => line.includes(' LISTEN ')),
    };
  }

  /** A file from a server, and one to it. */
  async bothWays(mode: FtpMode, family: Family): Promise<Transfer[]> {
    this.#terminal.say(`\n${mode}, IPv${family}\n`);
    const url = this.#url(family);
    const down = await this.#fetch(SMALL_FILE, mode, family);
    const name = `upload${++this.#uploads}`;
    await this.#curl(...MODES[mode], '-T', this.#own, `${url}${UPLOADS}/${name}`);
    const own = readFileSync(this.#own);
    const isIntact = this.#lab.plan.servers.some((server) => this.#site.upload(server, name)?.equals(own) === true);
    return [down, { what: 'upload', mode, family, isIntact }];
  }

  /** Who answers: as many sessions as there are servers. */
  async names(): Promise<string[]> {
    this.#terminal.say('\nSessions take turns; data connections go where their session is:\n');
    const names: string[] = [];
    for (let i = 0; i < this.#lab.plan.servers.length; i++) {
      names.push((await this.#curl(`${this.#url(4)}${NAME_FILE}`)).trim());
    }
    return names;
  }

  /** Several commands in one session, each with a data connection of its own. */
  async session(): Promise<string[]> {
    this.#terminal.say('\nOne session, five data connections:\n');
    const commands = [
      'set ftp:prefer-epsv no',
      `open ftp://${this.#lab.plan.virtual.v4}`,
      'cls -1',
      `put -O ${UPLOADS} ${this.#own}`,
      `cls -1 ${UPLOADS}/own.bin`,
      `get -O ${this.#lab.claim.folder} ${SMALL_FILE} -o fetched`,
      `cat ${NAME_FILE}`,
    ];
    const said = await this.#terminal.onClient('lftp', '-c', commands.join('; '));
    this.#takeFetched();
    this.#terminal.say('');
    await this.#terminal.ipvsadm('-Ln');
    return said.split('\n').filter((line) => line !== '');
  }

  /** The large file, and whose devices its frames crossed. */
  async download(bytes: number): Promise<{ transfer: Transfer; frames: FrameCounts }> {
    const devices = devicesOf(this.#lab.plan);
    this.#terminal.say(`\nWho sees what of a download of ${bytes / 1e6} MB in passive mode:\n`);
    const before = readFrames(devices);
    const transfer = await this.#fetch(BIG_FILE, 'PASV', 4);
    const frames = framesBetween(before, readFrames(devices));
    this.#terminal.say(`\n${drawPath(this.#lab.plan, frames)}`);
    return { transfer, frames };
  }

  async #fetch(file: string, mode: FtpMode, family: Family): Promise<Transfer> {
    await this.#curl(...MODES[mode], '-o', this.#fetched, `${this.#url(family)}${file}`);
    const isIntact = sha256(this.#takeFetched()) === this.#site.sums[file];
    return { what: file, mode, family, isIntact };
  }

  /** The bytes of the file fetched last, which is removed. */
  #takeFetched(): Buffer {
    const bytes = readFileSync(this.#fetched);
    rmSync(this.#fetched);
    return bytes;
  }

  #curl(...args: readonly string[]): Promise<string> {
    return this.#terminal.onClient('curl', '-sS', '--max-time', '120', ...args);
  }

  #url(family: Family): string {
    const { v4, v6 } = this.#lab.plan.virtual;
    return `ftp://${family === 4 ? v4 : `[${v6}]`}/`;
  }
}

function devicesOf({ client, director, servers }: NatPlan): CountedDevice[] {
  const devices = [client, ...servers].map(({ name, namespace }) => ({ name, namespace, device: HOST_DEVICE }));
  for (const { device } of [director.clientSide, director.serverSide]) {
    devices.push({ name: device, namespace: director.namespace, device });
  }
  return devices;
}

/** There and back by way of the director. */
function drawPath({ director, servers }: NatPlan, frames: FrameCounts): string {
  const names = servers.map(({ name }) => name);
  const inward = director.clientSide.device;
  const outward = director.serverSide.device;
  return drawWays(
    [
      [
        'requests',
        [
          { label: 'client', names: ['client'], counts: 'sent' },
          { label: 'director', names: [inward], counts: 'received' },
          { label: names.join(', '), names, counts: 'received' },
        ],
      ],
      [
        'answers',
        [
          { label: names.join(', '), names, counts: 'sent' },
          { label: 'director', names: [outward], counts: 'received' },
          { label: 'client', names: ['client'], counts: 'received' },
        ],
      ],
    ],
    frames,
  );
}

/** What is wrong, or undefined. */
export function judgeFtp(report: Omit<FtpReport, 'problem'>, plan: NatPlan, bigBytes: number): string | undefined {
  const { passiveReply, expected, transfers, servers, listing, frames } = report;
  const named = plan.virtual.v4.replaceAll('.', ',');
  if (!passiveReply.includes(`(${named},`)) return `the client read '${passiveReply}', not the virtual address`;
  if (expected.length !== 1 || !expected[0].includes(`${plan.client.v4.address}:0 `)) {
    return `ipvsadm -Lnc lists ${expected.length} connections that are awaited, not one of the client's`;
  }
  const broken = transfers.find(({ isIntact }) => !isIntact);
  if (broken !== undefined) return `${broken.what} with ${broken.mode} over IPv${broken.family} is not what was sent`;
  if (new Set(servers).size !== plan.servers.length) return `sessions were on ${servers.join(', ')}`;
  if (!listing.includes(SMALL_FILE) || !listing.includes(`${UPLOADS}/own.bin`)) {
    return `lftp does not list its files: ${listing.join(', ')}`;
  }
  const sent = plan.servers.map(({ name }) => frames[name].sent);
  // 1448 bytes of data in a frame at most; the other servers have nothing to say but ARP and neighbour discovery.
  const least = bigBytes / 1500;
  if (sent.filter((count) => count >= least).length !== 1) return `the servers sent ${sent.join(', ')} frames`;
  if (frames.client.received < least) return `the client received ${frames.client.received} frames`;
  return undefined;
}

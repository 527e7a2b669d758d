// SPDX-License-Identifier: Apache-2.0
// A namespace whose kernel gives packets firewall marks by its own rules, and tells which: the oracle for what the engine
// makes of the same rules. Packets go in by a veth as raw frames; a chain behind all others notes mark by source address,
// so every packet has a source of its own. A packet that is not noted was dropped.

import { execFileSync } from 'node:child_process';
import { writeSysctl } from '../../../src/linux/sysctl.ts';
import { eventually } from '../eventually.ts';
import { type FrameSocket, VethLab, type VethPair } from '../veth-lab.ts';
import { OWN_4, OWN_6, type TestPacket } from './packets.ts';

/**
 * Packets are counted before all rules and noted behind them. The question for the state switches connection tracking on,
 * without which the kernel passes chains of NAT.
 */
const ORACLE = `
table inet oracle {
  counter arrived { }
  chain count {
    type filter hook prerouting priority -500;
    counter name arrived
  }
  set seen4 { type ipv4_addr . mark; size 65535; flags dynamic; }
  set seen6 { type ipv6_addr . mark; size 65535; flags dynamic; }
  chain note {
    type filter hook input priority 97;
    ct state new counter
    add @seen4 { ip saddr . meta mark }
    add @seen6 { ip6 saddr . meta mark }
  }
}
`;

export class MarkStage {
  readonly lab = new VethLab();
  readonly pair: VethPair;
  readonly #socket: FrameSocket;

  constructor() {
    this.lab.ip('link', 'set', 'lo', 'up');
    for (const name of ['net.ipv6.conf.all.accept_dad', 'net.ipv6.conf.default.accept_dad']) {
      this.lab.run(() => writeSysctl(name, '0'));
    }
    const off = [
      'net.ipv4.conf.all.rp_filter',
      'net.ipv4.conf.default.rp_filter',
      'net.netfilter.nf_conntrack_checksum',
    ];
    for (const name of off) this.lab.run(() => writeSysctl(name, '0'));
    this.pair = this.lab.addPair('m');
    const { name } = this.pair.near;
    for (const address of OWN_4) this.lab.ip('addr', 'add', `${address}/32`, 'dev', name);
    for (const address of OWN_6) this.lab.ip('addr', 'add', `${address}/128`, 'dev', name, 'nodad');
    this.#socket = this.lab.open(this.pair.far);
  }

  /** Runs a program inside, with `input` to read. Throws with what it said. */
  exec(program: string, args: readonly string[], input: string): void {
    try {
      this.lab.run(() => execFileSync(program, args, { encoding: 'utf8', input, stdio: 'pipe' }));
    } catch (error) {
      throw new Error(`${program} ${args.join(' ')}: ${(error as { stderr?: string }).stderr}\n${input}`);
    }
  }

  /** Takes away all rules and what conntrack remembers of connections. */
  clear(): void {
    this.exec('nft', ['-f', '-'], 'flush ruleset');
    for (const version of ['', '6']) {
      for (const table of ['raw', 'mangle', 'nat', 'filter']) {
        const lines = [`*${table}`, ...(CHAINS[table] ?? []).map((chain) => `:${chain} ACCEPT`), 'COMMIT'];
        this.exec(`ip${version}tables-legacy-restore`, [], `${lines.join('\n')}\n`);
      }
    }
  }

  /** Marks of `packets` by their id, as the kernel's rules give them; 0 for those that it drops. */
  async marksOf(packets: readonly TestPacket[]): Promise<Map<number, number>> {
    this.exec('nft', ['-f', '-'], ORACLE);
    for (const packet of packets) this.#socket.send(packet.frame(this.pair));
    // On a busy machine frames wait for their softirq.
    await eventually('all packets are through', () => (this.#arrived() >= packets.length ? true : undefined));
    while (this.#socket.receive() !== undefined);
    const marks = new Map(packets.map(({ id }) => [id, 0]));
    for (const set of ['seen4', 'seen6']) {
      for (const [address, mark] of concatenations(this.#list('set', set))) {
        // What an earlier call's packets left is nobody's.
        if (marks.has(idOf(address))) marks.set(idOf(address), mark);
      }
    }
    this.exec('nft', ['-f', '-'], 'delete table inet oracle');
    return marks;
  }

  #arrived(): number {
    const { nftables } = JSON.parse(this.#list('counter', 'arrived')) as {
      nftables: { counter?: { packets: number } }[];
    };
    return nftables.find(({ counter }) => counter !== undefined)?.counter?.packets ?? 0;
  }

  #list(kind: string, name: string): string {
    return this.lab.run(() => execFileSync('nft', ['-j', 'list', kind, 'inet', 'oracle', name], { encoding: 'utf8' }));
  }

  close(): void {
    this.#socket.close();
    this.lab.close();
  }
}

const CHAINS: Readonly<Record<string, readonly string[]>> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
};

/** The elements of a set in nft's JSON. */
function concatenations(text: string): [string, number][] {
  const { nftables } = JSON.parse(text) as { nftables: { set?: { elem?: unknown[] } }[] };
  return nftables.flatMap(({ set }) =>
    (set?.elem ?? []).map((element) => {
      const { concat } = (element as { elem?: { val: never } }).elem?.val ?? (element as { concat: [string, number] });
      return concat;
    }),
  );
}

/** The id in the last 16 bits of an address. */
function idOf(address: string): number {
  if (!address.includes(':')) {
    const [, , high, low] = address.split('.').map(Number);
    return high * 256 + low;
  }
  return Number.parseInt(address.slice(address.lastIndexOf(':') + 1) || '0', 16);
}

// SPDX-License-Identifier: Apache-2.0
// What the tests of kernel devices share: the kernel with its tap and a client, and the ways of a director's packets to it.

import assert from 'node:assert/strict';
import { type CommandResult, outcome } from '../../src/lab/director.ts';
import { spawnInNamespace } from '../../src/linux/process-namespace.ts';
import type { Address } from '../../src/packet/address.ts';
import { requirements } from '../support/requirements.ts';
import { TunnelClient, type Wrapper } from '../support/tunnel-client.ts';
import { GRE_WITH_CHECKSUM, leaveOpen, wrap } from '../support/tunnels.ts';
import { VethLab } from '../support/veth-lab.ts';
import { KernelServer } from './kernel-server.ts';

export const skip: string | false = requirements(
  ...(['root', 'program:ip', 'program:curl', 'program:linux.uml', 'program:modprobe'] as const),
);

const VIP = '192.0.2.10';
const VIP6 = '2001:db8:2::10';
const RIP = '10.9.0.2';
const RIP6 = 'fd09::2';
const ENDS = { src: '10.9.0.9', dst: RIP } as const;
const ENDS6 = { src: 'fd09::9', dst: RIP6 } as const;

/** A set-up, and what the director sends to it. */
export interface Case {
  readonly name: string;
  readonly options: readonly string[];
  /** Whether the script is also run when it has run already. */
  readonly twice?: boolean;
  /** How the director sends, and for which of the addresses. */
  readonly sends: readonly (readonly [host: string, Wrapper])[];
}

const tun = (...options: readonly string[]): string[] => ['--method', 'tun', ...options];
const both = ['--vip', VIP, '--vip', VIP6];
const gue = ['--tun-type', 'gue', '--tun-port', '6080'];

export const CASES: readonly Case[] = [
  {
    name: 'direct routing',
    options: ['--method', 'dr', ...both],
    sends: [
      [VIP, (packet) => packet],
      [`[${VIP6}]`, (packet) => packet],
    ],
  },
  {
    name: 'IPIP (tunl0) and IPv6 in IPv6 (ip6tnl0)',
    options: tun(...both),
    sends: [
      [VIP, (packet) => wrap('ipip', ENDS, packet)],
      [`[${VIP6}]`, (packet) => wrap('ipip', ENDS6, packet)],
    ],
  },
  {
    name: 'GUE (fou): IPv4 and IPv6 (tunl0, sit0, a device of its own) in both; also with a checksum left open',
    twice: true,
    options: tun(...both, ...gue, '--rip', RIP, '--rip', RIP6),
    sends: [
      [VIP, (packet) => wrap('gue', ENDS, packet)],
      [VIP, (packet) => wrap('gue', ENDS6, packet)],
      [VIP, (packet) => wrap('gue', ENDS, leaveOpen(packet), { start: 20, offset: 36 })],
      [VIP, (packet) => wrap('ipip', ENDS6, packet)],
      [`[${VIP6}]`, (packet) => wrap('gue', ENDS, packet)],
      [`[${VIP6}]`, (packet) => wrap('gue', ENDS6, packet)],
      [`[${VIP6}]`, (packet) => wrap('ipip', ENDS, packet)],
    ],
  },
  {
    name: 'GRE (gre0, ip6gre0), both families in both',
    options: tun(...both, '--tun-type', 'gre'),
    sends: [
      [VIP, (packet) => wrap('gre', ENDS, packet)],
      [VIP, (packet) => wrap('gre', ENDS6, packet)],
      [`[${VIP6}]`, (packet) => wrap('gre', ENDS, packet)],
      [`[${VIP6}]`, (packet) => wrap('gre', ENDS6, packet)],
    ],
  },
  {
    name: 'GRE with checksums (a device of its own)',
    options: tun('--vip', VIP, '--tun-type', 'gre', '--tun-csum', '--rip', RIP, '--rip', RIP6),
    sends: [
      [VIP, (packet) => wrap(GRE_WITH_CHECKSUM, ENDS, packet)],
      [VIP, (packet) => wrap(GRE_WITH_CHECKSUM, ENDS6, packet)],
    ],
  },
];

/** A real server of a real kernel behind a tap, with a client and a director at the other end. */
export class KernelSite {
  readonly server: KernelServer;
  readonly #client: VethLab;
  readonly #tunnel: TunnelClient;

  private constructor(client: VethLab, server: KernelServer, tunnel: TunnelClient) {
    this.#client = client;
    this.server = server;
    this.#tunnel = tunnel;
  }

  static async open(): Promise<KernelSite> {
    const client = new VethLab();
    try {
      client.ip('tuntap', 'add', 'dev', 'c0', 'mode', 'tap');
      client.ip('link', 'set', 'c0', 'up');
      client.ip('address', 'add', '10.9.0.1/24', 'dev', 'c0');
      client.ip('address', 'add', 'fd09::1/64', 'dev', 'c0', 'nodad');
      const { namespace } = client;
      const server = await KernelServer.boot({ namespace, tap: 'c0', addresses: [`${RIP}/24`, `${RIP6}/64`] });
      const virtual = [VIP, VIP6] as Address[];
      const tunnel = new TunnelClient({ namespace, device: 'c0', serverMac: await server.mac(), virtual });
      return new KernelSite(client, server, tunnel);
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** Asks with curl in every way of the case, and is answered each time. */
  async assertAnswered({ sends }: Case): Promise<void> {
    for (const [i, [host, wrapper]] of sends.entries()) {
      const { stdout, stderr } = await this.#curl(host, wrapper, '20');
      assert.deepEqual([stdout, stderr], ['hello from rs1\n', ''], `packets of kind ${i}`);
    }
  }

  async assertSilent({ sends }: Case): Promise<void> {
    for (const [host, wrapper] of sends) assert.notEqual((await this.#curl(host, wrapper, '1')).status, 0);
  }

  async close(): Promise<void> {
    await this.#tunnel.close();
    await this.server.close();
    this.#client.close();
  }

  #curl(host: string, wrapper: Wrapper, seconds: string): Promise<CommandResult> {
    this.#tunnel.wrapper = wrapper;
    const args = ['-sS', '--max-time', seconds, `http://${host}/`];
    return outcome(spawnInNamespace(this.#client.namespace, 'curl', args, { stdio: ['ignore', 'pipe', 'pipe'] }));
  }
}

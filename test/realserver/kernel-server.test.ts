// SPDX-License-Identifier: Apache-2.0
// The printed script, and `ballast realserver` itself, on a kernel with tunnel devices (User Mode Linux on a tap): curl
// through each of the kernel's own devices, answered from the virtual address, and everything back to what was before.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type CommandResult, outcome } from '../../src/lab/director.ts';
import { spawnInNamespace } from '../../src/linux/process-namespace.ts';
import type { Address } from '../../src/packet/address.ts';
import { requirements } from '../support/requirements.ts';
import { TunnelClient, type Wrapper } from '../support/tunnel-client.ts';
import { GRE_WITH_CHECKSUM, leaveOpen, wrap } from '../support/tunnels.ts';
import { VethLab } from '../support/veth-lab.ts';
import { KernelServer } from './kernel-server.ts';

const BALLAST = join(import.meta.dirname, '..', '..', 'src', 'cli', 'ballast.js');

const VIP = '192.0.2.10';
const VIP6 = '2001:db8:2::10';
const RIP = '10.9.0.2';
const RIP6 = 'fd09::2';
const ENDS = { src: '10.9.0.9', dst: RIP } as const;
const ENDS6 = { src: 'fd09::9', dst: RIP6 } as const;

interface Case {
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

const CASES: readonly Case[] = [
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

const skip = requirements('root', 'program:ip', 'program:curl', 'program:linux.uml', 'program:modprobe');

describe("a real server with the kernel's own devices", { skip }, () => {
  let client: VethLab;
  let server: KernelServer;
  let tunnel: TunnelClient;

  before(async () => {
    client = new VethLab();
    client.ip('tuntap', 'add', 'dev', 'c0', 'mode', 'tap');
    client.ip('link', 'set', 'c0', 'up');
    client.ip('address', 'add', '10.9.0.1/24', 'dev', 'c0');
    client.ip('address', 'add', 'fd09::1/64', 'dev', 'c0', 'nodad');
    server = await KernelServer.boot({
      namespace: client.namespace,
      tap: 'c0',
      addresses: [`${RIP}/24`, `${RIP6}/64`],
    });
    tunnel = new TunnelClient({
      namespace: client.namespace,
      device: 'c0',
      serverMac: await server.mac(),
      virtual: [VIP, VIP6] as Address[],
    });
  });
  after(async () => {
    await tunnel?.close();
    await server?.close();
    client?.close();
  });

  function curl(host: string, seconds = '20'): Promise<CommandResult> {
    const args = ['-sS', '--max-time', seconds, `http://${host}/`];
    return outcome(spawnInNamespace(client.namespace, 'curl', args, { stdio: ['ignore', 'pipe', 'pipe'] }));
  }

  async function assertAnswered({ sends }: Case): Promise<void> {
    for (const [i, [host, wrapper]] of sends.entries()) {
      tunnel.wrapper = wrapper;
      const { stdout, stderr } = await curl(host);
      assert.deepEqual([stdout, stderr], ['hello from rs1\n', ''], `packets of kind ${i}`);
    }
  }

  for (const one of CASES) {
    test(`the printed script: ${one.name}`, async () => {
      const printed = spawnSync(process.execPath, [BALLAST, 'realserver', 'print', ...one.options], {
        encoding: 'utf8',
      });
      assert.equal(printed.status, 0, printed.stderr);
      const script = server.write('realserver.sh', printed.stdout);
      const before = await server.look();
      assert.deepEqual(await server.run('sh', script, 'up'), { status: 0, stdout: '', stderr: '' });
      if (one.twice) {
        const during = await server.look();
        assert.deepEqual(await server.run('sh', script, 'up'), { status: 0, stdout: '', stderr: '' });
        assert.equal(await server.look(), during);
      }
      await assertAnswered(one);
      assert.deepEqual(await server.run('sh', script, 'down'), { status: 0, stdout: '', stderr: '' });
      assert.equal(await server.look(), before);
      if (one.twice) {
        const again = await server.run('sh', script, 'down');
        assert.deepEqual([again.status, again.stderr], [0, `${script}: nothing is up\n`]);
      }
    });

    test(`ballast realserver: ${one.name}`, async () => {
      const before = await server.look();
      await server.ballast('up', ...one.options);
      const status = await server.ballast('status');
      assert.match(status, one.options.includes('dr') ? /^direct routing for / : /by the kernel's devices\n$/);
      await assertAnswered(one);
      assert.equal(await server.ballast('up', ...one.options), status);
      assert.equal(await server.ballast('down'), 'nothing is up\n');
      assert.equal(await server.look(), before);
    });
  }

  test('without any of it nobody answers', async () => {
    tunnel.wrapper = (packet) => wrap('ipip', ENDS, packet);
    assert.notEqual((await curl(VIP, '1')).status, 0);
  });
});

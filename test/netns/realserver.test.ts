// SPDX-License-Identifier: Apache-2.0
// `ballast realserver` on a machine whose kernel has no tunnel devices: curl through every tunnel, answered from the
// virtual address by a server that nobody hears of, and everything as before afterwards.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { type CommandResult, outcome } from '../../src/lab/director.ts';
import { firstOutput } from '../../src/lab/hosts.ts';
import { endChild } from '../../src/lab/processes.ts';
import { runInNamespace, spawnInNamespace } from '../../src/linux/process-namespace.ts';
import { writeSysctl } from '../../src/linux/sysctl.ts';
import type { Address } from '../../src/packet/address.ts';
import { tcp } from '../support/frames.ts';
import { runIn } from '../support/in-lab.ts';
import { requirements } from '../support/requirements.ts';
import { scratchFolder } from '../support/scratch.ts';
import { TunnelClient } from '../support/tunnel-client.ts';
import { GRE_WITH_CHECKSUM, leaveOpen, wrap } from '../support/tunnels.ts';
import { VethLab } from '../support/veth-lab.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const BALLAST = join(ROOT, 'src', 'cli', 'ballast.js');

const VIP = '192.0.2.10';
const VIP6 = '2001:db8:2::10';
const RIP = '10.9.0.2';
const RIP6 = 'fd09::2';
const CIP = '10.9.0.1';
const CIP6 = 'fd09::1';
const DIP = '10.9.0.9';
const DIP6 = 'fd09::9';

describe('ballast realserver', { skip: requirements('root', 'xdp', 'program:ip', 'program:curl') }, () => {
  let client: VethLab;
  let server: VethLab;
  let web: ChildProcess;
  let tunnel: TunnelClient;

  before(async () => {
    client = new VethLab();
    server = new VethLab();
    client.ip('link', 'add', 'c0', 'type', 'veth', 'peer', 'name', 's0', 'netns', server.namespace);
    for (const [lab, device, v4, v6] of [
      [client, 'c0', CIP, CIP6],
      [server, 's0', RIP, RIP6],
    ] as const) {
      lab.ip('link', 'set', 'lo', 'up');
      lab.run(() => writeSysctl(`net.ipv6.conf.${device}.accept_dad`, '0'));
      lab.ip('link', 'set', device, 'up');
      lab.ip('address', 'add', `${v4}/24`, 'dev', device);
      lab.ip('address', 'add', `${v6}/64`, 'dev', device, 'nodad');
    }
    const script = join(ROOT, 'src', 'lab', 'server-process.js');
    web = spawnInNamespace(server.namespace, process.execPath, [script, 'rs1', '80'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await firstOutput(web, 'web server');
    const virtual = [VIP, VIP6] as Address[];
    const { mac } = server.device('s0');
    tunnel = new TunnelClient({ namespace: client.namespace, device: 'c0', serverMac: mac, virtual });
  });
  after(async () => {
    await tunnel?.close();
    if (web !== undefined) await endChild(web);
    server?.close();
    client?.close();
  });

  /** Runs the command on the server. */
  function realserver(...args: readonly string[]): Promise<CommandResult> {
    return runIn(server.namespace, process.execPath, BALLAST, 'realserver', ...args);
  }

  /** A file for the state; what it says at the end of the test is undone. */
  function stateFile(t: TestContext): string {
    t.after(() => realserver('down', '--state', state));
    const state = join(scratchFolder(t), 'state.json');
    return state;
  }

  async function must(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await realserver(...args);
    assert.equal(status, 0, stderr);
    return stdout;
  }

  function curl(host: string, seconds = '5'): Promise<CommandResult> {
    return runIn(client.namespace, 'curl', '-sS', '--max-time', seconds, `http://${host}/`);
  }

  /** All that a real server may change, in text. */
  function configuration(): string {
    const run = (command: string, ...args: string[]): string =>
      runInNamespace(server.namespace, command, args).stdout.replace(/ xdp\/id:\d+|(valid|preferred)_lft \S+/g, '');
    return [
      run('ip', 'address'),
      run('ip', 'route', 'show', 'table', 'all'),
      run('ip', '-6', 'route', 'show', 'table', 'all').replace(/ expires \S+/g, ''),
      run('sh', '-c', 'cd /proc/sys/net/ipv4/conf && grep . */*').replace(/^.*bc_forwarding.*$/gm, ''),
    ].join('\n');
  }

  const INNER = [
    [4, VIP],
    [6, `[${VIP6}]`],
  ] as const;
  const OUTER = [
    [4, { src: DIP, dst: RIP }],
    [6, { src: DIP6, dst: RIP6 }],
  ] as const;

  for (const type of ['ipip', 'gue', 'gre'] as const) {
    test(`curl through ${type}, in both families of both, and all as before afterwards`, async (t) => {
      const state = stateFile(t);
      const before = configuration();
      const port = type === 'gue' ? ['--tun-port', '6080'] : [];
      const up = ['up', '--method', 'tun', '--tun-type', type, ...port, '--vip', VIP, '--vip', VIP6, '--state', state];
      assert.match(await must(...up), /taken apart by XDP on s0\n$/);
      const during = configuration();
      assert.match(await must(...up), /taken apart by XDP on s0\n$/);
      assert.equal(configuration(), during);
      for (const [inner, host] of INNER) {
        for (const [outer, ends] of OUTER) {
          tunnel.wrapper = (packet) => wrap(type, ends, packet);
          const { sent } = tunnel;
          const { stdout, stderr } = await curl(host);
          assert.deepEqual([stdout, stderr], ['hello from rs1\n', ''], `IPv${inner} in IPv${outer}`);
          assert.ok(tunnel.sent > sent);
        }
      }
      assert.equal(await must('down', '--state', state), 'nothing is up\n');
      assert.equal(configuration(), before);
      assert.equal(existsSync(state), false);
      assert.equal(await must('down', '--state', state), 'nothing is up\n');
    });
  }

  test('a checksum of GRE is skipped; one left open in GUE is completed', async (t) => {
    const state = stateFile(t);
    await must('up', '--method', 'tun', '--tun-type', 'gre', '--vip', VIP, '--state', state);
    tunnel.wrapper = (packet) => wrap(GRE_WITH_CHECKSUM, { src: DIP, dst: RIP }, packet);
    assert.equal((await curl(VIP)).stdout, 'hello from rs1\n');
    await must('down', '--state', state);
    await must('up', '--method', 'tun', '--tun-type', 'gue', '--tun-port', '6080', '--vip', VIP, '--state', state);
    tunnel.wrapper = (packet) => wrap('gue', { src: DIP, dst: RIP }, leaveOpen(packet), { start: 20, offset: 36 });
    assert.equal((await curl(VIP)).stdout, 'hello from rs1\n');
    await must('down', '--state', state);
  });

  test('without the tunnel, or in another, nobody answers', async (t) => {
    const state = stateFile(t);
    await must('up', '--method', 'tun', '--tun-type', 'gre', '--vip', VIP, '--state', state);
    tunnel.wrapper = (packet) => wrap('ipip', { src: DIP, dst: RIP }, packet);
    assert.notEqual((await curl(VIP, '0.5')).status, 0);
    await must('down', '--state', state);
    tunnel.wrapper = (packet) => wrap('gre', { src: DIP, dst: RIP }, packet);
    assert.notEqual((await curl(VIP, '0.5')).status, 0);
  });

  test('direct routing: packets for the address are taken, and nobody is told that it is here', async (t) => {
    const state = stateFile(t);
    const before = configuration();
    const up = ['up', '--method', 'dr', '--vip', VIP, '--vip', VIP6, '--state', state];
    assert.equal(await must(...up), `direct routing for ${VIP}, ${VIP6}\n`);
    assert.equal(await must('status', '--state', state), `direct routing for ${VIP}, ${VIP6}\n`);
    tunnel.wrapper = (packet) => packet;
    for (const [, host] of INNER) assert.equal((await curl(host)).stdout, 'hello from rs1\n');
    // Without a director the client asks on the wire who has the addresses.
    const routes = (device: string): void => {
      for (const address of [VIP, VIP6]) client.ip('route', 'replace', address, 'dev', device);
    };
    const neighbour = (address: string): string => client.ip('neigh', 'show', address, 'dev', 'c0');
    routes('c0');
    try {
      for (const [, host] of INNER) assert.notEqual((await curl(host, '0.5')).status, 0);
      for (const address of [VIP, VIP6]) assert.match(neighbour(address), /INCOMPLETE|FAILED/);
      // The ARP problem, as it is without the settings.
      for (const device of ['all', 'lo']) server.run(() => writeSysctl(`net.ipv4.conf.${device}.arp_ignore`, '0'));
      client.ip('neigh', 'flush', 'dev', 'c0');
      assert.equal((await curl(VIP)).stdout, 'hello from rs1\n');
      assert.match(neighbour(VIP), /lladdr/);
    } finally {
      routes(tunnel.device);
    }
    server.run(() => writeSysctl('net.ipv4.conf.lo.arp_ignore', '2'));
    const { stdout, stderr } = await realserver('down', '--state', state);
    assert.equal(stdout, 'nothing is up\n');
    assert.equal(stderr, 'ballast: net/ipv4/conf/lo/arp_ignore is 2 by now, not the 1 that was set: left alone\n');
    server.run(() => writeSysctl('net.ipv4.conf.lo.arp_ignore', '0'));
    assert.equal(configuration(), before);
  });

  test('settings that were there before come back; an address that was there stays', async (t) => {
    const state = stateFile(t);
    const write = (value: string): void => writeFileSync('/proc/sys/net/ipv4/conf/all/arp_announce', value);
    const read = (): string => readFileSync('/proc/sys/net/ipv4/conf/all/arp_announce', 'latin1');
    server.run(() => write('1\n'));
    server.ip('address', 'add', `${VIP}/32`, 'dev', 'lo');
    t.after(() => server.run(() => write('0\n')));
    t.after(() => server.ip('address', 'del', `${VIP}/32`, 'dev', 'lo'));
    await must('up', '--method', 'dr', '--vip', VIP, '--vip', '192.0.2.11', '--state', state);
    assert.equal(server.run(read), '2\n');
    assert.equal(await must('down', '--vip', '192.0.2.11', '--state', state), `direct routing for ${VIP}\n`);
    assert.doesNotMatch(server.ip('address', 'show', 'dev', 'lo'), /192\.0\.2\.11/);
    assert.equal(server.run(read), '2\n');
    await must('down', '--state', state);
    assert.equal(server.run(read), '1\n');
    assert.match(server.ip('address', 'show', 'dev', 'lo'), /192\.0\.2\.10\/32/);
  });

  test('the decapsulator stays away from a device with another XDP program, and nothing is changed', async (t) => {
    const state = stateFile(t);
    const other = join(scratchFolder(t), 'other.json');
    await must('up', '--method', 'tun', '--vip', VIP, '--dev', 's0', '--state', state);
    const before = configuration();
    const { status, stderr } = await realserver(
      'up',
      '--method',
      'tun',
      '--vip',
      VIP6,
      '--dev',
      's0',
      '--state',
      other,
    );
    assert.equal(status, 1);
    assert.match(stderr, /^ballast: 's0' has an XDP program already[^\n]*\n$/);
    assert.equal(configuration(), before);
    assert.equal(existsSync(other), false);
    await must('down', '--state', state);
  });

  test('what cannot be is refused in one line, and nothing is changed', async (t) => {
    const state = stateFile(t);
    const before = configuration();
    const cases: [readonly string[], RegExp, number][] = [
      [['up', '--method', 'dr', '--vip', VIP6, '--vip-dev', 's0'], /'s0' answers neighbour solicitations/, 1],
      [['up', '--method', 'dr', '--vip', VIP6, '--vip-dev', 'none0'], /there is no device 'none0'/, 1],
      [['up', '--method', 'tun', '--vip', VIP, '--dev', 'none0'], /this kernel has no|no device 'none0'/, 1],
      [['up', '--method', 'tun', '--vip', VIP, '--decap', 'kernel'], /no device tunl0/, 1],
      [['up', '--vip', VIP], /--method dr or --method tun is missing/, 2],
      [['up', '--method', 'dr'], /--vip ADDRESS is missing/, 2],
      [['up', '--method', 'dr', '--vip', 'x'], /--vip 'x' is no IPv4 or IPv6 address/, 2],
      [['up', '--method', 'dr', '--vip', VIP, '--tun-type', 'gre'], /--tun-type goes with --method tun/, 2],
      [['up', '--method', 'tun', '--vip', VIP, '--tun-type', 'gue'], /needs --tun-port/, 2],
      [['up', '--method', 'tun', '--vip', VIP, '--tun-port', '1'], /--tun-port goes with --tun-type gue/, 2],
      [['up', '--method', 'tun', '--vip', VIP, '--rip', VIP], /cannot be --vip and --rip/, 2],
      [['print', '--method', 'tun', '--vip', VIP, '--decap', 'xdp'], /a script takes tunnels apart by the kernel/, 2],
      [['down', '--rip', RIP], /--rip has no meaning here/, 2],
      [['sideways'], /unknown command 'sideways'/, 2],
      [[], /up, down, status or print\?/, 2],
    ];
    for (const [args, message, expected] of cases) {
      const { status, stderr } = await realserver(...args, '--state', state);
      assert.match(stderr, message);
      assert.match(stderr, /^ballast: [^\n]+\n$/);
      assert.equal(status, expected, stderr);
    }
    assert.equal(configuration(), before);
    assert.equal(existsSync(state), false);
  });

  test('a plain user is told to use root', async (t) => {
    const state = stateFile(t);
    const child = spawn(
      process.execPath,
      [BALLAST, 'realserver', 'up', '--method', 'dr', '--vip', VIP, '--state', state],
      {
        uid: 65534,
      },
    );
    const { status, stderr } = await outcome(child);
    assert.equal(status, 1);
    assert.match(stderr, /^ballast: [^\n]*run as root\n$/);
  });

  test('packets for another address of the machine go to it as if nothing were up', async (t) => {
    const state = stateFile(t);
    await must('up', '--method', 'tun', '--vip', VIP, '--state', state);
    tunnel.send(tcp({ src: CIP, dst: RIP, sport: 1, dport: 1, flags: 'S' }));
    const { stdout } = await curl(RIP);
    assert.equal(stdout, 'hello from rs1\n');
    await must('down', '--state', state);
  });
});

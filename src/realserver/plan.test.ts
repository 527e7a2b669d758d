// SPDX-License-Identifier: Apache-2.0
// What has to be done for which set-up, and the script that says it in shell.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { type Address, parseAddress } from '../packet/address.ts';
import { planSteps, SetupError, type Step } from './plan.ts';
import { formatScript } from './script.ts';
import type { Setup, Tunnel } from './setup.ts';

const ip = (text: string): Address => parseAddress(text)!;
const VIP = ip('192.0.2.10');
const VIP6 = ip('2001:db8::10');

const IPIP: Tunnel = { type: 'ipip', port: 0, checksum: false, by: 'kernel', device: '', local: [] };

function lines(setup: Partial<Setup>): string[] {
  return planSteps({ virtual: [VIP], device: undefined, tunnel: undefined, ...setup }).map(brief);
}

function brief(step: Step): string {
  switch (step.kind) {
    case 'sysctl':
      return `${step.name.replace('net/ipv4/conf/', '')}=${step.value}`;
    case 'address':
      return `${step.address} on ${step.device}`;
    case 'gue':
      return `gue${step.family} ${step.port}`;
    case 'tunnel':
      return `make ${step.device} ${step.tunnel} ${step.local}${step.checksum ? ' checksum' : ''}`;
    case 'decapsulate':
      return `xdp ${step.device} ${step.tunnels.join()} ${step.guePort} ${step.virtual.join()} at ${step.local.join()}`;
    default:
      return `${step.kind} ${step.device}`;
  }
}

const ARP = ['all/arp_ignore=1', 'all/arp_announce=2', 'lo/arp_ignore=1', 'lo/arp_announce=2'];

test('direct routing silences ARP before the address is there', () => {
  assert.deepEqual(lines({}), [...ARP, '192.0.2.10 on lo']);
});

test('an IPv6 address on lo needs no setting: nobody but lo would be asked', () => {
  assert.deepEqual(lines({ virtual: [VIP6] }), ['2001:db8::10 on lo']);
});

test('a device of the user holds the addresses and is silenced too', () => {
  assert.deepEqual(lines({ virtual: [VIP, VIP6], device: 'dummy0' }), [
    ...ARP,
    'dummy0/arp_ignore=1',
    'dummy0/arp_announce=2',
    '192.0.2.10 on dummy0',
    '2001:db8::10 on dummy0',
  ]);
});

test("IPIP: the kernel's fallback device of each family, loose about where clients are, holds the address", () => {
  assert.deepEqual(lines({ tunnel: IPIP }), [
    ...ARP,
    'fallback tunl0',
    'loosen tunl0',
    'up tunl0',
    '192.0.2.10 on tunl0',
  ]);
  assert.deepEqual(lines({ virtual: [VIP6], tunnel: IPIP }), [
    'fallback ip6tnl0',
    'up ip6tnl0',
    '2001:db8::10 on ip6tnl0',
  ]);
});

test('IPv6 in IPv4 takes sit0; IPv4 in IPv6 a device of its own, since ip6tnl0 takes none', () => {
  assert.deepEqual(lines({ virtual: [VIP6], tunnel: { ...IPIP, local: [ip('10.0.0.5')] } }), [
    'fallback sit0',
    'up sit0',
    '2001:db8::10 on sit0',
  ]);
  assert.deepEqual(lines({ tunnel: { ...IPIP, local: [ip('fd00::5')] } }).slice(4), [
    'make lvs-4in6 ip6tnl fd00::5',
    'loosen lvs-4in6',
    'up lvs-4in6',
    '192.0.2.10 on lvs-4in6',
  ]);
});

test('GUE is a port before the devices of IPIP, in each family', () => {
  const tunnel: Tunnel = { ...IPIP, type: 'gue', port: 6080 };
  assert.deepEqual(lines({ virtual: [VIP, VIP6], tunnel }).slice(4), [
    'fallback tunl0',
    'loosen tunl0',
    'up tunl0',
    'gue4 6080',
    'fallback ip6tnl0',
    'up ip6tnl0',
    'gue6 6080',
    '192.0.2.10 on tunl0',
    '2001:db8::10 on ip6tnl0',
  ]);
});

test('an IPv4 address is on every device that IPv4 comes out of, an IPv6 one on the first', () => {
  const tunnel: Tunnel = { ...IPIP, type: 'gre', local: [ip('10.0.0.5'), ip('fd00::5')] };
  const on = (device?: string): string[] => {
    const steps = planSteps({ virtual: [VIP, VIP6], device, tunnel });
    return steps.filter((step) => step.kind === 'address').map(brief);
  };
  assert.deepEqual(on(), ['192.0.2.10 on gre0', '192.0.2.10 on ip6gre0', '2001:db8::10 on gre0']);
  assert.deepEqual(on('dummy0').slice(0, 3), ['192.0.2.10 on dummy0', '192.0.2.10 on gre0', '192.0.2.10 on ip6gre0']);
  assert.deepEqual(on('dummy0').slice(3), ['2001:db8::10 on dummy0']);
});

test('GRE with checksums needs a device of its own and so the address at which it ends', () => {
  const tunnel: Tunnel = { ...IPIP, type: 'gre' };
  assert.deepEqual(lines({ tunnel }).slice(4), ['fallback gre0', 'loosen gre0', 'up gre0', '192.0.2.10 on gre0']);
  assert.throws(() => lines({ tunnel: { ...tunnel, checksum: true } }), SetupError);
  assert.deepEqual(lines({ tunnel: { ...tunnel, checksum: true, local: [ip('10.0.0.5')] } }).slice(4, 5), [
    'make lvs-gre4 gre 10.0.0.5 checksum',
  ]);
});

test('with XDP the addresses are on lo and the device that tunnels come in by is loose', () => {
  const tunnel: Tunnel = { ...IPIP, type: 'gue', port: 6080, by: 'xdp', device: 'eth0' };
  assert.deepEqual(lines({ tunnel }).slice(4), ['loosen eth0', 'xdp eth0 gue 6080 192.0.2.10 at ', '192.0.2.10 on lo']);
});

test('the script has a line for each step and is one for sh', () => {
  const setups: Partial<Setup>[] = [
    {},
    { device: "it's" },
    { virtual: [VIP, VIP6], tunnel: { ...IPIP, type: 'gue', port: 6080 } },
    { tunnel: { ...IPIP, type: 'gre', checksum: true, local: [ip('10.0.0.5'), ip('fd00::5')] } },
  ];
  for (const setup of setups) {
    const steps = planSteps({ virtual: [VIP], device: undefined, tunnel: undefined, ...setup });
    const script = formatScript(steps, 'ballast realserver print');
    const body = script.slice(script.indexOf('\nup() {\n') + 8, script.indexOf('\n}\n\ncase'));
    assert.equal(body.split('\n').length, steps.length);
    assert.deepEqual(spawnSync('sh', ['-n'], { input: script, encoding: 'utf8' }).stderr, '');
  }
});

test('the script passes on what a device is called', () => {
  const steps = planSteps({ virtual: [VIP], device: "it's", tunnel: undefined });
  assert.match(formatScript(steps, 'x'), /^\taddress 'it'\\''s' 192\.0\.2\.10\/32$/m);
});

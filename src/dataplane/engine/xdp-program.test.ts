// SPDX-License-Identifier: Apache-2.0
// What the XDP program decides about single packets, run by the kernel on packets that never touch a wire.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { frame as frameOf } from '../../../test/support/frames.ts';
import { icmp } from '../../../test/support/icmp.ts';
import { type RawFrame, rawFrame } from '../../../test/support/raw-frame.ts';
import { requirements } from '../../../test/support/requirements.ts';
import { type TestDevice, VethLab } from '../../../test/support/veth-lab.ts';
import { Umem, XdpSocket } from '../../linux/af-xdp.ts';
import { XDP_PASS, XDP_REDIRECT } from '../../linux/bpf-program.ts';
import { spawnInNamespace } from '../../linux/process-namespace.ts';
import { type Address, parseAddress } from '../../packet/address.ts';
import { parsePrefix } from '../../packet/prefix.ts';
import { type Endpoint, type XdpCounters, type XdpInstance, XdpProgram } from './xdp-program.ts';

const skip = requirements('xdp', 'program:ip');

const ip = (text: string): Address => parseAddress(text)!;
const VIP = ip('192.0.2.1');
const VIP6 = ip('2001:db8::1');
const SERVER = ip('10.0.0.2');
const SERVER6 = ip('fd00::2');
const CLIENT = ip('198.51.100.7');
const CLIENT6 = ip('2001:db8:9::7');
const DIRECTOR = ip('10.0.0.1');
const DIRECTOR6 = ip('fd00::1');

const TCP = 6;
const UDP = 17;
const SCTP = 132;

let lab: VethLab;
let near: TestDevice;
let program: XdpProgram;
let instance: XdpInstance;
let socket: XdpSocket;
let umem: Umem;

before(() => {
  if (skip) return;
  lab = new VethLab();
  ({ near } = lab.addPair('v'));
  program = new XdpProgram();
  instance = lab.run(() => program.attach(near));
  umem = new Umem({ frames: 64, frameSize: 2048 });
  const { name: device, index: ifindex } = near;
  socket = lab.run(() => new XdpSocket(umem, { device, ifindex, queue: 0, ringSize: 64, transmit: false }));
  instance.setSocket(0, socket.fd);
  program.addService({ protocol: 'tcp', address: VIP, port: 80 });
  program.addService({ protocol: 'udp', address: VIP, port: 53 });
  program.addService({ protocol: 'tcp', address: VIP6, port: 80 });
  program.addService({ protocol: 'udp', address: VIP6, port: 0 });
  program.addServer({ protocol: 'tcp', address: SERVER, port: 8080 });
  program.addServer({ protocol: 'udp', address: SERVER6, port: 0 });
  program.addService({ protocol: 'sctp', address: VIP, port: 9 });
  program.addServer({ protocol: 'sctp', address: SERVER, port: 9 });
  program.setLocals([DIRECTOR, DIRECTOR6]);
});

after(() => {
  if (skip) return;
  socket.close();
  instance.close();
  program.close();
  umem.close();
  lab.close();
});

function packet(frame: Partial<RawFrame>): Uint8Array {
  return rawFrame({
    destinationMac: near.mac,
    source: CLIENT,
    destination: VIP,
    protocol: TCP,
    sourcePort: 40000,
    destinationPort: 80,
    ...frame,
  });
}

/** What happened to a packet: the verdict and the one counter that moved. */
function fate(bytes: Uint8Array): string {
  const before = program.counters();
  const run = instance.run(bytes);
  assert.deepEqual(run.packet, bytes, 'the program changes no byte');
  const moved = Object.entries(program.counters()).filter(([name, n]) => n !== before[name as keyof XdpCounters]);
  assert.equal(moved.length, 1);
  const action = run.action === XDP_REDIRECT ? 'redirect' : run.action === XDP_PASS ? 'pass' : `action ${run.action}`;
  return `${action}, ${moved[0][0]}`;
}

test('TCP and UDP for a virtual service go to the engine, in both families', { skip }, () => {
  assert.equal(fate(packet({})), 'redirect, request');
  assert.equal(fate(packet({ protocol: UDP, destinationPort: 53 })), 'redirect, request');
  assert.equal(fate(packet({ source: CLIENT6, destination: VIP6 })), 'redirect, request');
});

test('SCTP for a virtual service, and from a real server, goes to the engine', { skip }, () => {
  assert.equal(fate(packet({ protocol: SCTP, destinationPort: 9 })), 'redirect, request');
  assert.equal(fate(packet({ protocol: SCTP, destinationPort: 10 })), 'pass, passed');
  const reply = { source: SERVER, sourcePort: 9, destination: CLIENT, destinationPort: 40000, protocol: SCTP };
  assert.equal(fate(packet(reply)), 'redirect, reply');
});

test('what firewall marks may concern goes to the engine: by prefix, protocol, and port or all of them', {
  skip,
}, () => {
  const to = (destination: string, frame: Partial<RawFrame> = {}): string => {
    const source = destination.includes(':') ? CLIENT6 : CLIENT;
    return fate(packet({ source, destination: ip(destination), ...frame }));
  };
  const marked = [
    { protocol: 'tcp', prefix: parsePrefix('203.0.113.0/24')!, port: 80 },
    { protocol: 'udp', prefix: parsePrefix('203.0.113.128/25')!, port: 0 },
    { protocol: 'tcp', prefix: parsePrefix('2001:db8:7::/48')!, port: 0 },
  ] as const;
  assert.equal(to('203.0.113.9'), 'pass, passed');
  for (const one of marked) program.addMarked(one);
  assert.equal(to('203.0.113.9'), 'redirect, request');
  assert.equal(to('203.0.113.9', { destinationPort: 81 }), 'pass, passed');
  assert.equal(to('203.0.114.9'), 'pass, passed');
  assert.equal(to('203.0.113.9', { protocol: UDP }), 'pass, passed');
  assert.equal(to('203.0.113.200', { protocol: UDP, destinationPort: 7 }), 'redirect, request');
  assert.equal(to('2001:db8:7:1::5', { destinationPort: 1 }), 'redirect, request');
  assert.equal(to('2001:db8:8::5'), 'pass, passed');
  for (const one of marked) program.removeMarked(one);
  assert.equal(to('203.0.113.9'), 'pass, passed');
  assert.equal(to('2001:db8:7:1::5'), 'pass, passed');
});

test('the default prefix takes everything of its protocol and port', { skip }, () => {
  const all = { protocol: 'tcp', prefix: parsePrefix('0.0.0.0/0')!, port: 80 } as const;
  program.addMarked(all);
  assert.equal(fate(packet({ destination: ip('8.8.8.8') })), 'redirect, request');
  assert.equal(fate(packet({ source: CLIENT6, destination: ip('2001:db8:7::1') })), 'pass, passed');
  program.removeMarked(all);
});

test('a service that two want is caught until none does', { skip }, () => {
  const service = { protocol: 'tcp', address: VIP, port: 443 } as const;
  program.addService(service);
  program.addService(service);
  program.removeService(service);
  assert.equal(fate(packet({ destinationPort: 443 })), 'redirect, request');
  program.removeService(service);
  assert.equal(fate(packet({ destinationPort: 443 })), 'pass, passed');
});

test('a service of port 0 takes every port of its address and protocol, and no other protocol', { skip }, () => {
  for (const destinationPort of [1, 53, 65535]) {
    const frame = { source: CLIENT6, destination: VIP6, destinationPort };
    assert.equal(fate(packet({ ...frame, protocol: UDP })), 'redirect, request');
    assert.equal(fate(packet({ ...frame, protocol: TCP })), 'pass, passed');
  }
});

test('another port, address or protocol passes to the kernel', { skip }, () => {
  assert.equal(fate(packet({ destinationPort: 81 })), 'pass, passed');
  assert.equal(fate(packet({ destination: ip('192.0.2.2') })), 'pass, passed');
  assert.equal(fate(packet({ protocol: UDP })), 'pass, passed');
  assert.equal(fate(packet({ protocol: 1 })), 'pass, passed');
  assert.equal(fate(packet({ source: CLIENT6, destination: VIP6, protocol: 58 })), 'pass, passed');
});

test("a real server's reply goes to the engine, and to the kernel when the director itself asked", { skip }, () => {
  const reply = { source: SERVER, sourcePort: 8080, destination: CLIENT, destinationPort: 40000 };
  assert.equal(fate(packet(reply)), 'redirect, reply');
  assert.equal(fate(packet({ ...reply, destination: DIRECTOR })), 'pass, passed');
  assert.equal(fate(packet({ ...reply, sourcePort: 8081 })), 'pass, passed');
  const reply6 = { source: SERVER6, destination: CLIENT6, protocol: UDP, sourcePort: 4711, destinationPort: 5 };
  assert.equal(fate(packet(reply6)), 'redirect, reply');
  assert.equal(fate(packet({ ...reply6, destination: DIRECTOR6 })), 'pass, passed');
});

test('frames for another station, a group or everybody pass', { skip }, () => {
  for (const destinationMac of ['02:00:00:00:00:55', '01:00:5e:00:00:01', 'ff:ff:ff:ff:ff:ff']) {
    assert.equal(fate(packet({ destinationMac })), 'pass, passed');
  }
});

test('a changed device address is followed', { skip }, () => {
  const destinationMac = '02:00:00:00:00:55';
  instance.setMac(destinationMac);
  assert.equal(fate(packet({ destinationMac })), 'redirect, request');
  assert.equal(fate(packet({})), 'pass, passed');
  instance.setMac(near.mac);
  assert.throws(() => instance.setMac('02:00'), { name: 'TypeError', message: "not an Ethernet address: '02:00'" });
});

test('VLAN-tagged frames pass', { skip }, () => {
  assert.equal(fate(packet({ vlan: 5 })), 'pass, passed');
});

test('fragments go to the engine by their addresses, first and later ones; DF alone is no fragment', { skip }, () => {
  for (const fragment of [0x2000, 0x0001, 0x1000]) {
    assert.equal(fate(packet({ fragment })), 'redirect, fragment');
    assert.equal(
      fate(packet({ fragment, destinationPort: 9999 })),
      'redirect, fragment',
      'whatever the port seems to be',
    );
    assert.equal(fate(packet({ fragment, source: SERVER, destination: CLIENT })), 'redirect, fragment');
    assert.equal(fate(packet({ fragment, source: SERVER, destination: DIRECTOR })), 'pass, passed');
    assert.equal(fate(packet({ fragment, destination: ip('192.0.2.99') })), 'pass, passed');
  }
  assert.equal(fate(packet({ fragment: 0x4000 })), 'redirect, request');
  const six = { source: CLIENT6, extensions: [0, 44] };
  assert.equal(fate(packet({ ...six, destination: VIP6 })), 'redirect, fragment');
  assert.equal(fate(packet({ ...six, destination: ip('2001:db8::99') })), 'pass, passed');
});

/** A frame with an ICMP message from a router. */
function icmpFrame(destination: Address, type: number, about: Uint8Array): Uint8Array {
  const src = destination.includes(':') ? '2001:db8:77::1' : '10.77.0.1';
  const frame = frameOf(icmp({ src, dst: destination, type, about }));
  frame.set(packet({}).subarray(0, 6));
  return frame;
}

test('ICMP errors go to the engine when the packet that they quote concerns a service or a server', { skip }, () => {
  const quote = (frame: Partial<RawFrame>, bytes = 28): Uint8Array => packet(frame).slice(14, 14 + bytes);
  const concerned = [
    quote({}),
    quote({ source: VIP, destination: CLIENT }),
    quote({ source: CLIENT, destination: SERVER }),
  ];
  for (const about of concerned) {
    for (const type of [3, 4, 11]) assert.equal(fate(icmpFrame(VIP, type, about)), 'redirect, icmp-error');
    assert.equal(fate(icmpFrame(CLIENT, 11, about)), 'redirect, icmp-error', 'passing by');
    assert.equal(fate(icmpFrame(VIP, 8, about)), 'pass, passed', 'an echo');
    assert.equal(fate(icmpFrame(VIP, 3, about.slice(0, 19))), 'pass, passed', 'too little is quoted');
  }
  assert.equal(fate(icmpFrame(VIP, 3, quote({ destination: DIRECTOR }))), 'pass, passed');
  const six = quote({ source: VIP6, destination: CLIENT6 }, 48);
  for (const type of [1, 2, 3, 4]) assert.equal(fate(icmpFrame(VIP6, type, six)), 'redirect, icmp-error');
  for (const type of [128, 129, 135]) assert.equal(fate(icmpFrame(VIP6, type, six)), 'pass, passed');
});

test('what servers send to an address that FULLNAT uses goes to the engine', { skip }, () => {
  const reply = packet({ source: SERVER, sourcePort: 8080, destination: DIRECTOR });
  assert.equal(fate(reply), 'pass, passed');
  program.setFullnat([DIRECTOR]);
  assert.equal(fate(reply), 'redirect, reply');
  program.setLocals([DIRECTOR6]);
  program.setLocals([DIRECTOR, DIRECTOR6]);
  assert.equal(fate(reply), 'redirect, reply', 'also when the address comes back');
  program.setFullnat([]);
  assert.equal(fate(reply), 'pass, passed');
});

test('ports are found behind IPv4 options and IPv6 extension headers', { skip }, () => {
  for (const options of [4, 20, 40]) assert.equal(fate(packet({ options })), 'redirect, request');
  for (const extensions of [[0], [43], [60], [51], [0, 60, 43, 60], [0, 60, 43, 51, 60, 60]]) {
    assert.equal(fate(packet({ source: CLIENT6, destination: VIP6, extensions })), 'redirect, request');
  }
});

test('more than six IPv6 extension headers pass', { skip }, () => {
  const extensions = new Array<number>(7).fill(60);
  assert.equal(fate(packet({ source: CLIENT6, destination: VIP6, extensions })), 'pass, passed');
});

test('senseless IP versions and header lengths pass as malformed', { skip }, () => {
  for (const [at, value] of [
    [14, 0x44],
    [14, 0x65],
    [14, 0x4f],
  ]) {
    const bytes = packet({});
    bytes[at] = value;
    assert.equal(fate(bytes), 'pass, malformed');
  }
  const bytes = packet({ source: CLIENT6, destination: VIP6 });
  bytes[14] = 0x40;
  assert.equal(fate(bytes), 'pass, malformed');
});

test('a packet cut anywhere is redirected only when its ports are there', { skip }, () => {
  const cases: [Partial<RawFrame>, number][] = [
    [{}, 14 + 20 + 4],
    [{ options: 40 }, 14 + 60 + 4],
    [{ source: CLIENT6, destination: VIP6 }, 14 + 40 + 4],
    [{ source: CLIENT6, destination: VIP6, extensions: [0, 51, 60] }, 14 + 40 + 8 + 16 + 8 + 4],
  ];
  for (const [frame, ports] of cases) {
    const whole = packet({ ...frame, payload: 20 });
    // The kernel runs a program on no less than an Ethernet header.
    for (let length = 14; length <= whole.length; length++) {
      const expected = length < ports ? 'pass, malformed' : 'redirect, request';
      assert.equal(fate(whole.slice(0, length)), expected, `${length} of ${whole.length} bytes`);
    }
  }
});

test('a server of two services is caught until the second one gives it up', { skip }, () => {
  const server: Endpoint = { protocol: 'tcp', address: SERVER, port: 9000 };
  const reply = packet({ source: SERVER, sourcePort: 9000, destination: CLIENT });
  program.addServer(server);
  program.addServer(server);
  program.removeServer(server);
  assert.equal(fate(reply), 'redirect, reply');
  program.removeServer(server);
  assert.equal(fate(reply), 'pass, passed');
  program.removeServer(server);
  assert.equal(fate(reply), 'pass, passed');
});

test('a removed service and exchanged local addresses take effect at once', { skip }, () => {
  const service: Endpoint = { protocol: 'tcp', address: VIP, port: 8443 };
  program.addService(service);
  assert.equal(fate(packet({ destinationPort: 8443 })), 'redirect, request');
  program.removeService(service);
  assert.equal(fate(packet({ destinationPort: 8443 })), 'pass, passed');

  const other = ip('10.0.0.9');
  const reply = (destination: Address): Uint8Array => packet({ source: SERVER, sourcePort: 8080, destination });
  program.setLocals([other, DIRECTOR6]);
  assert.equal(fate(reply(other)), 'pass, passed');
  assert.equal(fate(reply(DIRECTOR)), 'redirect, reply');
  program.setLocals([DIRECTOR, DIRECTOR6]);
  assert.equal(fate(reply(DIRECTOR)), 'pass, passed');
});

test('without a socket in the slot of its queue a packet passes', { skip }, () => {
  const bare = lab.addPair('bare').near;
  const unbound = lab.run(() => program.attach(bare));
  assert.equal(unbound.run(packet({ destinationMac: bare.mac })).action, XDP_PASS);
  unbound.close();
});

test('a device that has an XDP program already is refused with the remedy', { skip }, () => {
  assert.throws(() => lab.run(() => program.attach(near)), {
    code: 'BALLAST_SYS',
    errno: 'EBUSY',
    message: /^bpf: EBUSY \(attach XDP program 'ballast' to v-near\): another XDP program is attached/,
  });
});

test('after close the device is free again', { skip }, () => {
  const { near: device } = lab.addPair('again');
  const first = lab.run(() => program.attach(device));
  assert.equal(first.mode, 'native');
  assert.match(lab.ip('link', 'show', device.name), /prog\/xdp/);
  first.close();
  assert.doesNotMatch(lab.ip('link', 'show', device.name), /prog\/xdp/);
});

test('a process that is killed leaves no program behind', { skip }, async () => {
  const { near: device } = lab.addPair('dead');
  const module = new URL('./xdp-program.js', import.meta.url).href;
  const script = `
    const { XdpProgram } = await import(${JSON.stringify(module)});
    globalThis.kept = new XdpProgram().attach(${JSON.stringify(device)});
    console.log('attached');
    setInterval(() => {}, 1000);`;
  const child = spawnInNamespace(lab.namespace, process.execPath, ['--input-type=module', '-e', script]);
  try {
    const [said] = await once(child.stdout!, 'data');
    assert.equal(String(said), 'attached\n');
    assert.match(lab.ip('link', 'show', device.name), /prog\/xdp/);
  } finally {
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
  assert.doesNotMatch(lab.ip('link', 'show', device.name), /prog\/xdp/);
});

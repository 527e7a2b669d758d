// SPDX-License-Identifier: Apache-2.0
// What the decapsulator makes of single frames, run by the kernel on frames that never touch a wire.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { type DecapRules, decapsulate } from '../../test/support/decapsulation.ts';
import { addressBytes, checksumFault, frame, fromHex, hex, tcp, udp } from '../../test/support/frames.ts';
import { requirements } from '../../test/support/requirements.ts';
import { GOLDEN_TUNNELS, leaveOpen, wrap } from '../../test/support/tunnels.ts';
import { type BpfProgram, XDP_PASS } from '../linux/bpf-program.ts';
import { type Address, parseAddress } from '../packet/address.ts';
import { type DecapSettings, loadDecapsulator } from './decapsulator.ts';

const skip = requirements('xdp');

const ip = (text: string): Address => parseAddress(text)!;
const VIP = '10.0.0.1';
const VIP6 = '2001:db8::1';
const RIP = '192.168.1.1';
const RIP6 = '2001:db8:1::10';
const CLIENT = '10.7.0.1';
const CLIENT6 = '2001:db8::c';
const PORT = 6080;

const SETTINGS: DecapSettings = {
  tunnels: ['ipip', 'gue', 'gre'],
  guePort: PORT,
  virtual: [ip(VIP), ip(VIP6)],
  local: [ip(RIP), ip(RIP6)],
};

const oneOf =
  (...addresses: readonly string[]) =>
  (bytes: Uint8Array): boolean =>
    addresses.some((address) => hex(Uint8Array.from(addressBytes(address))) === hex(bytes));
const RULES: DecapRules = {
  types: ['ipip', 'gue', 'gre'],
  guePort: PORT,
  isVirtual: oneOf(VIP, VIP6),
  isLocal: oneOf(RIP, RIP6),
};

let program: BpfProgram;

before(() => {
  if (!skip) program = loadDecapsulator(SETTINGS);
});
after(() => program?.close());

const request = tcp({ src: CLIENT, dst: VIP, sport: 4000, dport: 80, flags: 'S' });
const request6 = tcp({ src: CLIENT6, dst: VIP6, sport: 4000, dport: 80, flags: 'S' });
const ends = { src: '192.168.1.254', dst: RIP } as const;
const ends6 = { src: '2001:db8:1::254', dst: RIP6 } as const;

/** The frame after the program, which has to pass all. */
function through(bytes: Uint8Array, by: BpfProgram = program): Uint8Array {
  const run = by.run(bytes);
  assert.equal(run.action, XDP_PASS);
  return run.packet;
}

function assertStripped(outer: Uint8Array, inner: Uint8Array): void {
  assert.equal(hex(through(frame(outer))), hex(frame(inner)));
}

function assertUntouched(outer: Uint8Array): void {
  assert.equal(hex(through(frame(outer))), hex(frame(outer)));
}

for (const { name, outer, inner } of GOLDEN_TUNNELS) {
  test(`${name}, as the kernel's IPVS sends it, leaves the inner packet with its Ethernet type`, { skip }, () => {
    assertStripped(outer, inner);
  });
}

test('padding of short frames stays behind the inner packet', { skip }, () => {
  const padding = new Uint8Array(6);
  const padded = Uint8Array.from([...frame(wrap('ipip', ends, request)), ...padding]);
  assert.equal(hex(through(padded)), hex(frame(Uint8Array.from([...request, ...padding]))));
});

test('what is for nobody of ours passes untouched', { skip }, () => {
  assertUntouched(request);
  assertUntouched(request6);
  assertUntouched(wrap('ipip', { ...ends, dst: '192.168.1.2' }, request));
  assertUntouched(wrap('ipip', { ...ends6, dst: '2001:db8:1::11' }, request));
  assertUntouched(wrap('gre', ends, tcp({ src: CLIENT, dst: RIP, sport: 4000, dport: 80, flags: 'S' })));
  assertUntouched(wrap('gue', ends, tcp({ src: CLIENT6, dst: '2001:db8::2', sport: 4000, dport: 80, flags: 'S' })));
  assertUntouched(udp({ ...ends, sport: 4000, dport: 53, payload: request }));
});

test('an IPv4 virtual address is not the IPv6 one of the same bytes', { skip }, () => {
  const twin = '0a00:1::';
  assertUntouched(wrap('ipip', ends, tcp({ src: CLIENT6, dst: twin, sport: 1, dport: 80, flags: 'S' })));
});

test('only the tunnels that were asked for are taken apart, GUE on its port alone', { skip }, () => {
  for (const only of ['ipip', 'gue', 'gre'] as const) {
    const single = loadDecapsulator({ ...SETTINGS, tunnels: [only] });
    try {
      for (const type of ['ipip', 'gue', 'gre'] as const) {
        const outer = frame(wrap(type, ends, request));
        assert.equal(hex(through(outer, single)), hex(type === only ? frame(request) : outer), `${type} with ${only}`);
      }
    } finally {
      single.close();
    }
  }
  const otherPort = loadDecapsulator({ ...SETTINGS, guePort: PORT + 1 });
  try {
    const outer = frame(wrap('gue', ends, request));
    assert.equal(hex(through(outer, otherPort)), hex(outer));
  } finally {
    otherPort.close();
  }
});

test('fragments of the tunnel, and what does not fit into it, pass untouched', { skip }, () => {
  for (const flags of [0x2000, 0x0001, 0x1fff, 0x3fff]) {
    const outer = wrap('ipip', ends, request);
    new DataView(outer.buffer).setUint16(6, flags);
    assertUntouched(outer);
  }
  const long = wrap('ipip', ends, request);
  new DataView(long.buffer).setUint16(20 + 2, request.length + 1);
  assertUntouched(long);
  const short = wrap('ipip', ends, request);
  new DataView(short.buffer).setUint16(2, short.length - 1);
  assertUntouched(short);
});

test('GRE with a key, a sequence number, another version or type passes untouched', { skip }, () => {
  for (const header of ['20000800', '10000800', '00010800', '40000800', '0000880b', '00006558', 'a0000800']) {
    assertUntouched(wrap({ protocol: 47, header: fromHex(header) }, ends, request));
  }
});

test('GUE with control, another version, unknown options or no IP in it passes untouched', { skip }, () => {
  const gue = (header: string): Uint8Array =>
    udp({ ...ends, sport: 50000, dport: PORT, payload: Uint8Array.from([...fromHex(header), ...request]) });
  for (const header of ['20040000', '40040000', '80040000', '00060000', '0104000000000000', '00040001', '01040001']) {
    assertUntouched(gue(header));
  }
  assertUntouched(gue('020400010000000000000000'));
  assertUntouched(gue('020400020000000080000000'));
});

test('an inner checksum that the sender left open is completed (GUE, remote checksum offload)', { skip }, () => {
  for (const extra of [0, 1, 2, 1399]) {
    const payload = new Uint8Array(extra).fill(0xab);
    for (const [family, whole] of [
      [4, tcp({ src: CLIENT, dst: VIP, sport: 4000, dport: 80, flags: 'A', payload })],
      [6, udp({ src: CLIENT6, dst: VIP6, sport: 4000, dport: 80, payload })],
      [4, udp({ src: CLIENT, dst: VIP, sport: 4000, dport: 80, payload })],
    ] as const) {
      const isUdp = whole[family === 4 ? 9 : 6] === 17;
      const start = family === 4 ? 20 : 40;
      const open = leaveOpen(whole);
      assert.notEqual(checksumFault(open), undefined);
      assertStripped(
        wrap('gue', family === 4 ? ends : ends6, open, { start, offset: start + (isUdp ? 6 : 16) }),
        whole,
      );
    }
  }
});

test('a remote checksum that points outside of the packet passes untouched', { skip }, () => {
  for (const [start, offset] of [
    [0, 0],
    [20, 20],
    [20, 19],
    [20, 39],
    [20, 0xffff],
    [0xffff, 0xfffe],
    [39, 40],
  ]) {
    assertUntouched(wrap('gue', ends, request, { start, offset }));
  }
});

test('congestion that the tunnel met is told to the inner packet, if that knows ECN (RFC 6040)', { skip }, () => {
  for (const [tos, expected] of [
    [1, 3],
    [2, 3],
    [3, 3],
    [0xb9, 0xbb],
  ]) {
    const make = (value: number): Uint8Array =>
      tcp({ src: CLIENT, dst: VIP, sport: 4000, dport: 80, flags: 'A', tos: value });
    assertStripped(wrap('ipip', { ...ends, tos: 3 }, make(tos)), make(expected));
    assertStripped(wrap('ipip', { ...ends, tos: 2 }, make(tos)), make(tos));
  }
  assertUntouched(wrap('ipip', { ...ends, tos: 3 }, request));

  const ect = request6.slice();
  ect[1] = 0x20;
  const marked = request6.slice();
  marked[1] = 0x30;
  const outer = wrap('ipip', ends6, ect);
  outer[1] = 0x30;
  assertStripped(outer, marked);
});

test('whatever is changed or cut off, the frame is what a plain model makes of it', { skip }, () => {
  const payload = new Uint8Array(33).fill(0x61);
  const samples = [
    ...GOLDEN_TUNNELS.map(({ outer }) => outer),
    wrap('gue', ends, tcp({ src: CLIENT, dst: VIP, sport: 1, dport: 80, flags: 'A', payload }), {
      start: 20,
      offset: 36,
    }),
    wrap('gue', ends6, udp({ src: CLIENT6, dst: VIP6, sport: 1, dport: 80, payload }), { start: 40, offset: 46 }),
    wrap('ipip', { ...ends, tos: 3 }, tcp({ src: CLIENT, dst: VIP, sport: 1, dport: 80, flags: 'A', tos: 2 })),
  ];
  let stripped = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...samples),
      // Most of what matters is in the first 80 bytes.
      fc.array(fc.record({ at: fc.nat(79), value: fc.nat(255) }), { maxLength: 3 }),
      fc.option(fc.nat(130), { freq: 3 }),
      fc.uint8Array({ maxLength: 8 }),
      (outer, changes, cut, tail) => {
        const bytes = Uint8Array.from([...frame(outer), ...tail]);
        for (const { at, value } of changes) bytes[12 + (at % (bytes.length - 12))] = value;
        const received = bytes.slice(0, Math.max(14, cut ?? bytes.length));
        const expected = decapsulate(received, RULES);
        if (expected !== received) stripped++;
        assert.equal(hex(through(received)), hex(expected));
      },
    ),
    { numRuns: 20_000 },
  );
  assert.ok(stripped > 1000, `${stripped} of them were tunnels still`);
});

test('arbitrary bytes pass', { skip }, () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 14, maxLength: 200 }), (bytes) => {
      assert.equal(hex(through(bytes)), hex(decapsulate(bytes, RULES)));
    }),
    { numRuns: 2_000 },
  );
});

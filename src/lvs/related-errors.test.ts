// SPDX-License-Identifier: Apache-2.0
// ICMP errors about connections: to whom they go, what changes in them, and that nothing of them is believed too easily. The
// golden ones were captured from a real kernel's IPVS (6.1).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checksumFault, fromHex, hex, tcp } from '../../test/support/frames.ts';
import { icmp, readIcmp } from '../../test/support/icmp.ts';
import { machine } from '../../test/support/machine.ts';
import { Site, type SiteOptions } from '../../test/support/site.ts';
import { TestDirector } from '../../test/support/test-director.ts';

const ROUTER4 = '10.200.0.77';
const ROUTER6 = '2001:db8:c8::77';
const FAMILIES = [
  { name: 'IPv4', service: 'tcp:10.0.0.1:80', router: ROUTER4, header: 20, unreachable: 3, echo: 8 },
  { name: 'IPv6', service: 'tcp:[2001:db8::1]:80', router: ROUTER6, header: 40, unreachable: 1, echo: 128 },
];

function golden(): TestDirector {
  const lab = new TestDirector();
  lab.addServer(lab.addService('tcp:10.0.0.1:2101'), '192.168.1.1:880');
  lab.packet(tcp({ src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 2101, flags: 'S' }));
  return lab;
}

test('golden: a router tells a NAT service that a packet to a client was too long', () => {
  const { verdict, packet } = golden().packet(
    fromHex(
      '4500003800014000400125af0ac8004d0a0000010304dbc6000005784500002800014000400626c70a0000010a07000108350fa0000003e8',
    ),
  );
  assert.equal(verdict, 'forward');
  assert.equal(
    hex(packet!),
    '45000038000140003f016f060ac8004dc0a801010304e08b00000578450000280001400040066f1ec0a801010a07000103700fa0000003e8',
  );
});

test('golden: a server tells a client that its port is closed', () => {
  const { verdict, packet } = golden().packet(
    fromHex(
      '450000380001400040016f13c0a801010a0700010303e60400000000450000280001400040066f1e0a070001c0a801010fa00370000003e8',
    ),
  );
  assert.equal(verdict, 'forward');
  assert.equal(
    hex(packet!),
    '45000038000140003f0127bc0a0000010a0700010303e13f000000004500002800014000400626c70a0700010a0000010fa00835000003e8',
  );
});

function place(options: SiteOptions): Site {
  const host = machine('192.168.1.254', '2001:db8:1::254', '10.0.0.1', '2001:db8::1');
  const site = new Site({ lab: new TestDirector({ host }), weights: [1], ...options });
  site.send(4000);
  return site;
}

/** What the service sent to the client, as the client or a router quotes it. */
function answerOf(site: Site): Uint8Array {
  const virtual = site.isIpv6 ? '2001:db8::1' : '10.0.0.1';
  return tcp({ src: virtual, dst: site.clientAddress(1), sport: 80, dport: 4000, flags: 'A' });
}

for (const { name, service, router, header, unreachable, echo } of FAMILIES) {
  const virtual = header === 40 ? '2001:db8::1' : '10.0.0.1';

  test(`${name}: an error about what NAT sent to the client reaches the server, in its terms`, () => {
    const site = place({ service, serverPort: 8080 });
    const error = icmp({ src: router, dst: virtual, type: unreachable, code: 1, rest: 77, about: answerOf(site) });
    const { verdict, packet } = site.lab.packet(error);
    assert.equal(verdict, 'forward');
    assert.equal(checksumFault(packet!), undefined);
    assert.equal(site.lab.director.departure.nextHop?.key.address, site.serverAddress(1));
    const { type, code, rest, about } = readIcmp(packet!);
    assert.deepEqual([type, code, rest], [unreachable, 1, 77]);
    const own = tcp({ src: site.serverAddress(1), dst: site.clientAddress(1), sport: 8080, dport: 4000, flags: 'A' });
    // But for the quoted transport checksum, which nobody can make good.
    assert.deepEqual(about.subarray(0, header + 16), own.subarray(0, header + 16));
    assert.deepEqual([site.server(1).counters.inPackets, site.server(1).counters.outPackets], [2, 0]);
    assert.equal(packet![header === 40 ? 7 : 8], 63);
  });

  test(`${name}: an error of a server, or of a router before it, reaches the client in the service's name`, () => {
    const site = place({ service, serverPort: 8080 });
    const request = site.request(4000, { flags: 'A' });
    const forwarded = site.lab.packet(request).packet!;
    for (const src of [site.serverAddress(1), header === 40 ? '2001:db8:1::99' : '192.168.1.99']) {
      const error = icmp({ src, dst: site.clientAddress(1), type: unreachable, code: 3, about: forwarded });
      const { verdict, packet } = site.lab.packet(error);
      assert.equal(verdict, 'forward');
      assert.equal(checksumFault(packet!), undefined);
      const ends = packet!.subarray(header - (header === 40 ? 32 : 8), header);
      assert.equal(hex(ends), hex(answerOf(site).subarray(header - (header === 40 ? 32 : 8), header)));
      const { about } = readIcmp(packet!);
      const sent = request.slice(0, header + 16);
      sent[header === 40 ? 7 : 8]--;
      if (header === 20) sent.set(about.subarray(10, 12), 10);
      assert.deepEqual(about.subarray(0, header + 16), sent);
    }
    assert.equal(site.server(1).counters.outPackets, 2);
  });

  test(`${name}: with direct routing an error reaches the server as it is, with a tunnel inside of it`, () => {
    const direct = place({ service, method: 'dr' });
    const error = icmp({ src: router, dst: virtual, type: unreachable, code: 1, about: answerOf(direct) });
    const left = direct.lab.packet(error).packet!;
    assert.deepEqual(left.subarray(header), error.subarray(header));
    const tunnel = place({ service, method: 'tun' });
    const inside = tunnel.lab.packet(error).packet!;
    assert.equal(inside[header === 40 ? 6 : 9], header === 40 ? 41 : 4);
    assert.deepEqual(inside.subarray(header), left);
  });

  test(`${name}: echo to the virtual address is the kernel's, and so are errors about nothing of ours`, () => {
    const site = place({ service });
    const about = answerOf(site);
    const other = tcp({ src: virtual, dst: site.clientAddress(1), sport: 80, dport: 4001, flags: 'A' });
    const base = { src: router, dst: virtual, type: unreachable, about };
    for (const fields of [
      { ...base, type: echo },
      { ...base, about: other },
      { ...base, about: about.slice(0, header + 3) },
      { ...base, about: about.slice(0, header - 1) },
      { ...base, about: new Uint8Array(0) },
      { ...base, about: Uint8Array.from(about, (byte, i) => (i === 0 ? byte ^ 0x20 : byte)) },
    ]) {
      assert.equal(site.lab.packet(icmp(fields)).verdict, 'pass');
    }
    assert.equal(site.server(1).counters.inPackets, 1);
  });

  test(`${name}: an error with a wrong checksum is dropped where it would be made right`, () => {
    const site = place({ service });
    const error = icmp({ src: router, dst: virtual, type: unreachable, about: answerOf(site) });
    error[error.length - 1] ^= 1;
    assert.equal(site.lab.packet(error).verdict, 'drop-icmp-checksum');
    const back = icmp({
      src: site.serverAddress(1),
      dst: site.clientAddress(1),
      type: unreachable,
      about: site.lab.packet(site.request(4000, { flags: 'A' })).packet!,
    });
    back[back.length - 1] ^= 1;
    assert.equal(site.lab.packet(back).verdict, 'drop-icmp-checksum');
  });

  test(`${name}: nobody is told that an error ran out of hops`, () => {
    const site = place({ service });
    const error = icmp({ src: router, dst: virtual, type: unreachable, about: answerOf(site), ttl: 1 });
    assert.equal(site.lab.packet(error).verdict, 'drop-ttl-exceeded');
  });

  test(`${name}: whatever is cut from errors, or changed in them, never throws and never leaves its slot`, () => {
    const site = place({ service });
    const answer = answerOf(site);
    fc.assert(
      fc.property(
        fc.nat({ max: answer.length }),
        fc.array(fc.tuple(fc.nat({ max: 200 }), fc.nat({ max: 255 })), { maxLength: 4 }),
        fc.constantFrom(router, site.clientAddress(1)),
        (kept, changes, src) => {
          const about = answer.slice(0, kept);
          for (const [at, value] of changes) if (at < about.length) about[at] = value;
          const { packet } = site.lab.packet(icmp({ src, dst: virtual, type: unreachable, about }));
          if (packet !== undefined) assert.equal(checksumFault(packet), undefined);
        },
      ),
      { numRuns: 2000 },
    );
  });
}

test('what is quoted of a fragment other than the first has no ports, and is the kernel’s', () => {
  const site = place({});
  const about = answerOf(site);
  about[7] = 1;
  assert.equal(site.lab.packet(icmp({ src: ROUTER4, dst: '10.0.0.1', type: 3, about })).verdict, 'pass');
});

test('an error about direct routing that passes by on its way to the client counts as the server’s', () => {
  const site = place({ method: 'dr' });
  const about = site.request(4000, { flags: 'A' });
  const error = icmp({ src: '192.168.1.99', dst: site.clientAddress(1), type: 3, code: 1, about });
  assert.equal(site.lab.packet(error).verdict, 'pass');
  const { outPackets, outBytes } = site.server(1).counters;
  assert.deepEqual([outPackets, outBytes], [1, error.length]);
  const last = icmp({ src: '192.168.1.99', dst: site.clientAddress(1), type: 3, code: 1, about, ttl: 1 });
  assert.equal(site.lab.packet(last).verdict, 'pass');
  assert.equal(site.server(1).counters.outPackets, 1, 'what does not get there does not count');
});

test('errors do not prolong connections', () => {
  const site = place({});
  site.lab.advance(59);
  site.lab.packet(icmp({ src: ROUTER4, dst: '10.0.0.1', type: 3, about: answerOf(site) }));
  site.lab.advance(2);
  assert.deepEqual(site.lab.flows(), []);
});

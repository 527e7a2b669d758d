// SPDX-License-Identifier: Apache-2.0
// ICMP errors of routers about tunnelled packets: the path MTU that they teach, what clients hear, and what is not believed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checksumFault, hex } from '../../test/support/frames.ts';
import { icmp, readIcmp } from '../../test/support/icmp.ts';
import { TestMachine } from '../../test/support/machine.ts';
import { Site } from '../../test/support/site.ts';
import { TestDirector } from '../../test/support/test-director.ts';
import type { TunnelOptions } from './model.ts';

const TUNNELS: readonly TunnelOptions[] = [
  { type: 'ipip' },
  { type: 'gue', port: 6080, checksum: 'none' },
  { type: 'gre', checksum: 'none' },
  { type: 'gre', checksum: 'csum' },
];
const FAMILIES = [
  { service: 'tcp:10.0.0.1:80', own: '192.168.1.254', router: '10.200.0.77', header: 20 },
  { service: 'tcp:[2001:db8::1]:80', own: '2001:db8:1::254', router: '2001:db8:c8::77', header: 40 },
];

class Place {
  readonly host = new TestMachine(['192.168.1.254', '2001:db8:1::254', '10.0.0.1', '2001:db8::1']);
  readonly site: Site;

  constructor(service: string, tunnel: TunnelOptions) {
    this.host.mtu = 1500;
    this.site = new Site({ lab: new TestDirector({ host: this.host }), service, method: 'tun', weights: [] });
    this.site.add(1, 1, { tunnel });
    this.site.send(4000);
  }

  /** A request of `length` bytes with DF set; how it leaves. */
  send(length: number): { verdict: string; packet: Uint8Array | undefined } {
    const bare = this.site.request(4000, { flags: 'A' });
    const packet = this.site.request(4000, { flags: 'A', payload: 'x'.repeat(length - bare.length) });
    if (!this.site.isIpv6) packet.set(withDf(packet), 0);
    return this.site.lab.packet(packet);
  }
}

function withDf(packet: Uint8Array): Uint8Array {
  const header = packet.slice(0, 20);
  header[6] = 0x40;
  header.set([0, 0], 10);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += (header[i] << 8) | header[i + 1];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  header.set([(~sum >>> 8) & 255, ~sum & 255], 10);
  return header;
}

for (const { service, own, router, header } of FAMILIES) {
  for (const tunnel of TUNNELS) {
    const name = `${service} by ${tunnel.type}${'checksum' in tunnel ? ` ${tunnel.checksum}` : ''}`;
    const tooBig = header === 40 ? { type: 2, code: 0 } : { type: 3, code: 4 };

    test(`${name}: a router's MTU is believed, told to the client, and forgotten after ten minutes`, () => {
      const { send, site } = bound(new Place(service, tunnel));
      const outer = send(1400).packet!;
      const overhead = outer.length - 1400;
      const about = header === 40 ? outer.slice(0, 1232) : outer.slice(0, 548);
      const { verdict, packet } = site.lab.packet(icmp({ src: router, dst: own, ...tooBig, rest: 1400, about }));
      assert.equal(verdict, 'answer-icmp');
      assert.equal(checksumFault(packet!), undefined);
      const told = readIcmp(packet!);
      assert.deepEqual([told.type, told.code, told.rest], [tooBig.type, tooBig.code, 1400 - overhead]);
      assert.equal(hex(told.about.subarray(0, 28)), hex(outer.subarray(overhead, overhead + 28)));
      assert.equal(send(1400 - overhead).verdict, 'forward');
      assert.equal(send(1401 - overhead).verdict, 'answer-icmp');
      site.lab.advance(599);
      assert.equal(send(1401 - overhead).verdict, 'answer-icmp');
      site.lab.advance(2);
      assert.equal(send(1401 - overhead).verdict, 'forward');
    });

    test(`${name}: what a router says holds for all services of the machine behind the tunnel`, () => {
      const { send, site } = bound(new Place(service, tunnel));
      const other = new Site({
        lab: site.lab,
        service: service.replace(/80$/, '81'),
        method: 'tun',
        weights: [],
        serverPort: 80,
      });
      other.add(1, 1, { tunnel });
      other.send(4000);
      const about = send(1400).packet!.slice(0, header === 40 ? 1232 : 548);
      const { verdict } = site.lab.packet(icmp({ src: router, dst: own, ...tooBig, rest: 1400, about }));
      assert.equal(verdict, 'answer-icmp');
      for (const each of [site, other]) {
        const bare = each.request(4000, { flags: 'A' });
        const packet = each.request(4000, { flags: 'A', payload: 'x'.repeat(1400 - bare.length) });
        if (!each.isIpv6) packet.set(withDf(packet), 0);
        assert.equal(each.lab.packet(packet).verdict, 'answer-icmp');
      }
    });

    test(`${name}: other errors are told to the client in the service's name`, () => {
      const { send, site } = bound(new Place(service, tunnel));
      const about = send(100).packet!;
      const [type, code] = header === 40 ? [3, 0] : [11, 0];
      const { verdict, packet } = site.lab.packet(icmp({ src: router, dst: own, type, code, about }));
      assert.equal(verdict, 'answer-icmp');
      assert.equal(checksumFault(packet!), undefined);
      assert.deepEqual([readIcmp(packet!).type, readIcmp(packet!).code], [type, code]);
      const request = site.request(4000, { flags: 'A' });
      const [from, length] = header === 40 ? [8, 16] : [12, 4];
      assert.equal(hex(packet!.subarray(from, from + length)), hex(request.subarray(from + length, from + 2 * length)));
      assert.ok(site.server(1).counters.outPackets > 0);
    });

    test(`${name}: what does not fit the tunnels that there are is left to the kernel`, () => {
      const { send, site } = bound(new Place(service, tunnel));
      const outer = send(100).packet!;
      const error = { src: router, dst: own, ...tooBig, rest: 1400 };
      const verdictOf = (about: Uint8Array, dst = own): string =>
        site.lab.packet(icmp({ ...error, dst, about })).verdict;
      assert.equal(verdictOf(outer.slice(0, header + 8)), 'pass', 'nothing of the inner packet is quoted');
      assert.equal(verdictOf(outer, site.clientAddress(9)), 'pass', 'not for the director');
      const toAnother = outer.slice();
      toAnother[header - 1] ^= 64;
      assert.equal(verdictOf(toAnother), 'pass', 'about another server');
      const ofAnother = outer.slice();
      ofAnother[outer.length - 100 + header + 1] ^= 64;
      assert.equal(verdictOf(ofAnother), 'pass', 'about another connection');
      assert.equal(send(1500 - (outer.length - 100)).verdict, 'forward', 'and nothing was learned');
    });

    test(`${name}: errors about tunnels, cut short or changed, never throw`, () => {
      const { send, site } = bound(new Place(service, tunnel));
      const outer = send(120).packet!;
      fc.assert(
        fc.property(
          fc.nat({ max: outer.length }),
          fc.array(fc.tuple(fc.nat({ max: 120 }), fc.nat({ max: 255 })), { maxLength: 4 }),
          (kept, changes) => {
            const about = outer.slice(0, kept);
            for (const [at, value] of changes) if (at < about.length) about[at] = value;
            const { packet } = site.lab.packet(icmp({ src: router, dst: own, ...tooBig, rest: 1300, about }));
            if (packet !== undefined) assert.equal(checksumFault(packet), undefined);
          },
        ),
        { numRuns: 500 },
      );
    });
  }
}

test('an MTU that no honest router tells is not believed', () => {
  const { send, site } = bound(new Place('tcp:10.0.0.1:80', { type: 'ipip' }));
  const about = send(1400).packet!.slice(0, 548);
  site.lab.packet(icmp({ src: '10.200.0.77', dst: '192.168.1.254', type: 3, code: 4, rest: 60, about }));
  assert.equal(send(532).verdict, 'forward');
  assert.equal(send(533).verdict, 'answer-icmp');
});

test('a router’s MTU helps a tunnel of another family too', () => {
  const host = new TestMachine(['192.168.1.254', '2001:db8::1']);
  host.mtu = 1500;
  const site = new Site({ lab: new TestDirector({ host }), service: 'tcp:[2001:db8::1]:80', weights: [] });
  site.lab.addServer(site.service, '192.168.1.1:80', 1, { method: 'tun', tunnel: { type: 'ipip' } });
  const payload = 'x'.repeat(1480 - 60);
  site.send(4000);
  const outer = site.lab.packet(site.request(4000, { flags: 'A', payload })).packet!;
  const error = icmp({
    src: '10.200.0.77',
    dst: '192.168.1.254',
    type: 3,
    code: 4,
    rest: 1400,
    about: outer.slice(0, 548),
  });
  const { verdict, packet } = site.lab.packet(error);
  assert.equal(verdict, 'answer-icmp');
  assert.equal(packet![0] >>> 4, 6);
  assert.equal(checksumFault(packet!), undefined);
  assert.deepEqual([readIcmp(packet!).type, readIcmp(packet!).rest], [2, 1380]);
});

function bound(place: Place): { send: Place['send']; site: Site } {
  return { send: (length) => place.send(length), site: place.site };
}

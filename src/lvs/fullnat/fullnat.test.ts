// SPDX-License-Identifier: Apache-2.0
// FULLNAT through the director: both ends change and change back, two clients behind one local end do not meet, ports run out
// and come back, and servers hear of their clients by TOA and by PROXY headers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressBytes, checksumFault, hex, tcp, udp } from '../../../test/support/frames.ts';
import { icmp, readIcmp } from '../../../test/support/icmp.ts';
import { TestMachine } from '../../../test/support/machine.ts';
import { Site, type SiteOptions } from '../../../test/support/site.ts';
import { readSegment } from '../../../test/support/tcp-peer.ts';
import { TestDirector } from '../../../test/support/test-director.ts';
import type { Address } from '../../packet/address.ts';
import type { LocalAddressOptions, ServiceTuning } from '../model.ts';
import { readProxyHeader } from '../stream/proxy-protocol.ts';

const FAMILIES = [
  { service: 'tcp:10.0.0.1:80', virtual: '10.0.0.1', local: '192.168.1.254', other: '192.168.1.253', header: 20 },
  {
    service: 'tcp:[2001:db8::1]:80',
    virtual: '2001:db8::1',
    local: '2001:db8:1::254',
    other: '2001:db8:1::253',
    header: 40,
  },
] as const;
type Net = (typeof FAMILIES)[number];

interface PlaceOptions extends SiteOptions {
  readonly ports?: LocalAddressOptions;
  readonly addresses?: readonly string[];
  readonly tuning?: ServiceTuning;
  readonly maxConnections?: number;
}

function place(
  net: Net,
  { ports = {}, addresses = [net.local], tuning, maxConnections, ...more }: PlaceOptions = {},
): Site {
  const host = new TestMachine([net.local, net.other, net.virtual]);
  const lab = new TestDirector({ host, ...(maxConnections !== undefined && { maxConnections }) });
  const site = new Site({ lab, service: net.service, method: 'fullnat', serverPort: 8080, weights: [1], ...more });
  for (const address of addresses) {
    const local = { pool: tuning?.localPool ?? 'default', address: address as Address };
    lab.dataplane.applyNow({ type: 'add-local-address', local, options: ports });
  }
  if (tuning !== undefined) lab.tune(site.service, tuning);
  return site;
}

const bytes = (address: string): string => addressBytes(address).join('.');

/** What a server sees of a client's packet. */
function forwarded(site: Site, packet: Uint8Array): Uint8Array {
  const { verdict, packet: out } = site.lab.packet(packet);
  assert.equal(verdict, 'forward');
  assert.equal(checksumFault(out!), undefined);
  return out!;
}

interface Talk {
  readonly port: number;
  /** By how much the server's view of the client's numbers is ahead. */
  readonly shift: number;
}

/** Opens a connection; returns the local port and the shift of the client's numbers. */
function open(site: Site, net: Net, sport: number, from = 1): Talk {
  const syn = { src: site.clientAddress(from), dst: net.virtual, sport, dport: 80, flags: 'S', seq: 5000 };
  const seen = readSegment(forwarded(site, tcp(syn)));
  assert.deepEqual(seen.destination, { address: bytes(site.serverAddress(1)), port: 8080 });
  const shift = (seen.sequence - 5000) | 0;
  const back = answer(site, net, seen.source.port, { flags: 'SA', seq: 900, ack: seen.sequence + 1 });
  assert.deepEqual(
    [back.source, back.destination, back.sequence, back.acknowledgment],
    [{ address: bytes(net.virtual), port: 80 }, { address: bytes(site.clientAddress(from)), port: sport }, 900, 5001],
  );
  return { port: seen.source.port, shift };
}

function answer(
  site: Site,
  net: Net,
  port: number,
  fields: { flags: string; seq: number; ack: number; payload?: Uint8Array },
  local: string = net.local,
): ReturnType<typeof readSegment> {
  const ends = { src: site.serverAddress(1), dst: local, sport: 8080, dport: port };
  return readSegment(forwarded(site, tcp({ ...ends, ...fields, ack: fields.ack >>> 0 })));
}

for (const net of FAMILIES) {
  const family = net.header === 20 ? 'IPv4' : 'IPv6';

  test(`${family}: a server sees a local end and answers to it; numbers are shifted there and back`, () => {
    const site = place(net);
    const { port, shift } = open(site, net, 4000);
    const data = {
      src: site.clientAddress(1),
      dst: net.virtual,
      sport: 4000,
      dport: 80,
      flags: 'PA',
      seq: 5001,
      ack: 901,
    };
    const seen = readSegment(forwarded(site, tcp({ ...data, payload: Buffer.from('GET /') })));
    assert.deepEqual(seen.source, { address: bytes(net.local), port });
    assert.equal(seen.sequence, (5001 + shift) >>> 0);
    assert.equal(Buffer.from(seen.payload).toString(), 'GET /');
    const reply = answer(site, net, port, { flags: 'PA', seq: 901, ack: 5006 + shift, payload: Buffer.from('200') });
    assert.deepEqual([reply.acknowledgment, Buffer.from(reply.payload).toString()], [5006, '200']);
    assert.equal(site.lab.flows().length, 1);
    assert.match(site.lab.flows()[0], /ESTABLISHED/);
    const { inPackets, outPackets } = site.server(1).counters;
    assert.deepEqual([inPackets, outPackets], [2, 2]);
  });

  test(`${family}: clients with the same port get different ones, and each its own answers`, () => {
    const site = place(net, { addresses: [net.local, net.other] });
    const seen = new Set<string>();
    for (let from = 1; from <= 50; from++) {
      const syn = tcp({ src: site.clientAddress(from), dst: net.virtual, sport: 4000, dport: 80, flags: 'S' });
      const { source } = readSegment(forwarded(site, syn));
      assert.ok([net.local, net.other].map(bytes).includes(source.address));
      seen.add(`${source.address} ${source.port}`);
      const local = source.address === bytes(net.local) ? net.local : net.other;
      const { destination } = answer(site, net, source.port, { flags: 'SA', seq: 1, ack: 1 }, local);
      assert.deepEqual(destination, { address: bytes(site.clientAddress(from)), port: 4000 });
    }
    assert.equal(seen.size, 50);
  });

  test(`${family}: a SYN loses its timestamps, which belong to another clock than the last client's`, () => {
    const site = place(net);
    const syn = withTcpOptions(
      tcp({ src: site.clientAddress(1), dst: net.virtual, sport: 4000, dport: 80, flags: 'S' }),
      [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7],
    );
    const out = forwarded(site, syn);
    const options = out.subarray(net.header + 20, net.header + 40);
    assert.deepEqual([...options.subarray(0, 6)], [2, 4, 5, 180, 4, 2]);
    assert.deepEqual([...options.subarray(6, 17)], [...new Array(11).fill(1)]);
  });

  test(`${family}: when no port is left connections are refused and counted, and a port that is free again serves`, () => {
    const site = place(net, { ports: { lowPort: 2000, highPort: 2001 } });
    for (const sport of [4000, 4001]) open(site, net, sport);
    assert.equal(site.send(4002), 'drop-no-local-port');
    const [pool] = site.lab.dataplane.snapshotNow().localPools;
    assert.deepEqual([pool.connections, pool.exhausted, pool.addresses[0].connections], [2, 1, 2]);
    assert.equal(site.lab.flows().length, 2);
    assert.equal(site.server(1).activeConnections, 2);
    for (const flags of ['A', 'R']) site.send(4000, { flags });
    site.lab.advance(11);
    assert.equal(site.send(4002), '1');
  });

  test(`${family}: without a pool, and without an address of the family in it, nothing is opened`, () => {
    const site = place(net, { addresses: [] });
    assert.equal(site.send(4000), 'drop-no-local-port');
    const other = FAMILIES.find((candidate) => candidate !== net)!;
    const local = { pool: 'default', address: other.local as Address };
    site.lab.dataplane.applyNow({ type: 'add-local-address', local, options: {} });
    assert.equal(site.send(4000), 'drop-no-local-port');
    assert.deepEqual(site.lab.flows(), []);
  });

  test(`${family}: a server behind the director reaches a service whose server it is itself`, () => {
    const site = place(net);
    const client = site.serverAddress(1);
    const out = forwarded(site, tcp({ src: client, dst: net.virtual, sport: 4000, dport: 80, flags: 'S' }));
    const { source, destination } = readSegment(out);
    assert.deepEqual([source.address, destination.address], [bytes(net.local), bytes(client)]);
    const { destination: back } = answer(site, net, source.port, { flags: 'SA', seq: 1, ack: 1 });
    assert.deepEqual(back, { address: bytes(client), port: 4000 });
  });

  test(`${family}: ICMP errors of both sides reach the other one in its own terms`, () => {
    const site = place(net);
    const { port, shift } = open(site, net, 4000);
    const type = net.header === 20 ? 3 : 1;
    const toClient = tcp({
      src: net.virtual,
      dst: site.clientAddress(1),
      sport: 80,
      dport: 4000,
      flags: 'A',
      seq: 901,
    });
    const error = icmp({ src: site.clientAddress(9), dst: net.virtual, type, code: 1, about: toClient });
    const atServer = forwarded(site, error);
    const asServer = { src: site.serverAddress(1), dst: net.local, sport: 8080, dport: port };
    assert.deepEqual(ends(atServer, net), [bytes(net.local), bytes(site.serverAddress(1))]);
    const quoted = readIcmp(atServer).about;
    assert.equal(
      hex(quoted.subarray(0, net.header + 16)),
      hex(tcp({ ...asServer, flags: 'A', seq: 901 }).subarray(0, net.header + 16)),
    );

    const request = {
      src: site.clientAddress(1),
      dst: net.virtual,
      sport: 4000,
      dport: 80,
      flags: 'A',
      seq: 5001,
      ack: 901,
    };
    const seen = forwarded(site, tcp(request));
    const atClient = forwarded(site, icmp({ src: site.serverAddress(1), dst: net.local, type, code: 3, about: seen }));
    assert.deepEqual(ends(atClient, net), [bytes(net.virtual), bytes(site.clientAddress(1))]);
    const { about } = readIcmp(atClient);
    const own = tcp({ ...request, ttl: 63 });
    assert.equal(hex(about.subarray(0, net.header + 16)), hex(own.subarray(0, net.header + 16)));
    assert.notEqual(shift, 0);
  });

  test(`${family}: TOA is in the handshake's last segment and the first data, and no more when the server has spoken`, () => {
    const site = place(net, { tuning: { clientAddress: 'toa', toaKind: 200 } });
    const { port, shift } = open(site, net, 4000);
    const request = { src: site.clientAddress(1), dst: net.virtual, sport: 4000, dport: 80, ack: 901 };
    const length = net.header === 20 ? 8 : 20;
    const option = [200, length, 4000 >> 8, 4000 & 255, ...addressBytes(site.clientAddress(1))];
    for (const fields of [
      { flags: 'A', payload: '' },
      { flags: 'PA', payload: 'GET /' },
      { flags: 'PA', payload: 'GET /' },
    ]) {
      const out = forwarded(
        site,
        tcp({ ...request, seq: 5001, flags: fields.flags, payload: Buffer.from(fields.payload) }),
      );
      assert.deepEqual([...out.subarray(net.header + 20, net.header + 20 + length)], option);
      assert.equal(Buffer.from(readSegment(out).payload).toString(), fields.payload);
    }
    answer(site, net, port, { flags: 'PA', seq: 901, ack: 5006 + shift, payload: Buffer.from('200') });
    const later = forwarded(site, tcp({ ...request, seq: 5006, ack: 904, flags: 'A' }));
    assert.equal(later.length, net.header + 20);
  });

  for (const version of ['proxy-v1', 'proxy-v2'] as const) {
    test(`${family}: ${version} goes before the client's data, once acknowledged never again`, () => {
      const site = place(net, { tuning: { clientAddress: version } });
      const { port, shift } = open(site, net, 4000);
      const request = { src: site.clientAddress(1), dst: net.virtual, sport: 4000, dport: 80, ack: 901, seq: 5001 };
      // In place of the handshake's last segment.
      const first = readSegment(forwarded(site, tcp({ ...request, flags: 'A' })));
      assert.equal(first.sequence, (5001 + shift) >>> 0);
      const header = readProxyHeader(first.payload, 0, first.payload.length)!;
      assert.equal(header.length, first.payload.length);
      assert.deepEqual([header.ends?.sourcePort, header.ends?.destinationPort], [4000, 80]);
      assert.equal(header.version, version === 'proxy-v1' ? 1 : 2);
      // The data follows at once; when it is sent again, the header is too.
      const data = tcp({ ...request, flags: 'PA', payload: Buffer.from('GET /') });
      for (const isRepeated of [false, true]) {
        const seen = readSegment(forwarded(site, data));
        assert.equal(seen.sequence, (5001 + shift + header.length) >>> 0);
        const { before, beforeLength, memory } = site.lab.director.departure;
        assert.equal(beforeLength > 0, isRepeated);
        if (!isRepeated) continue;
        const packet = memory.bytes.slice(before + 14, before + beforeLength);
        assert.equal(checksumFault(packet), undefined);
        assert.deepEqual(readSegment(packet), first);
      }
      const reply = answer(site, net, port, { flags: 'A', seq: 901, ack: 5006 + shift + header.length });
      assert.equal(reply.acknowledgment, 5006);
      const next = readSegment(forwarded(site, tcp({ ...request, seq: 5006, flags: 'PA', payload: Buffer.from('x') })));
      assert.deepEqual([next.sequence, next.payload.length], [(5006 + shift + header.length) >>> 0, 1]);
      assert.equal(site.lab.director.departure.beforeLength, 0);
    });
  }

  test(`${family}: datagrams carry a PROXY header until the server has answered`, () => {
    const site = place(net, { service: net.service.replace('tcp', 'udp'), tuning: { clientAddress: 'proxy-v2' } });
    const query = udp({
      src: site.clientAddress(1),
      dst: net.virtual,
      sport: 4000,
      dport: 80,
      payload: Buffer.from('query'),
    });
    let port = 0;
    for (let i = 0; i < 2; i++) {
      const out = forwarded(site, query);
      const header = readProxyHeader(out, net.header + 8, out.length)!;
      assert.deepEqual([header.ends?.sourcePort, header.ends?.destinationPort], [4000, 80]);
      assert.equal(Buffer.from(out.subarray(net.header + 8 + header.length)).toString(), 'query');
      port = (out[net.header] << 8) | out[net.header + 1];
    }
    const back = udp({
      src: site.serverAddress(1),
      dst: net.local,
      sport: 8080,
      dport: port,
      payload: Buffer.from('ok'),
    });
    assert.deepEqual(ends(forwarded(site, back), net), [bytes(net.virtual), bytes(site.clientAddress(1))]);
    assert.equal(forwarded(site, query).length, query.length);
  });

  test(`${family}: when the table is full the port comes back`, () => {
    const site = place(net, { maxConnections: 3, ports: { lowPort: 2000, highPort: 2009 } });
    open(site, net, 4000);
    // Each connection takes two records.
    assert.equal(site.send(4001), 'drop-table-full');
    assert.equal(site.lab.dataplane.snapshotNow().localPools[0].connections, 1);
    assert.equal(site.lab.director.connections.table.count, 1);
  });
}

test('60,000 connections at once from one local address to one server, and no two alike', () => {
  const net = FAMILIES[0];
  const site = place(net, { maxConnections: 131072 });
  const ports = new Set<number>();
  for (let i = 0; i < 60_000; i++) {
    const fields = { src: `10.7.${i >> 14}.1`, dst: net.virtual, sport: 1024 + (i & 0x3fff), dport: 80, flags: 'S' };
    const { verdict, packet } = site.lab.packet(tcp(fields));
    assert.equal(verdict, 'forward');
    ports.add((packet![20] << 8) | packet![21]);
  }
  assert.equal(ports.size, 60_000);
  assert.equal(site.lab.director.connections.table.count, 60_000);
});

test('a connection whose client comes again from its old port gets another local port and higher numbers', () => {
  const net = FAMILIES[0];
  const site = place(net);
  const first = open(site, net, 4000);
  for (const flags of ['A', 'R']) site.send(4000, { flags });
  site.lab.advance(1);
  const again = readSegment(forwarded(site, site.request(4000)));
  assert.notEqual(again.source.port, first.port);
});

test('an address that is taken out of its pool serves the connections that it has, and gives no more', () => {
  const net = FAMILIES[0];
  const site = place(net);
  const { port, shift } = open(site, net, 4000);
  site.lab.dataplane.applyNow({
    type: 'delete-local-address',
    local: { pool: 'default', address: net.local as Address },
  });
  assert.equal(site.send(4001), 'drop-no-local-port');
  const reply = answer(site, net, port, { flags: 'A', seq: 901, ack: 5001 + shift });
  assert.equal(reply.acknowledgment, 5001);
  assert.deepEqual(site.lab.dataplane.snapshotNow().localPools, []);
});

test('a service takes the pool that it names', () => {
  const net = FAMILIES[0];
  const site = place(net, { tuning: { localPool: 'blue' } });
  const { source } = readSegment(forwarded(site, site.request(4000)));
  assert.equal(source.address, bytes(net.local));
  site.lab.tune(site.service, { localPool: 'green' });
  assert.equal(site.send(4001), 'drop-no-local-port');
});

test('the deadline of a drain resets both ends, each by its own numbers', () => {
  const net = FAMILIES[0];
  const site = place(net, { weights: [1] });
  const { shift } = open(site, net, 4000);
  const request = {
    src: site.clientAddress(1),
    dst: net.virtual,
    sport: 4000,
    dport: 80,
    flags: 'A',
    seq: 5001,
    ack: 901,
  };
  forwarded(site, tcp(request));
  site.lab.dataplane.applyNow({
    type: 'drain-server',
    service: site.service,
    server: site.keyOf(1),
    deadlineSeconds: 0,
  });
  site.lab.advance(0.1);
  site.lab.director.outbox.splice(0);
  const reset = readSegment(forwarded(site, tcp(request)));
  assert.deepEqual([reset.flags, reset.sequence], [0x14, (5001 + shift) >>> 0]);
  const own = site.lab.director.outbox.map(readSegment);
  const toServer = own.filter(({ destination }) => destination.port === 8080).map(({ sequence }) => sequence);
  const toClient = own.filter(({ destination }) => destination.port === 4000).map(({ sequence }) => sequence);
  assert.deepEqual([toServer, toClient], [[(5002 + shift) >>> 0], [901]]);
});

function ends(packet: Uint8Array, net: Net): [string, string] {
  const [from, to, end] = net.header === 20 ? [12, 16, 20] : [8, 24, 40];
  return [packet.subarray(from, to).join('.'), packet.subarray(to, end).join('.')];
}

/** The segment with options, padded already. */
function withTcpOptions(packet: Uint8Array, options: readonly number[]): Uint8Array {
  const isIpv4 = packet[0] >>> 4 === 4;
  const header = isIpv4 ? 20 : 40;
  const out = Uint8Array.from([...packet, ...options]);
  const length = isIpv4 ? out.length : out.length - 40;
  out.set([length >>> 8, length & 255], isIpv4 ? 2 : 4);
  out[header + 12] = ((20 + options.length) / 4) << 4;
  const sum16 = (data: readonly number[]): number => {
    let sum = 0;
    for (let i = 0; i < data.length; i += 2) sum += (data[i] << 8) | (data[i + 1] ?? 0);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    return ~sum & 0xffff;
  };
  if (isIpv4) {
    out.set([0, 0], 10);
    const sum = sum16([...out.subarray(0, 20)]);
    out.set([sum >>> 8, sum & 255], 10);
  }
  out.set([0, 0], header + 16);
  const segment = [...out.subarray(header)];
  const pseudo = [...out.subarray(isIpv4 ? 12 : 8, header), 0, 6, segment.length >>> 8, segment.length & 255];
  const sum = sum16([...pseudo, ...segment]);
  out.set([sum >>> 8, sum & 255], header + 16);
  return out;
}

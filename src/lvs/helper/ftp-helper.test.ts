// SPDX-License-Identifier: Apache-2.0
// FTP through the director: the replies that a real kernel rewrote and what it listed, the life of data connections, and
// that both ends of a control connection read what they should however long it goes on. What is an address: ftp.test.ts.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { checksumFault, tcp, udp } from '../../../test/support/frames.ts';
import { numbers, Session } from '../../../test/support/ftp-session.ts';
import { readSegment } from '../../../test/support/tcp-peer.ts';
import { TestDirector } from '../../../test/support/test-director.ts';
import { RECORD_SHIFT, STATE, STATE_MASK } from '../connection/layout.ts';
import { TCP_LISTEN } from '../connection/tcp-state.ts';
import type { ServiceKey } from '../model.ts';
import { MOST_AWAITED } from './ftp-helper.ts';

const CLIENT = '10.7.0.1';
const VIP = '10.0.0.1';
const SERVER = '192.168.1.1';

interface Site {
  readonly lab: TestDirector;
  readonly service: ServiceKey;
}

function site(options: { maxConnections?: number } = {}): Site {
  const lab = new TestDirector(options);
  const service = lab.addService(`tcp:${VIP}:21`);
  lab.addServer(service, `${SERVER}:21`);
  return { lab, service };
}

function control(lab: TestDirector, clientPort = 7000, server = SERVER): Session {
  return new Session(lab, {
    client: { address: CLIENT, port: clientPort },
    virtual: { address: VIP, port: 21 },
    server: { address: server, port: 21 },
  }).open();
}

/** A data connection of the client's to `port`. */
function passive(lab: TestDirector, port: number, clientPort: number, server = SERVER): Session {
  return new Session(lab, {
    client: { address: CLIENT, port: clientPort },
    virtual: { address: VIP, port },
    server: { address: server, port },
  });
}

function active(lab: TestDirector, clientPort: number): Session {
  return new Session(lab, {
    client: { address: CLIENT, port: clientPort },
    virtual: { address: VIP, port: 20 },
    server: { address: SERVER, port: 20 },
  });
}

const PASSIVE = (address: string, port: number) => `227 Entering Passive Mode (${numbers(address, port)}).\r\n`;
const EXTENDED = (port: number) => `229 Entering Extended Passive Mode (|||${port}|)\r\n`;
const syn = (port: number, sport: number) => tcp({ src: CLIENT, dst: VIP, sport, dport: port, flags: 'S' });
const ESTABLISHED = `tcp ${CLIENT}:7000 ${VIP}:21 ${SERVER}:21 ESTABLISHED 900`;

describe('what a real kernel did (6.1, IPVS NAT)', () => {
  test('the client reads the virtual address, and the listing has what is expected', () => {
    const { lab } = site();
    const session = control(lab);
    assert.equal(session.ask('PASV\r\n'), 'PASV\r\n');
    const read = session.reply('227 Entering Passive Mode (192,168,1,1,19,137).\r\n');
    assert.equal(read, '227 Entering Passive Mode (10,0,0,1,19,137).\r\n');
    assert.deepEqual(lab.flows(), [ESTABLISHED, `tcp ${CLIENT}:0 ${VIP}:5001 ${SERVER}:5001 LISTEN 120`]);

    session.ask('EPSV\r\n');
    const extended = '229 Entering Extended Passive Mode (|||5002|)\r\n';
    assert.equal(session.reply(extended), extended);
    session.ask('PORT 10,7,0,1,31,64\r\n');
    assert.deepEqual(lab.flows(), [
      ESTABLISHED,
      `tcp ${CLIENT}:0 ${VIP}:5001 ${SERVER}:5001 LISTEN 120`,
      `tcp ${CLIENT}:0 ${VIP}:5002 ${SERVER}:5002 LISTEN 120`,
      `tcp ${CLIENT}:8000 ${VIP}:20 ${SERVER}:20 LISTEN 120`,
    ]);
  });
});

describe('passive mode', () => {
  test('the first SYN fills the client’s port in; the connection goes to the server at its port', () => {
    const { lab } = site();
    const session = control(lab);
    session.ask('PASV\r\n');
    session.reply(PASSIVE(SERVER, 5001));
    const data = passive(lab, 5001, 9000).open();
    assert.equal(data.reply('x'.repeat(1000)), 'x'.repeat(1000));
    assert.deepEqual(lab.flows(), [ESTABLISHED, `tcp ${CLIENT}:9000 ${VIP}:5001 ${SERVER}:5001 ESTABLISHED 900`]);
    data.close();
    assert.equal(lab.packet(syn(5001, 9001)).verdict, 'pass', 'one expectation, one connection');
    assert.equal(session.reply('226 done\r\n'), '226 done\r\n');
  });

  test('what is no SYN, or comes from another client or from port 0, is not expected', () => {
    const { lab } = site();
    const session = control(lab);
    session.ask('PASV\r\n');
    session.reply(PASSIVE(SERVER, 5001));
    const verdict = (fields: Partial<Parameters<typeof tcp>[0]>) =>
      lab.packet(tcp({ src: CLIENT, dst: VIP, sport: 9000, dport: 5001, flags: 'S', ...fields })).verdict;
    for (const flags of ['A', 'SA', 'R', 'SR', 'FA']) assert.equal(verdict({ flags }), 'pass', flags);
    assert.equal(verdict({ src: '10.7.0.2' }), 'pass');
    assert.equal(verdict({ dport: 5002 }), 'pass');
    assert.equal(verdict({ sport: 0 }), 'pass');
    assert.equal(verdict({}), 'forward');
  });

  test('data connections count on their server, as inactive while expected, and its statistics as no new connection', () => {
    const { lab, service } = site();
    const session = control(lab);
    const counts = () => {
      const { activeConnections, inactiveConnections, counters } = lab.server(service, `${SERVER}:21`);
      return [activeConnections, inactiveConnections, counters.connections];
    };
    session.ask('PASV\r\n');
    session.reply(PASSIVE(SERVER, 5001));
    assert.deepEqual(counts(), [1, 1, 1]);
    const data = passive(lab, 5001, 9000).open();
    assert.deepEqual(counts(), [2, 0, 1]);
    data.close();
    assert.deepEqual(counts(), [1, 1, 1]);
    lab.advance(121);
    assert.deepEqual(counts(), [1, 0, 1]);
  });

  test('an expectation that nobody uses ends after two minutes, and then nothing is looked up for it', () => {
    const { lab } = site();
    const session = control(lab);
    session.ask('PASV\r\n');
    session.reply(PASSIVE(SERVER, 5001));
    assert.equal(lab.director.connections.expected, 1);
    lab.advance(121);
    assert.equal(lab.director.connections.expected, 0);
    assert.deepEqual(lab.flows(), [ESTABLISHED.replace('900', '779')]);
    assert.equal(lab.packet(syn(5001, 9000)).verdict, 'pass');
  });

  test('a server that names the virtual address means its own port', () => {
    const { lab } = site();
    const session = control(lab);
    session.ask('PASV\r\n');
    assert.equal(session.reply(PASSIVE(VIP, 5001)), PASSIVE(VIP, 5001));
    passive(lab, 5001, 9000).open();
  });

  test('a reply that names another host, or a port that is no data port, passes as it is and opens nothing', () => {
    const { lab } = site();
    const session = control(lab);
    for (const text of [PASSIVE('192.168.1.2', 5001), PASSIVE(SERVER, 22), PASSIVE(SERVER, 1023)]) {
      session.ask('PASV\r\n');
      assert.equal(session.reply(text), text);
    }
    assert.deepEqual(lab.flows(), [ESTABLISHED]);
  });

  test('227 without PASV before it, and lines that are split or not quite right, pass unchanged', () => {
    const { lab } = site();
    const session = control(lab);
    assert.equal(session.reply(PASSIVE(SERVER, 5001)), PASSIVE(SERVER, 5001));
    session.ask('PASV\r\n');
    for (const text of [
      '227 Entering Passive Mode (192,168,',
      '1,1,19,137).\r\n',
      '227 Entering Passive Mode (192,168,1,1,19,1370).\r\n',
      '227-Entering Passive Mode (192,168,1,1,19,137).\r\n',
      `200 \xff\0\xfe${'x'.repeat(1200)}`,
      EXTENDED(5001),
    ]) {
      assert.equal(session.reply(text), text);
    }
    session.ask('EPSV\r\n');
    assert.equal(session.reply(PASSIVE(SERVER, 5001)), PASSIVE(SERVER, 5001));
    assert.deepEqual(lab.flows(), [ESTABLISHED]);
  });

  test('a retransmitted reply is rewritten with the same numbers and makes no second expectation', () => {
    const { lab } = site();
    const session = control(lab);
    session.ask('PASV\r\n');
    const packet = session.server.segment('PA', PASSIVE(SERVER, 5001));
    const first = lab.packet(packet.slice()).packet!;
    const second = lab.packet(packet.slice()).packet!;
    assert.deepEqual(second, first);
    assert.equal(lab.flows().length, 2, 'not twice while it is expected');
    passive(lab, 5001, 9000).open();
    assert.deepEqual(lab.packet(packet.slice()).packet, first);
    assert.equal(lab.flows().length, 2, 'nor when it has begun');
    assert.equal(session.client.take(first), PASSIVE(VIP, 5001));
  });

  test('a damaged reply stays damaged and is not believed', () => {
    const { lab } = site();
    const session = control(lab);
    session.ask('PASV\r\n');
    const good = session.server.segment('PA', PASSIVE(SERVER, 5001));
    const bad = good.slice();
    // 137 becomes 037.
    bad[bad.length - 7] ^= 1;
    const { packet } = lab.packet(bad);
    assert.equal(checksumFault(packet!), 'checksum of 6');
    assert.deepEqual(lab.flows(), [ESTABLISHED]);
    assert.equal(session.client.take(lab.packet(good).packet), PASSIVE(VIP, 5001));
  });

  test('a reply is counted with the length that it leaves with', () => {
    const { lab, service } = site();
    const session = control(lab);
    const bytes = () => lab.server(service, `${SERVER}:21`).counters.outBytes;
    session.ask('PASV\r\n');
    const before = bytes();
    session.client.take(lab.packet(session.server.segment('PA', PASSIVE(SERVER, 5001))).packet);
    assert.equal(bytes() - before, 40 + PASSIVE(VIP, 5001).length);
  });

  test('of two servers’ expectations with one port the newest is found first', () => {
    const { lab, service } = site();
    lab.addServer(service, '192.168.1.2:21');
    const first = lab.target(syn(21, 6999));
    const order = first === '1' ? ['192.168.1.2', SERVER] : [SERVER, '192.168.1.2'];
    for (const [i, address] of order.entries()) {
      const session = control(lab, 7000 + i, address);
      session.ask('EPSV\r\n');
      session.reply(EXTENDED(5001));
    }
    passive(lab, 5001, 9000, order[1]).open();
    passive(lab, 5001, 9001, order[0]).open();
  });
});

describe('active mode', () => {
  test('the server connects from its data port, and the client sees the virtual address do so', () => {
    const { lab } = site();
    const session = control(lab);
    assert.equal(session.ask('PORT 10,7,0,1,31,64\r\n'), 'PORT 10,7,0,1,31,64\r\n');
    const data = active(lab, 8000);
    data.open(data.server);
    assert.equal(data.reply('listing'), 'listing');
    assert.deepEqual(lab.flows(), [ESTABLISHED, `tcp ${CLIENT}:8000 ${VIP}:20 ${SERVER}:20 ESTABLISHED 900`]);
  });

  test('EPRT does as PORT does; the next one of the same port is the same connection again', () => {
    const { lab } = site();
    const session = control(lab);
    for (const round of [1, 2]) {
      session.ask('EPRT |1|10.7.0.1|8000|\r\n');
      assert.equal(lab.flows()[1], `tcp ${CLIENT}:8000 ${VIP}:20 ${SERVER}:20 LISTEN 120`, `round ${round}`);
      const data = active(lab, 8000);
      data.open(data.server).close();
      assert.equal(lab.flows().length, 2);
    }
  });

  test('a data connection in use stays as it is when its PORT comes again', () => {
    const { lab } = site();
    const session = control(lab);
    session.ask('PORT 10,7,0,1,31,64\r\n');
    const data = active(lab, 8000);
    data.open(data.server);
    session.ask('PORT 10,7,0,1,31,64\r\n');
    assert.equal(lab.flows()[1], `tcp ${CLIENT}:8000 ${VIP}:20 ${SERVER}:20 ESTABLISHED 900`);
  });

  test('an address that is not the client’s lets nobody through', () => {
    const { lab } = site();
    const session = control(lab);
    for (const text of ['PORT 10,7,0,2,31,64\r\n', 'EPRT |1|10.0.0.1|8000|\r\n']) assert.equal(session.ask(text), text);
    assert.deepEqual(lab.flows(), [ESTABLISHED]);
  });

  test('PORT ends passive mode', () => {
    const { lab } = site();
    const session = control(lab);
    session.ask('PASV\r\n');
    session.ask('PORT 10,7,0,1,31,64\r\n');
    assert.equal(session.reply(PASSIVE(SERVER, 5001)), PASSIVE(SERVER, 5001));
  });

  test('the data port is the one below the server’s own', () => {
    const lab = new TestDirector();
    const service = lab.addService(`tcp:${VIP}:21`);
    lab.addServer(service, `${SERVER}:2121`);
    const session = new Session(lab, {
      client: { address: CLIENT, port: 7000 },
      virtual: { address: VIP, port: 21 },
      server: { address: SERVER, port: 2121 },
    }).open();
    session.ask('PORT 10,7,0,1,31,64\r\n');
    assert.equal(lab.flows()[1], `tcp ${CLIENT}:8000 ${VIP}:20 ${SERVER}:2120 LISTEN 120`);
  });
});

test('IPv6: EPSV and EPRT, and what only IPv4 has is left alone', () => {
  const lab = new TestDirector();
  const service = lab.addService('tcp:[2001:db8::1]:21');
  lab.addServer(service, '[2001:db8:1::10]:21');
  const client = '2001:db8::c';
  const ends = (virtualPort: number, clientPort: number) => ({
    client: { address: client, port: clientPort },
    virtual: { address: '2001:db8::1', port: virtualPort },
    server: { address: '2001:db8:1::10', port: virtualPort },
  });
  const session = new Session(lab, ends(21, 7000)).open();
  session.ask('EPSV 2\r\n');
  assert.equal(session.reply(EXTENDED(5001)), EXTENDED(5001));
  session.ask('EPSV\r\n');
  const named = '229 Entering Extended Passive Mode (|2|2001:db8:1::10|5002|)\r\n';
  assert.equal(session.reply(named), EXTENDED(5002), 'the address is left out');
  session.ask('PASV\r\n');
  assert.equal(session.reply(PASSIVE(SERVER, 5003)), PASSIVE(SERVER, 5003));
  session.ask('EPRT |2|2001:db8::c|8000|\r\n');
  assert.deepEqual(lab.flows(), [
    'tcp [2001:db8::c]:7000 [2001:db8::1]:21 [2001:db8:1::10]:21 ESTABLISHED 900',
    'tcp [2001:db8::c]:0 [2001:db8::1]:5001 [2001:db8:1::10]:5001 LISTEN 120',
    'tcp [2001:db8::c]:0 [2001:db8::1]:5002 [2001:db8:1::10]:5002 LISTEN 120',
    'tcp [2001:db8::c]:8000 [2001:db8::1]:20 [2001:db8:1::10]:20 LISTEN 120',
  ]);
  assert.equal(new Session(lab, ends(5001, 9000)).open().reply('data'), 'data');
  const data = new Session(lab, ends(20, 8000));
  assert.equal(data.open(data.server).reply('data'), 'data');
  assert.equal(session.reply('226 done\r\n'), '226 done\r\n');
});

describe('whom it helps', () => {
  test('connections to port 21 alone, and with NAT alone', () => {
    const lab = new TestDirector();
    const other = lab.addService(`tcp:${VIP}:2121`);
    lab.addServer(other, `${SERVER}:21`);
    const session = new Session(lab, {
      client: { address: CLIENT, port: 7000 },
      virtual: { address: VIP, port: 2121 },
      server: { address: SERVER, port: 21 },
    }).open();
    session.ask('PASV\r\n');
    assert.equal(session.reply(PASSIVE(SERVER, 5001)), PASSIVE(SERVER, 5001));

    const direct = lab.addService(`tcp:${VIP}:21`);
    lab.addServer(direct, `${SERVER}:21`, 1, { method: 'dr' });
    const send = (flags: string, text = '') =>
      lab.packet(tcp({ src: CLIENT, dst: VIP, sport: 7001, dport: 21, flags, payload: Buffer.from(text) }));
    send('S');
    send('A');
    send('PA', 'PORT 10,7,0,1,31,64\r\n');
    assert.equal(lab.flows().length, 2);
  });

  test('a datagram to port 21 is not read', () => {
    const lab = new TestDirector();
    const service = lab.addService(`udp:${VIP}:21`);
    lab.addServer(service, `${SERVER}:21`);
    const payload = Buffer.from('PORT 10,7,0,1,31,64\r\n');
    lab.packet(udp({ src: CLIENT, dst: VIP, sport: 7000, dport: 21, payload }));
    assert.deepEqual(lab.flows(), [`udp ${CLIENT}:7000 ${VIP}:21 ${SERVER}:21 UDP 300`]);
  });
});

describe('a control connection with data connections', () => {
  test('is put off by a minute at a time, and ends after the last of them', () => {
    const { lab } = site();
    const session = control(lab);
    session.ask('PASV\r\n');
    session.reply(PASSIVE(SERVER, 5001));
    const data = passive(lab, 5001, 9000).open();
    lab.advance(600);
    data.reply('still there');
    lab.advance(301);
    assert.match(lab.flows()[0], /:21 \S+:21 ESTABLISHED 59$/);
    assert.equal(lab.director.connections.hasChildren(1), true);
    lab.advance(600);
    assert.match(lab.flows().join(), /:21 \S+:21 ESTABLISHED \d+$/, 'the data connection has ended');
    lab.advance(60);
    assert.deepEqual(lab.flows(), []);
    assert.equal(lab.director.connections.table.count, 0);
  });

  test('a new one of the same client’s port comes before it', () => {
    const { lab } = site();
    const session = control(lab);
    session.ask('PASV\r\n');
    session.reply(PASSIVE(SERVER, 5001));
    session.close();
    const again = control(lab);
    again.ask('PASV\r\n');
    assert.equal(again.reply(PASSIVE(SERVER, 5002)), PASSIVE(VIP, 5002));
    assert.equal(lab.flows().filter((flow) => flow.includes(':21 ')).length, 2);
    lab.advance(2000);
    assert.equal(lab.director.connections.table.count, 0);
  });

  test('goes with the last of them when that is dropped by force, as in the kernel', () => {
    const { lab } = site();
    const session = control(lab);
    session.ask('PASV\r\n');
    session.reply(PASSIVE(SERVER, 5001));
    const { connections } = lab.director;
    const ids = Array.from({ length: connections.table.highestId }, (_, i) => i + 1);
    const [first] = ids.filter((id) => connections.hasChildren(id));
    connections.drop(first);
    assert.equal(lab.flows().length, 2, 'not before them');
    const last = ids.filter((id) => (connections.records[(id << RECORD_SHIFT) + STATE] & STATE_MASK) === TCP_LISTEN);
    connections.drop(last[0]);
    assert.deepEqual(lab.flows(), []);
  });

  test('of a server that is taken out of its service, all end together under expire_nodest_conn', () => {
    const { lab, service } = site();
    const session = control(lab);
    session.ask('PASV\r\n');
    session.reply(PASSIVE(SERVER, 5001));
    session.ask('PORT 10,7,0,1,31,64\r\n');
    lab.sysctl('expire_nodest_conn', 1);
    lab.deleteServer(service, `${SERVER}:21`);
    lab.advance(1);
    assert.deepEqual(lab.flows(), []);
    assert.equal(lab.director.connections.expected, 0);
  });

  test('of a server that is taken out, expectations lead nowhere', () => {
    const { lab, service } = site();
    const session = control(lab);
    session.ask('PASV\r\n');
    session.reply(PASSIVE(SERVER, 5001));
    lab.deleteServer(service, `${SERVER}:21`);
    assert.equal(lab.packet(syn(5001, 9000)).verdict, 'drop-server-gone');
    lab.advance(2000);
    assert.equal(lab.director.connections.table.count, 0);
  });

  test('past the deadline of a drain expectations end at once, the rest is reset', () => {
    const { lab, service } = site();
    const session = control(lab);
    session.ask('PASV\r\n');
    session.reply(PASSIVE(SERVER, 5001));
    lab.dataplane.applyNow({
      type: 'drain-server',
      service,
      server: { address: SERVER as never, port: 21 },
      deadlineSeconds: 1,
    });
    lab.advance(2);
    assert.deepEqual(
      lab.flows().map((flow) => flow.split(' ')[1]),
      [`${CLIENT}:7000`],
    );
    for (const packet of lab.director.outbox) assert.notEqual(readSegment(packet).destination.port, 0);
  });

  test('with persistence it hangs on its template, and data connections on it', () => {
    const lab = new TestDirector();
    const service = lab.addService(`tcp:${VIP}:21`, 'rr', { persistence: { timeoutSeconds: 300, prefixLength: 32 } });
    lab.addServer(service, `${SERVER}:21`);
    const session = control(lab);
    session.ask('PASV\r\n');
    session.reply(PASSIVE(SERVER, 5001));
    passive(lab, 5001, 9000).open();
    assert.equal(lab.flows().length, 2);
    assert.match(lab.templates().join(), /ASSURED/);
    lab.advance(2000);
    assert.equal(lab.director.connections.table.count, 0);
  });
});

describe('what it holds is bounded', () => {
  test('a client that asks and asks has its newest expectations, no more', () => {
    const { lab } = site();
    const session = control(lab);
    for (let i = 0; i < 100; i++) {
      session.ask('PASV\r\n');
      session.reply(PASSIVE(SERVER, 2000 + i));
    }
    assert.equal(lab.director.connections.expected, MOST_AWAITED);
    assert.deepEqual(
      lab
        .flows()
        .slice(1)
        .map((flow) => Number(/:0 \S+:(\d+) /.exec(flow)?.[1]))
        .sort(),
      Array.from({ length: MOST_AWAITED }, (_, i) => 2100 - MOST_AWAITED + i),
    );
    for (let i = 0; i < 100; i++) session.ask(`PORT ${numbers(CLIENT, 2000 + i)}\r\n`);
    assert.equal(lab.flows().length, 1 + MOST_AWAITED);
    assert.equal(lab.director.connections.expected, 0);
  });

  test('data connections that have begun are none of the eight', () => {
    const { lab } = site();
    const session = control(lab);
    for (let i = 0; i < 3 * MOST_AWAITED; i++) {
      session.ask('PASV\r\n');
      session.reply(PASSIVE(SERVER, 2000 + i));
      passive(lab, 2000 + i, 9000 + i)
        .open()
        .close();
    }
    assert.equal(lab.flows().length, 1 + 3 * MOST_AWAITED);
  });

  test('with a full table the reply is dropped and sent again, and nothing is left half made', () => {
    const { lab } = site({ maxConnections: 2 });
    const session = control(lab);
    session.ask('PASV\r\n');
    const packet = session.server.segment('PA', PASSIVE(SERVER, 5001));
    assert.equal(lab.packet(packet).verdict, 'drop-table-full');
    assert.deepEqual(lab.flows(), [ESTABLISHED]);
    const small = site({ maxConnections: 1 }).lab;
    const other = control(small);
    other.ask('PASV\r\n');
    assert.equal(other.reply(PASSIVE(SERVER, 5001)), PASSIVE(SERVER, 5001), 'without room to remember anything');
  });
});

describe('numbers', () => {
  test('a connection that begins anew on the same record has its own', () => {
    const { lab } = site();
    lab.sysctl('conn_reuse_mode', 0);
    const session = control(lab);
    session.ask('PASV\r\n');
    session.reply(PASSIVE(SERVER, 5001));
    session.close();
    const again = control(lab);
    assert.equal(again.reply('220 hello\r\n'), '220 hello\r\n');
    assert.equal(again.reply(PASSIVE(SERVER, 5002)), PASSIVE(SERVER, 5002), 'nor is passive mode left');
  });

  test('a SYN out of the blue changes nothing', () => {
    const { lab } = site();
    const session = control(lab);
    session.ask('PASV\r\n');
    session.reply(PASSIVE(SERVER, 5001));
    lab.packet(syn(21, 7000));
    assert.equal(session.reply('200 still shifted\r\n'), '200 still shifted\r\n');
  });

  test('over any session both ends read what the other wrote, but for the addresses', () => {
    const vips = fc.constantFrom('1.2.3.4', '10.0.0.1', '203.113.117.119', '255.254.253.252');
    const servers = fc.constantFrom('9.9.9.9', '192.168.1.1', '172.116.117.118');
    const number = fc.integer({ min: 0, max: 0xffffffff });
    const line = fc.string({ minLength: 1, maxLength: 40 }).map((text) => `5${text}\r\n`);
    const step = fc.oneof(
      fc.record({ kind: fc.constant('pasv' as const), port: fc.integer({ min: 1024, max: 65535 }) }),
      fc.record({ kind: fc.constant('epsv' as const), port: fc.integer({ min: 1024, max: 65535 }) }),
      fc.record({ kind: fc.constant('port' as const), port: fc.integer({ min: 1, max: 65535 }) }),
      fc.record({ kind: fc.constant('ask' as const), text: line }),
      fc.record({ kind: fc.constant('reply' as const), text: line }),
    );
    const steps = fc.array(step, { maxLength: 25 });
    fc.assert(
      fc.property(vips, servers, number, number, steps, (vip, server, clientNumber, serverNumber, all) => {
        const lab = new TestDirector();
        const service = lab.addService(`tcp:${vip}:21`);
        lab.addServer(service, `${server}:21`);
        const session = new Session(lab, {
          client: { address: CLIENT, port: 7000 },
          virtual: { address: vip, port: 21 },
          server: { address: server, port: 21 },
          clientNumber,
          serverNumber,
        }).open();
        for (const each of all) {
          if (each.kind === 'pasv') {
            assert.equal(session.ask('PASV\r\n'), 'PASV\r\n');
            assert.equal(session.reply(PASSIVE(server, each.port)), PASSIVE(vip, each.port));
          } else if (each.kind === 'epsv') {
            session.ask('EPSV 1\r\n');
            const named = `229 Entering (|1|${server}|${each.port}|)\r\n`;
            assert.equal(session.reply(named), `229 Entering (|||${each.port}|)\r\n`);
          } else if (each.kind === 'port') {
            const text = `PORT ${numbers(CLIENT, each.port)}\r\n`;
            assert.equal(session.ask(text), text);
          } else if (each.kind === 'ask') {
            const text = Buffer.from(each.text).toString('latin1');
            assert.equal(session.ask(text), text);
          } else {
            const text = Buffer.from(each.text).toString('latin1');
            assert.equal(session.reply(text), text);
          }
        }
        session.close();
        lab.advance(1000);
        assert.equal(lab.director.connections.table.count, 0, 'and nothing of it is left');
        assert.equal(lab.director.connections.expected, 0);
      }),
      { numRuns: 200 },
    );
  });
});

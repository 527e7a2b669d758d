// SPDX-License-Identifier: Apache-2.0
// Draining a server: connections go on until the deadline, then both ends get a reset that TCP must believe; nobody new
// comes; the drain ends when the server gets a weight again.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { CLIENT_START, DrainSite, IPV4, IPV6 } from '../../test/support/drain-site.ts';
import { tcp, udp } from '../../test/support/frames.ts';
import { bytesOf, readSegment } from '../../test/support/tcp-peer.ts';

const ACK = 0x10;
const RST = 0x04;

for (const [name, net] of [
  ['IPv4', IPV4],
  ['IPv6', IPV6],
] as const) {
  test(`at the deadline both ends of an idle ${name} connection get a reset that they must believe`, () => {
    const site = new DrainSite(net);
    const peers = site.connect(4000);
    site.drain(10);
    site.lab.advance(9.9);
    assert.deepEqual(site.outbox(), []);
    site.exchange(peers);
    assert.equal(site.lab.connections().length, 1, 'connections go on until the deadline');

    site.lab.advance(0.2);
    const [question, ...others] = site.outbox();
    assert.equal(others.length, 0);
    assert.equal(readSegment(question).flags, ACK);
    const answer = peers.server.receive(question);
    assert.equal(peers.server.isReset, false);
    peers.client.receive(site.pass(answer!));
    assert.equal(peers.client.isReset, true);
    const [reset] = site.outbox();
    assert.equal(readSegment(reset).flags, RST);
    peers.server.receive(reset);
    assert.equal(peers.server.isReset, true);
    assert.deepEqual(site.lab.connections(), []);
    assert.equal(site.server().activeConnections + site.server().inactiveConnections, 0);
  });

  test(`a packet of an ${name} connection past the deadline resets both ends, whoever sends it, data or not`, () => {
    for (const sender of ['client', 'server'] as const) {
      for (const text of ['', 'some data that is under way']) {
        const site = new DrainSite(net);
        const peers = site.connect(4000);
        site.drain(0);
        site.lab.advance(0.1);
        site.outbox();
        const receiver = sender === 'client' ? 'server' : 'client';
        peers[receiver].receive(site.pass(peers[sender].send(text)));
        const [reset] = site.outbox();
        peers[sender].receive(reset);
        assert.deepEqual([peers.client.isReset, peers.server.isReset], [true, true], `${sender} sends '${text}'`);
        assert.deepEqual(site.lab.connections(), []);
      }
    }
  });
}

test('a keep-alive or a window probe, whose number is one too low, resets both ends too', () => {
  for (const sender of ['client', 'server'] as const) {
    for (const text of ['', 'x']) {
      const site = new DrainSite(IPV4);
      const peers = site.connect(4000);
      site.drain(0);
      site.lab.advance(0.1);
      site.outbox();
      const receiver = sender === 'client' ? 'server' : 'client';
      peers[receiver].receive(site.pass(peers[sender].probe(text)));
      const [first, second] = site.outbox();
      peers[sender].receive(first);
      peers[receiver].receive(second);
      assert.deepEqual([peers.client.isReset, peers.server.isReset], [true, true], `${sender} probes with '${text}'`);
    }
  }
});

test('who drains gets no new connections while the others go on, and says so', () => {
  const site = new DrainSite(IPV4);
  site.connect(4000);
  site.drain(30);
  assert.deepEqual(new Set(Array.from({ length: 20 }, (_, i) => site.syn(5000 + i))), new Set(['other']));
  assert.deepEqual([site.server().weight, site.server().drain], [0, { secondsLeft: 30 }]);
  assert.equal(site.server(IPV4.other).drain, undefined);
  site.lab.advance(12.5);
  assert.deepEqual(site.server().drain, { secondsLeft: 18 });
  site.lab.advance(20);
  assert.deepEqual(site.server().drain, { secondsLeft: 0 });
});

test('a persistent client goes elsewhere at once when its server is drained, not when it is only quiesced', () => {
  const site = new DrainSite(IPV4, { persistent: true });
  assert.equal(site.syn(4000), 'drained');
  site.lab.editServer(site.service, site.drained, 0);
  assert.equal(site.syn(4001), 'drained');
  site.drain();
  assert.equal(site.syn(4002), 'other');
  assert.equal(site.syn(4003), 'other');
});

test('without a deadline connections stay as long as they like', () => {
  const site = new DrainSite(IPV4);
  const peers = site.connect(4000);
  site.drain();
  assert.deepEqual(site.server().drain, {});
  for (let i = 0; i < 10; i++) {
    site.lab.advance(600);
    site.exchange(peers);
  }
  assert.deepEqual(site.outbox(), []);
});

test('a weight ends the drain, also past its deadline; a weight of 0 does not', () => {
  const site = new DrainSite(IPV4);
  const peers = site.connect(4000);
  site.drain(10);
  site.lab.editServer(site.service, site.drained, 0);
  assert.ok(site.server().drain);
  site.lab.editServer(site.service, site.drained, 1);
  assert.equal(site.server().drain, undefined);
  site.lab.advance(20);
  assert.deepEqual(site.outbox(), []);
  site.exchange(peers);

  site.drain(0);
  site.lab.advance(0.1);
  assert.equal(site.outbox().length, 1);
  site.lab.editServer(site.service, site.drained, 1);
  site.exchange(peers);
  site.lab.advance(5);
  assert.deepEqual(site.outbox(), []);
  site.exchange(peers);
});

test('a server that is taken out keeps its deadline; put back, with whatever weight, it is not drained', () => {
  const site = new DrainSite(IPV4);
  const peers = site.connect(4000);
  site.drain(10);
  site.lab.deleteServer(site.service, site.drained);
  site.lab.advance(9);
  site.lab.addServer(site.service, site.drained, 0);
  assert.equal(site.server().drain, undefined);
  site.lab.advance(5);
  assert.deepEqual(site.outbox(), []);
  site.exchange(peers);

  site.drain(10);
  site.lab.deleteServer(site.service, site.drained);
  site.lab.advance(10.1);
  const [question] = site.outbox();
  peers.client.receive(site.pass(peers.server.receive(question)!));
  peers.server.receive(site.outbox()[0]);
  assert.deepEqual([peers.client.isReset, peers.server.isReset], [true, true]);
});

test('a drain that begins anew has the new deadline, also past the old one', () => {
  const site = new DrainSite(IPV4);
  const peers = site.connect(4000);
  site.drain(10);
  site.lab.advance(5);
  site.drain(10);
  site.lab.advance(9);
  assert.deepEqual(site.outbox(), []);
  site.lab.advance(1.1);
  assert.equal(site.outbox().length, 1);
  site.drain(10);
  site.exchange(peers);
  site.lab.advance(9);
  assert.deepEqual(site.outbox(), []);
  site.drain();
  site.lab.advance(60);
  assert.deepEqual(site.outbox(), []);
  site.exchange(peers);
});

test('a server that does not answer is asked three times, a second apart; then its connections are forgotten', () => {
  const site = new DrainSite(IPV4);
  const { client } = site.connect(4000);
  site.drain(10);
  const questions: number[] = [];
  for (let tenth = 0; tenth < 200; tenth++) {
    site.lab.advance(0.1);
    for (const question of site.outbox()) {
      assert.equal(readSegment(question).flags, ACK);
      questions.push(tenth);
    }
    if (tenth < 120) assert.equal(site.lab.connections().length, 1);
  }
  assert.equal(questions.length, 3);
  assert.deepEqual([questions[1] - questions[0], questions[2] - questions[1]], [10, 10]);
  assert.deepEqual(site.lab.connections(), []);
  assert.equal(site.lab.packet(client.send('late')).verdict, 'pass', 'the kernel of the director resets the client');
});

test('direct routing, where answers pass elsewhere: nothing is asked, the next packet of the client resets both', () => {
  const site = new DrainSite(IPV4, { method: 'dr' });
  const { client } = site.connect(4000);
  site.drain(1);
  site.lab.advance(60);
  assert.deepEqual(site.outbox(), []);
  assert.equal(site.lab.connections().length, 1);
  const toServer = readSegment(site.pass(client.send('hello')));
  assert.equal(toServer.flags, RST | ACK);
  assert.deepEqual(toServer.destination, bytesOf({ address: IPV4.virtual, port: 80 }));
  assert.equal(toServer.sequence, (CLIENT_START + 1) >>> 0);
  const [reset, ...others] = site.outbox();
  client.receive(reset);
  assert.deepEqual([client.isReset, others], [true, []]);
  assert.deepEqual(site.lab.connections(), []);
});

test('a SYN and a datagram on a connection past the deadline are not dropped: they begin anew elsewhere', () => {
  const site = new DrainSite(IPV4);
  site.connect(4000);
  site.drain(0);
  site.lab.advance(0.1);
  assert.equal(site.syn(4000), 'other');

  const dns = site.lab.addService('udp:10.0.0.1:53');
  for (const server of ['192.168.1.1:53', '192.168.1.2:53']) site.lab.addServer(dns, server);
  const query = udp({ src: IPV4.client, dst: IPV4.virtual, sport: 4000, dport: 53 });
  const target = (): number | undefined => site.lab.packet(query).packet?.[19];
  assert.deepEqual([target(), target()], [2, 2]);
  const server = { address: '192.168.1.2', port: 53 } as never;
  site.lab.dataplane.applyNow({ type: 'drain-server', service: dns, server, deadlineSeconds: 0 });
  assert.equal(target(), 2, 'the deadline is looked at with the next tick');
  site.lab.director.services.findServer(dns, server).isResetting = true;
  assert.deepEqual([target(), target()], [1, 1]);
});

test('at the deadline UDP entries and affinities of the server are forgotten without a word', () => {
  const site = new DrainSite(IPV4, { persistent: true });
  assert.equal(site.syn(4000), 'drained');
  site.lab.advance(61);
  assert.deepEqual(
    site.lab.connections().map((entry) => entry.state),
    ['NONE'],
    'only the affinity is left',
  );
  site.drain(5);
  site.lab.advance(5.1);
  assert.deepEqual(site.lab.connections(), []);
  assert.deepEqual(site.outbox(), []);
});

test('a server that does not know the connection answers with a reset, which ends it', () => {
  const site = new DrainSite(IPV4);
  assert.equal(site.syn(4000), 'drained');
  site.drain(0);
  site.lab.advance(0.1);
  const [question] = site.outbox();
  assert.equal(readSegment(question).flags, ACK);
  // A server without the connection answers a bare ACK with a reset without one.
  const reset = tcp({ src: IPV4.drainedAddress, dst: IPV4.client, sport: 8080, dport: 4000, flags: 'R', seq: 0 });
  assert.equal(readSegment(site.pass(reset)).flags, RST);
  assert.deepEqual([site.outbox(), site.lab.connections()], [[], []]);
});

test('ten thousand connections are asked in portions, none twice in a round and none left out', (t: TestContext) => {
  const count = 10_000;
  const site = new DrainSite(IPV4, { maxConnections: count });
  site.lab.editServer(site.service, IPV4.other, 0);
  for (let i = 0; i < count; i++) assert.equal(site.syn(10_000 + i), 'drained');
  site.drain(0);
  const asked = new Set<number>();
  let most = 0;
  for (let i = 0; i < 40; i++) {
    site.lab.director.tick(i);
    const questions = site.outbox();
    most = Math.max(most, questions.length);
    for (const question of questions) {
      const { port } = readSegment(question).source;
      assert.ok(!asked.has(port), `port ${port} twice`);
      asked.add(port);
    }
  }
  t.diagnostic(`at most ${most} at once`);
  assert.equal(asked.size, count);
  assert.ok(most <= 1024);
});

test('a deadline that comes in the midst of another one leaves nobody out', () => {
  const count = 9000;
  const site = new DrainSite(IPV4, { maxConnections: count });
  for (let i = 0; i < count; i++) site.syn(10_000 + i);
  site.drain(0);
  const asked = new Set<number>();
  for (let i = 0; i < 60; i++) {
    site.lab.director.tick(i);
    if (i === 3) {
      assert.ok(asked.size > 0 && asked.size < count / 2);
      const server = { address: '192.168.1.1', port: 8080 } as never;
      site.lab.dataplane.applyNow({ type: 'drain-server', service: site.service, server, deadlineSeconds: 0 });
    }
    for (const question of site.outbox()) asked.add(readSegment(question).source.port);
  }
  assert.equal(asked.size, count);
});

test('a drain of nobody, or with a deadline that makes no sense, changes nothing', () => {
  const site = new DrainSite(IPV4);
  const refused = (key: string, seconds: number, code: string): void => {
    const [address, port] = key.split(':');
    const server = { address, port: Number(port) } as never;
    const change = { type: 'drain-server', service: site.service, server, deadlineSeconds: seconds } as const;
    assert.throws(() => site.lab.dataplane.applyNow(change), { name: 'LvsError', code });
  };
  refused('192.168.1.9:8080', 1, 'ENOENT');
  for (const seconds of [-1, 0.5, 2678401, Number.NaN]) refused('192.168.1.2:8080', seconds, 'EINVAL');
  assert.deepEqual([site.server().weight, site.server().drain], [1, undefined]);
});

// SPDX-License-Identifier: Apache-2.0
// A service with two servers of which one is drained, and TCP ends that speak through it: for tests of drains.

import assert from 'node:assert/strict';
import type { ServerSnapshot, ServiceKey } from '../../src/lvs/model.ts';
import { addressBytes, tcp } from './frames.ts';
import { type Endpoint, readSegment, TcpPeer } from './tcp-peer.ts';
import { TestDirector } from './test-director.ts';

/** First numbers of both ends; they wrap, as signed and as unsigned words. */
export const CLIENT_START = 0xfffffff0;
export const SERVER_START = 0x7ffffff0;

/** Addresses of a test; the server that is drained is the second one, which is the newest and so rr's first choice. */
export interface Net {
  readonly client: string;
  readonly virtual: string;
  readonly service: string;
  readonly other: string;
  readonly drained: string;
  readonly drainedAddress: string;
}

export const IPV4: Net = {
  client: '10.7.0.1',
  virtual: '10.0.0.1',
  service: 'tcp:10.0.0.1:80',
  other: '192.168.1.1:8080',
  drained: '192.168.1.2:8080',
  drainedAddress: '192.168.1.2',
};
export const IPV6: Net = {
  client: '2001:db8::c',
  virtual: '2001:db8::1',
  service: 'tcp:[2001:db8::1]:80',
  other: '[2001:db8:1::1]:8080',
  drained: '[2001:db8:1::2]:8080',
  drainedAddress: '2001:db8:1::2',
};

export class DrainSite {
  readonly lab: TestDirector;
  readonly service: ServiceKey;
  readonly drained: string;
  readonly #net: Net;

  constructor(net: Net, options: { method?: 'nat' | 'dr'; maxConnections?: number; persistent?: boolean } = {}) {
    const { method = 'nat', maxConnections = 4096 } = options;
    this.#net = net;
    this.lab = new TestDirector({ maxConnections });
    const persistence = { timeoutSeconds: 300, prefixLength: 32 };
    this.service = this.lab.addService(net.service, 'rr', options.persistent === true ? { persistence } : {});
    const port = (text: string): string => (method === 'dr' ? text.replace(/8080$/, '80') : text);
    for (const server of [net.other, net.drained]) this.lab.addServer(this.service, port(server), 1, { method });
    this.drained = port(net.drained);
  }

  drain(deadlineSeconds?: number): void {
    const server = this.server();
    const key = { address: server.address, port: server.port };
    const deadline = deadlineSeconds === undefined ? {} : { deadlineSeconds };
    this.lab.dataplane.applyNow({ type: 'drain-server', service: this.service, server: key, ...deadline });
  }

  /** Snapshot of the drained server, or of the other one. */
  server(text = this.drained): ServerSnapshot {
    return this.lab.server(this.service, text);
  }

  /** Sends a SYN and names the server that got it. */
  syn(sport: number): string {
    const { client: src, virtual: dst } = this.#net;
    const { verdict, packet } = this.lab.packet(tcp({ src, dst, sport, dport: 80, flags: 'S', seq: CLIENT_START }));
    assert.equal(verdict, 'forward');
    const { nextHop } = this.lab.director.departure;
    const address = nextHop?.key.address ?? readSegment(packet!).destination.address;
    const { drainedAddress } = this.#net;
    return [drainedAddress, addressBytes(drainedAddress).join('.')].includes(address) ? 'drained' : 'other';
  }

  /** An established connection to the drained server, as its two ends see it. */
  connect(sport: number): { client: TcpPeer; server: TcpPeer } {
    const { client, virtual, drainedAddress } = this.#net;
    assert.equal(this.syn(sport), 'drained');
    const from: Endpoint = { address: client, port: sport };
    const real: Endpoint = { address: drainedAddress, port: this.server().port };
    const peers = {
      client: new TcpPeer(from, { address: virtual, port: 80 }, CLIENT_START + 1, SERVER_START + 1),
      server: new TcpPeer(real, from, SERVER_START + 1, CLIENT_START + 1),
    };
    if (this.server().method === 'nat') {
      const answer = { src: drainedAddress, dst: client, sport: real.port, dport: sport, flags: 'SA' };
      assert.equal(this.lab.packet(tcp({ ...answer, seq: SERVER_START, ack: CLIENT_START + 1 })).verdict, 'forward');
    }
    this.pass(peers.client.send());
    if (this.server().method === 'nat') this.exchange(peers);
    return peers;
  }

  /** Data both ways, which must arrive; numbers of both sides wrap on the way. */
  exchange({ client, server }: { client: TcpPeer; server: TcpPeer }): void {
    const acknowledgment = server.receive(this.pass(client.send('GET / HTTP/1.1 and more')));
    client.receive(this.pass(acknowledgment!));
    server.receive(this.pass(client.receive(this.pass(server.send('hello from the server')))!));
  }

  /** The packet behind the director. */
  pass(packet: Uint8Array): Uint8Array {
    const outcome = this.lab.packet(packet);
    assert.equal(outcome.verdict, 'forward');
    return outcome.packet!;
  }

  /** What the director says by itself. */
  outbox(): Uint8Array[] {
    return this.lab.director.outbox.splice(0);
  }
}

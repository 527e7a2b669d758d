// SPDX-License-Identifier: Apache-2.0
// mh with more servers than its table has slots: the kernel does not make it anew then, and ignores that.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tcp } from '../../../test/support/frames.ts';
import { Site } from '../../../test/support/site.ts';
import { TestDirector } from '../../../test/support/test-director.ts';
import type { ServiceKey } from '../model.ts';

const SLOTS = 4093;

/** A service of mh with so many servers. */
class Crowd {
  readonly lab = new TestDirector();
  readonly service: ServiceKey;
  #sport = 1000;

  constructor(servers: number) {
    this.service = this.lab.addService('tcp:10.0.0.1:80', 'mh');
    for (let i = 0; i < servers; i++) this.lab.addServer(this.service, server(i));
  }

  /** Place of a client's server in the order in which they were added; the port of the connection. */
  connect(client: number): [place: number, sport: number] {
    const sport = this.#sport++;
    const { packet } = this.lab.packet(this.#packet(client, sport, 'S'));
    assert.ok(packet !== undefined);
    return [((packet[17] - 100) << 8) | packet[19], sport];
  }

  verdict(client: number, sport: number, flags: string): string {
    return this.lab.packet(this.#packet(client, sport, flags)).verdict;
  }

  #packet(client: number, sport: number, flags: string): Uint8Array {
    return tcp({ src: `10.7.${client & 255}.1`, dst: '10.0.0.1', sport, dport: 80, flags });
  }
}

const server = (place: number): string => `10.${100 + (place >> 8)}.1.${place & 255}:80`;

test('with more servers than slots the table of the last moment before that stays', () => {
  const crowd = new Crowd(SLOTS + 100);
  const places = Array.from({ length: 250 }, (_, client) => crowd.connect(client)[0]);
  assert.ok(new Set(places).size > 200);
  assert.ok(Math.max(...places) < SLOTS);
  crowd.lab.editServer(crowd.service, server(places[0]), 7);
  assert.deepEqual(
    places.map((_, client) => crowd.connect(client)[0]),
    places,
  );
});

test('a server of that table that is taken out keeps its clients away, and is nobody else’s in the end', () => {
  const crowd = new Crowd(SLOTS + 100);
  const { lab } = crowd;
  const [place] = crowd.connect(1);
  lab.deleteServer(crowd.service, server(place));
  // The kernel finds out with the second packet.
  const [again, sport] = crowd.connect(1);
  assert.deepEqual([again, crowd.verdict(1, sport, 'A')], [place, 'drop-server-gone']);
  // Unused servers are forgotten in the meantime, and another gets the place in the director's list that is free.
  lab.advance(600);
  const other = lab.addService('tcp:10.0.0.2:80');
  lab.addServer(other, '192.168.1.1:80');
  const [later, port] = crowd.connect(1);
  assert.deepEqual([later, crowd.verdict(1, port, 'A')], [place, 'drop-server-gone']);
  const { activeConnections, inactiveConnections, counters } = lab.server(other, '192.168.1.1:80');
  assert.deepEqual([activeConnections, inactiveConnections, counters.inPackets], [0, 0, 0]);
  lab.addServer(crowd.service, server(place));
  assert.equal(crowd.verdict(1, port, 'A'), 'forward');
});

test('as soon as there are as many servers as slots again, it is made anew', () => {
  const crowd = new Crowd(SLOTS + 1);
  const places = Array.from({ length: 250 }, (_, client) => crowd.connect(client)[0]);
  crowd.lab.deleteServer(crowd.service, server(places[0]));
  const [place, sport] = crowd.connect(0);
  assert.notEqual(place, places[0]);
  assert.equal(crowd.verdict(0, sport, 'A'), 'forward');
});

test('a server is held by the table only while it has a place there', () => {
  const site = new Site({ service: 'udp:10.0.0.1:53', scheduler: 'mh', onePacket: true });
  const [newest, oldest] = site.lab.director.services.find(site.service).servers;
  const references = (): number[] => [newest.references, oldest.references];
  assert.deepEqual(references(), [0, 0], 'nobody has asked yet');
  site.send(4000);
  assert.deepEqual(references(), [1, 1]);
  site.delete(1);
  assert.deepEqual(references(), [0, 0]);
  site.send(4000);
  assert.deepEqual(references(), [1, 0]);
  site.lab.editService(site.service, 'rr');
  assert.deepEqual(references(), [0, 0]);
});

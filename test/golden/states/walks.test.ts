// SPDX-License-Identifier: Apache-2.0
// Connections go through the states that a real kernel's IPVS took them through, live as long, and count the same.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { sctp, tcp } from '../../support/frames.ts';
import { TestDirector } from '../../support/test-director.ts';
import { REUSE, SCTP_WALK, TCP_WALKS } from './walks.ts';

const CLIENT = { address: '10.7.0.1', port: 4000 };
const VIRTUAL = { address: '10.0.0.1', port: 2101 };
const SERVER = { address: '192.168.1.1', port: 880 };

/** Time between a packet and the captured listing, in which a whole second becomes one less. */
const LOOK_SECONDS = 0.1;

/** What is seen after a packet: `SYN_RECV:59 A1/I0`. */
function seen(lab: TestDirector): string {
  lab.advance(LOOK_SECONDS);
  const [entry] = lab.connections();
  const [{ activeConnections, inactiveConnections }] = lab.dataplane.snapshotNow().services[0].servers;
  const state = entry === undefined ? '-' : `${entry.state}:${entry.expiresSeconds}`;
  return `${state} A${activeConnections}/I${inactiveConnections}`;
}

function walk(lab: TestDirector, steps: string, send: (isClient: boolean, what: string) => void): void {
  for (const [i, step] of steps.split(' | ').entries()) {
    const [packet, outcome] = step.split('=>');
    const [who, what] = packet.split(' ');
    send(who === 'c', what);
    assert.equal(seen(lab), outcome, `step ${i + 1}: ${packet}`);
  }
}

suite('states as captured from the kernel', () => {
  for (const [method, secure, sloppy, steps] of TCP_WALKS) {
    test(`TCP, ${method}, secure_tcp ${secure}, sloppy_tcp ${sloppy}: ${steps.replace(/=>[^|]*/g, '')}`, () => {
      const lab = new TestDirector();
      lab.sysctl('secure_tcp', secure);
      lab.sysctl('sloppy_tcp', sloppy);
      const service = lab.addService(`tcp:${VIRTUAL.address}:${VIRTUAL.port}`);
      const port = method === 'nat' ? SERVER.port : VIRTUAL.port;
      lab.addServer(service, `${SERVER.address}:${port}`, 1, { method });
      walk(lab, steps, (isClient, flags) => {
        lab.packet(
          isClient
            ? tcp({ src: CLIENT.address, dst: VIRTUAL.address, sport: CLIENT.port, dport: VIRTUAL.port, flags })
            : tcp({ src: SERVER.address, dst: CLIENT.address, sport: port, dport: CLIENT.port, flags }),
        );
      });
    });
  }

  test('SCTP: an association from INIT to SHUTDOWN COMPLETE', () => {
    const lab = new TestDirector();
    const service = lab.addService('sctp:10.0.0.1:132');
    lab.addServer(service, '192.168.1.1:132');
    walk(lab, SCTP_WALK, (isClient, type) => {
      const chunks = [Number(type)];
      lab.packet(
        isClient
          ? sctp({ src: CLIENT.address, dst: VIRTUAL.address, sport: 8000, dport: 132, chunks })
          : sctp({ src: SERVER.address, dst: CLIENT.address, sport: 132, dport: 8000, chunks }),
      );
    });
  });

  for (const [mode, state, before, after] of REUSE) {
    test(`conn_reuse_mode ${mode}: a SYN from the port of a connection in ${state}`, () => {
      const lab = new TestDirector();
      lab.sysctl('conn_reuse_mode', mode);
      const service = lab.addService('tcp:10.0.0.1:3300');
      for (const server of [1, 2]) lab.addServer(service, `192.168.1.${server}:3300`, 1, { method: 'dr' });
      const send = (flags: string, sport: number): void => {
        lab.packet(tcp({ src: CLIENT.address, dst: VIRTUAL.address, sport, dport: 3300, flags }));
      };
      // In the capture every connection was the next of one round.
      if (before === 1) send('S', 1);
      for (const flags of ['S', 'A', state === 'CLOSE' ? 'R' : 'FA']) send(flags, 5000);
      const entry = (): string => {
        const found = lab.connections().find(({ client }) => client.port === 5000);
        return `${found?.destination.address} ${found?.state}`;
      };
      assert.equal(entry(), `192.168.1.${before} ${state}`);
      send('S', 5000);
      assert.equal(entry(), `192.168.1.${after} SYN_RECV`);
    });
  }
});

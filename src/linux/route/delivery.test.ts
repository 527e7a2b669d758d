// SPDX-License-Identifier: Apache-2.0
// The kernel's answer where it would take a packet, with policy routing by mark.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { requirements } from '../../../test/support/requirements.ts';
import { VethLab, type VethPair } from '../../../test/support/veth-lab.ts';
import { type Address, type AddressWords, addressFamily, addressWords, parseAddress } from '../../packet/address.ts';
import type { NetlinkSocket } from '../netlink.ts';
import { writeSysctl } from '../sysctl.ts';
import { isDelivered } from './delivery.ts';
import { openRouteSocket } from './route-socket.ts';

const skip = requirements('root', 'program:ip');

let lab: VethLab;
let pair: VethPair;
let socket: NetlinkSocket;

before(() => {
  if (skip) return;
  lab = new VethLab();
  pair = lab.addPair('v');
  const { name } = pair.near;
  lab.ip('link', 'set', 'lo', 'up');
  for (const sysctl of ['ipv4.ip_forward', 'ipv6.conf.all.forwarding'])
    lab.run(() => writeSysctl(`net.${sysctl}`, '1'));
  lab.ip('addr', 'add', '10.0.0.1/24', 'dev', name);
  lab.ip('addr', 'add', '2001:db8::1/64', 'dev', name, 'nodad');
  lab.ip('route', 'add', '198.51.100.0/24', 'via', '10.0.0.2');
  for (const family of ['-4', '-6']) {
    lab.ip(family, 'rule', 'add', 'fwmark', '7', 'lookup', '100');
    lab.ip(family, 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', '100');
  }
  socket = openRouteSocket(lab.namespace);
});
after(() => {
  if (skip) return;
  socket.close();
  lab.close();
});

function ask(source: string, destination: string, mark: number): boolean | undefined {
  const words = (text: string): AddressWords => addressWords(parseAddress(text)!);
  return isDelivered(socket, {
    family: addressFamily(destination as Address),
    source: words(source),
    destination: words(destination),
    mark,
    interfaceIndex: pair.near.index,
  });
}

describe('delivery', { skip }, () => {
  test('of its own addresses is certain, of others a matter of the mark', () => {
    assert.equal(ask('10.0.0.9', '10.0.0.1', 0), true);
    assert.equal(ask('10.0.0.9', '198.51.100.1', 0), false);
    assert.equal(ask('10.0.0.9', '198.51.100.1', 8), false);
    assert.equal(ask('10.0.0.9', '198.51.100.1', 7), true);
    assert.equal(ask('10.0.0.9', '203.0.113.1', 7), true);
    assert.equal(ask('2001:db8::9', '2001:db8::1', 0), true);
    assert.equal(ask('2001:db8::9', '2001:db8:7::1', 7), true);
  });

  test('there is no answer without a route, or from a source that the kernel does not believe', () => {
    assert.equal(ask('10.0.0.9', '203.0.113.1', 0), undefined);
    assert.equal(ask('127.0.0.1', '198.51.100.1', 7), undefined);
  });
});

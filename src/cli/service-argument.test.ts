// SPDX-License-Identifier: Apache-2.0
// Services and servers on command lines: as ipvsadm writes them, or in one word.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseArgs } from 'node:util';
import { formatServerKey, formatServiceKey } from '../lvs/service-key.ts';
import type { Address } from '../packet/address.ts';
import type { Names } from './ipvsadm/names.ts';
import { parseServices } from './ipvsadm/services-table.ts';
import { refuseWords, SERVICE_OPTIONS, takeServer, takeService } from './service-argument.ts';

const names: Names = {
  services: async () => parseServices('http 80/tcp\n'),
  hostAddress: async (name) => (name === 'web' ? ('192.0.2.7' as Address) : undefined),
  hostName: async () => undefined,
};

/** Keys of the service and the server that a command line names, and what is left of it. */
async function read(line: string): Promise<string> {
  const { values, positionals } = parseArgs({
    args: line.split(' ').filter((word) => word !== ''),
    allowPositionals: true,
    options: { ...SERVICE_OPTIONS, 'real-server': { type: 'string', short: 'r' } },
  });
  const service = await takeService(values, positionals, names);
  const server = await takeServer(values['real-server'], positionals, service, names);
  return [formatServiceKey(service), formatServerKey(server), ...positionals].join(' ');
}

for (const [line, keys] of [
  ['-t 10.0.0.1:80 -r 10.0.0.2:8080', 'tcp:10.0.0.1:80 10.0.0.2:8080'],
  ['-u [2001:db8::1]:53 -r [2001:db8::2]:5353', 'udp:[2001:db8::1]:53 [2001:db8::2]:5353'],
  ['--sctp-service 10.0.0.1:9 10.0.0.2:9', 'sctp:10.0.0.1:9 10.0.0.2:9'],
  ['-t web:http -r 10.0.0.2', 'tcp:192.0.2.7:80 10.0.0.2:80'],
  ['-t 10.0.0.1 -r 10.0.0.2', 'tcp:10.0.0.1:0 10.0.0.2:0'],
  ['-f 7 -r 10.0.0.2', 'fwm:7 10.0.0.2:0'],
  ['-f 4294967295 -6 2001:db8::2', 'fwm:4294967295:6 [2001:db8::2]:0'],
  ['tcp:10.0.0.1:80 10.0.0.2:8080', 'tcp:10.0.0.1:80 10.0.0.2:8080'],
  ['-r 10.0.0.2:8080 udp:[2001:db8::1]:53', 'udp:[2001:db8::1]:53 10.0.0.2:8080'],
  ['fwm:7:6 10.0.0.2:1 more', 'fwm:7:6 10.0.0.2:1 more'],
] as const) {
  test(`'${line}' names ${keys}`, async () => assert.equal(await read(line), keys));
}

for (const [line, message] of [
  ['', /^name a service: /],
  ['-t 10.0.0.1:80', /^name a server: /],
  ['-t 10.0.0.1:80 -u 10.0.0.1:80 10.0.0.2', /^name one service/],
  ['-t 10.0.0.1:nothing 10.0.0.2', /^'10\.0\.0\.1:nothing' is no virtual address/],
  ['-f 0 10.0.0.2', /^'0' is no firewall mark$/],
  ['-f 4294967296 10.0.0.2', /is no firewall mark$/],
  ['-t 10.0.0.1:80 -6 10.0.0.2', /^-6 goes with -f$/],
  ['10.0.0.1:80 10.0.0.2', /^'10\.0\.0\.1:80' is no service such as tcp:/],
  ['tcp:10.0.0.1:80 80', /^'80' is no server such as /],
] as const) {
  test(`'${line}' is refused`, () => assert.rejects(read(line), { code: 'BALLAST_USAGE', message }));
}

test('words that nobody asked for are refused', () => {
  refuseWords([]);
  assert.throws(() => refuseWords(['more']), { code: 'BALLAST_USAGE', message: "unexpected argument 'more'" });
});

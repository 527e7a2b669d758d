// SPDX-License-Identifier: Apache-2.0
// Our ipvsadm beside the real one: the same command lines must fail with the same words and status, or ask for the
// same thing; the same services must be listed in the same bytes.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import fc from 'fast-check';
import { parseArguments } from '../../src/cli/ipvsadm/arguments.ts';
import type { Command } from '../../src/cli/ipvsadm/command.ts';
import { ArgumentError, UnsupportedArgument } from '../../src/cli/ipvsadm/messages.ts';
import { systemNames } from '../../src/cli/ipvsadm/names.ts';
import { formatServiceKey } from '../../src/lvs/service-key.ts';
import type { Address } from '../../src/packet/address.ts';
import { requirements } from '../support/requirements.ts';
import { AnyTable } from './any-table.ts';
import { type Asked, decodeRequest, listingAnswers } from './netlink.ts';
import { RealIpvsadm } from './real-ipvsadm.ts';
import { connection, services } from './services-arbitrary.ts';
import { run } from './transcript.ts';
import { RESTORES, VECTORS, WORDS } from './vectors.ts';

interface Outcome {
  readonly status: number | null;
  readonly stderr: string;
  readonly asked: readonly Asked[];
}

suite('beside the real ipvsadm', { skip: requirements('program:ipvsadm', 'program:gcc') }, () => {
  let real: RealIpvsadm;
  const names = systemNames();
  before(() => {
    real = new RealIpvsadm();
  });
  after(() => real.close());

  const realOutcome = (words: readonly string[]): Outcome => {
    const { status, stderr, requests } = real.run(words);
    return { status, stderr, asked: requests.map(decodeRequest).filter((one) => one !== undefined) };
  };

  const check = async (words: readonly string[]): Promise<void> => {
    const theirs = realOutcome(words);
    let ours: Outcome;
    try {
      ours = { status: 0, stderr: '', asked: askedBy(await parseArguments(words, names)) };
    } catch (error) {
      // deviates: an IPv4 mask that is no prefix
      if (error instanceof UnsupportedArgument && words.includes('-M')) return assert.equal(theirs.status, 0);
      if (!(error instanceof ArgumentError)) throw error;
      ours = { status: error.status, stderr: `${error.message}\n`, asked: [] };
    }
    assert.deepEqual(ours, theirs, `ipvsadm ${JSON.stringify(words)}`);
  };

  test(`${VECTORS.length} command lines fail alike or ask for the same`, async () => {
    for (const words of VECTORS) await check(words);
  });

  test('random command lines fail alike or ask for the same', async () => {
    const line = fc.array(fc.constantFrom(...WORDS), { minLength: 1, maxLength: 9 });
    await fc.assert(fc.asyncProperty(line, check), { numRuns: 250 });
  });

  test('help and version are the same text', async () => {
    for (const words of [['-h'], ['--help'], ['-v'], ['--version']]) {
      const { status, stdout, stderr } = real.run(words);
      assert.deepEqual(await run(words, new AnyTable([])), { status, stdout, stderr });
    }
  });

  test('input of -R is understood alike', async () => {
    for (const input of RESTORES) {
      const { status, stdout, stderr, requests } = real.run(['-R'], input);
      const table = new AnyTable([]);
      const ours = await run(['-R'], table, input, names);
      const asked = requests.map(decodeRequest);
      const applied = table.changes.map((change) => ({ type: 'change', change }));
      assert.deepEqual([ours, applied], [{ status, stdout, stderr }, asked], JSON.stringify(input));
    }
  });

  test('random services are listed and saved in the same bytes', async () => {
    const flag = (word: string) => fc.constantFrom([], [word]);
    const listing = fc.tuple(
      flag('--stats'),
      flag('--rate'),
      flag('--thresholds'),
      flag('--persistent-conn'),
      flag('--tun-info'),
      flag('--exact'),
      flag('--nosort'),
    );
    const words = fc.oneof(
      { weight: 3, arbitrary: listing.map((flags) => ['-L', '-n', ...flags.flat()]) },
      { weight: 1, arbitrary: fc.constant(['-S', '-n']) },
    );
    const property = fc.asyncProperty(services, words, async (listed, command) => {
      real.answer(listingAnswers(listed));
      const { status, stdout, stderr } = real.run(command);
      assert.deepEqual(await run(command, new AnyTable(listed)), { status, stdout, stderr });
    });
    await fc.assert(property, { numRuns: 150 });
  });

  test('hosts and ports are listed and saved with the same names', async () => {
    const local = { address: '127.0.0.1' as Address };
    // One address, which /etc/hosts names: the resolver is not asked.
    for (const drawn of fc.sample(services, { numRuns: 20, seed: 1 })) {
      const moved = drawn.map((service) => ({
        ...service,
        key: service.key.kind === 'address' ? { ...service.key, ...local } : service.key,
        servers: service.servers.map((server) => ({ ...server, ...local })),
      }));
      const some = [...new Map(moved.map((service) => [formatServiceKey(service.key), service])).values()];
      real.answer(listingAnswers(some));
      for (const command of [['-L'], ['-S']]) {
        const { status, stdout, stderr } = real.run(command);
        assert.deepEqual(await run(command, new AnyTable(some), '', names), { status, stdout, stderr });
      }
    }
  });

  test('connections are listed in the same bytes', async () => {
    real.connections(
      [
        'TCP 0A070001 0FA0 0A000001 0050 C0A80101 0370 SYN_RECV         59',
        'UDP 0A070001 0000 0A000001 13C4 C0A80101 13C4 NONE           8015 sip abc123@host',
        'IP  0A070001 0000 00000007 0000 C0A80101 0000 NONE              0',
        'TCP 2001:0db8:0000:0000:0000:0000:0000:0001 0FA0 2001:0db8:0000:0000:0000:0000:0000:0002 0050 ' +
          '2001:0db8:0000:0000:0000:0000:0000:0003 0050 ESTABLISHED     899',
        'SCTP 0A070001 FFFF 0A000001 0050 C0A80101 0370 COOKIE_WAIT      3',
        '',
      ].join('\n'),
    );
    const table = new AnyTable([]);
    table.entries = [
      connection('tcp', 59, 'SYN_RECV', ['10.7.0.1', 4000], ['10.0.0.1', 80], ['192.168.1.1', 880]),
      {
        ...connection('udp', 8015, 'NONE', ['10.7.0.1', 0], ['10.0.0.1', 5060], ['192.168.1.1', 5060]),
        persistenceEngine: { name: 'sip', data: 'abc123@host' },
      },
      connection('ip', 0, 'NONE', ['10.7.0.1', 0], ['0.0.0.7', 0], ['192.168.1.1', 0]),
      connection('tcp', 899, 'ESTABLISHED', ['2001:db8::1', 4000], ['2001:db8::2', 80], ['2001:db8::3', 80]),
      connection('sctp', 3, 'COOKIE_WAIT', ['10.7.0.1', 65535], ['10.0.0.1', 80], ['192.168.1.1', 880]),
    ];
    for (const command of [
      ['-Lnc'],
      ['-Lnc', '--persistent-conn'],
      ['-L', '-n', '-c', '--tun-info', '--nosort', '-X'],
    ]) {
      const { status, stdout, stderr } = real.run(command);
      assert.deepEqual(await run(command, table), { status, stdout, stderr });
    }
  });
});

/** What our command would ask a kernel for. */
function askedBy(command: Command): Asked[] {
  switch (command.type) {
    case 'change':
    case 'start-daemon':
    case 'stop-daemon':
      return [command];
    case 'list':
      return [{ type: 'get-services', ...(command.service === undefined ? {} : { service: command.service }) }];
    case 'save':
      return [{ type: 'get-services' }];
    case 'list-timeouts':
    case 'list-daemon':
      return [{ type: command.type }];
    case 'list-connections':
    case 'restore':
    case 'help':
    case 'version':
      return [];
  }
}

// SPDX-License-Identifier: Apache-2.0
// Whole sessions of the real ipvsadm on a real kernel, replayed through ours byte for byte.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { ConnectionSnapshot, Counters, Rates } from '../../src/lvs/model.ts';
import { formatServiceKey } from '../../src/lvs/service-key.ts';
import type { Address } from '../../src/packet/address.ts';
import { KernelTable } from './kernel-table.ts';
import { asTranscript, readTranscript, replay, run } from './transcript.ts';

suite('an empty table is listed as by the original', async () => {
  await replay(['empty.txt'], new KernelTable());
});

suite('a table is built, listed, saved and edited as by the original', async () => {
  const table = new KernelTable();
  await replay(['build.txt', 'listings.txt', 'save.txt'], table);
  await test('what is saved is restored, without thresholds', async () => {
    for (const numeric of [[], ['-n']]) {
      const saved = await run(['-S', ...numeric], table);
      await run(['-C'], table);
      assert.deepEqual(await run(['-R'], table, saved.stdout), { status: 0, stdout: '', stderr: '' });
      assert.deepEqual(await run(['-S', ...numeric], table), saved);
    }
  });
  await replay(['edits.txt'], table);
});

suite('timeouts are set as by the original', async () => {
  await replay(['timeouts.txt'], new KernelTable());
});

suite('mistakes are reported as by the original', async () => {
  const table = new KernelTable();
  await run(['-A', '-t', '10.0.0.1:80', '-s', 'rr'], table);
  await run(['-a', '-t', '10.0.0.1:80', '-r', '192.168.1.10:80', '-m'], table);
  await run(['-A', '-f', '9', '-s', 'rr'], table);
  await replay(['arguments.txt', 'daemon-arguments.txt'], table);
});

/** Services in the order of the kernel's hash table. */
const KERNEL_ORDER = [
  'tcp:[2001:db8::1]:80',
  'udp:10.0.0.1:5061',
  'udp:10.0.0.1:5060',
  'tcp:10.0.0.1:443',
  'udp:[2001:db8::1]:53',
  'tcp:10.0.0.1:8080',
  'tcp:10.0.0.1:8081',
  'tcp:10.0.0.1:8082',
  'tcp:10.0.0.1:80',
  'udp:10.0.0.1:53',
  'tcp:10.0.0.1:22',
  'tcp:10.0.0.1:21',
  'tcp:10.0.0.1:25',
  'sctp:10.0.0.1:132',
  'tcp:[2001:db8::1]:443',
  'tcp:10.0.0.1:0',
  'fwm:1',
  'fwm:2:6',
  'fwm:3',
];

test('--nosort keeps the order of the data plane, newest server first', async () => {
  const table = new KernelTable();
  for (const { words } of readTranscript('build.txt')) await run(words, table);
  const place = (key: string): number => KERNEL_ORDER.indexOf(key);
  table.services.sort((a, b) => place(formatServiceKey(a.key)) - place(formatServiceKey(b.key)));
  const [{ words, transcript }] = readTranscript('nosort.txt');
  assert.equal(asTranscript(words, await run(words, table)), transcript);
});

test('connections are listed as by the original', async () => {
  const table = new KernelTable();
  const [plain, withEngine] = readTranscript('connections.txt');
  table.entries = withEngine.transcript.split('\n').slice(3, -1).map(readEntry);
  assert.equal(table.entries.length, 12);
  for (const { words, transcript } of [plain, withEngine]) {
    assert.equal(asTranscript(words, await run(words, table)), transcript);
  }
});

test('counters and rates are listed as by the original', async () => {
  const table = new KernelTable();
  const [stats, rate] = readTranscript('statistics.txt');
  await buildFromListing(table, stats.transcript, rate.transcript);
  for (const { words, transcript } of [stats, rate]) {
    assert.equal(asTranscript(words, await run(words, table)), transcript);
  }
});

/** A row of `-Lnc --persistent-conn`, taken apart. */
function readEntry(row: string): ConnectionSnapshot {
  const [protocol, expires, state, client, virtual, destination, name, data] = row.trim().split(/ +/);
  const [minutes, seconds] = expires.split(':').map(Number);
  const endpoint = (text: string): ConnectionSnapshot['client'] => {
    const [address, port] = text.split(':');
    return { address: address as Address, port: Number(port) };
  };
  return {
    protocol: protocol.toLowerCase() as ConnectionSnapshot['protocol'],
    expiresSeconds: minutes * 60 + seconds,
    state,
    client: endpoint(client),
    virtual: endpoint(virtual),
    destination: endpoint(destination),
    ...(name === undefined ? {} : { persistenceEngine: { name, data } }),
  };
}

/** Builds the services of two listings with the numbers that stand in them. */
async function buildFromListing(table: KernelTable, stats: string, rate: string): Promise<void> {
  const rates = rate.split('\n');
  for (const [i, line] of stats.split('\n').entries()) {
    const [first, second, ...rest] = line.trim().split(/ +/);
    if (rest.length !== 5 || !/^\d/.test(rest[0])) continue;
    const counters = numbers(rest);
    const rowRates = numbers(rates[i].trim().split(/ +/).slice(2));
    if (first === '->') {
      const service = table.services.at(-1)!;
      const [address, port] = second.split(':');
      const key = { address: address as Address, port: Number(port) };
      const options = { method: 'nat', weight: 1, upperThreshold: 0, lowerThreshold: 0 } as const;
      await table.apply({ type: 'add-server', service: service.key, server: key, options });
      service.servers = [{ ...service.servers[0], counters, rates: rowRates }, ...service.servers.slice(1)];
    } else {
      const option = first === 'TCP' ? '-t' : first === 'UDP' ? '-u' : '-f';
      await run(['-A', option, second, '-p'], table);
      Object.assign(table.services.at(-1)!, { counters, rates: rowRates });
    }
  }
}

function numbers(words: readonly string[]): Counters & Rates {
  const [connections, inPackets, outPackets, inBytes, outBytes] = words.map(Number);
  return { connections, inPackets, outPackets, inBytes, outBytes };
}

// SPDX-License-Identifier: Apache-2.0
// Broken and hostile bytes in the place of the kernel's: readers refuse them with their own error, or the rules that they
// make can be walked, printed and asked what they reach. Nothing else is thrown, and nothing goes on for ever.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { frame, tcp } from '../../../test/support/frames.ts';
import { NFT_MESSAGES, openMessage, xtTable } from '../../../test/support/marks/messages.ts';
import { Random } from '../../../test/support/random.ts';
import { parseChain, parseElements, parseRule, parseSet, parseTable } from '../../linux/netfilter/nft-message.ts';
import type { NftRules } from '../../linux/netfilter/nft-reader.ts';
import { parseXtTable, type XtTable } from '../../linux/netfilter/xt-table.ts';
import { NetlinkFormatError } from '../../linux/netlink-message.ts';
import { Marks } from '../../lvs/classify/marks.ts';
import { packRules } from '../../lvs/classify/pack.ts';
import { reachOf } from '../../lvs/classify/reach.ts';
import { Headers, parseFrame } from '../../packet/parse.ts';
import { compileRules, type KernelReading } from './kernel-rules.ts';

type Change = (bytes: Uint8Array) => Uint8Array;

/**
 * Flips bytes, mostly to small numbers and extremes, or cuts the end off; of few messages or of most, so that what is refused
 * and what is understood are both tried often.
 */
function mutation(random: Random): Change {
  const share = random.pick([0.05, 0.2, 0.5]);
  return (bytes) => {
    const result = bytes.slice();
    if (!random.chance(share)) return result;
    for (let i = 1 + random.below(4); i > 0; i--) {
      result[random.below(result.length)] = random.pick([
        0,
        1,
        2,
        4,
        8,
        16,
        23,
        64,
        127,
        128,
        254,
        255,
        random.below(256),
      ]);
    }
    return random.chance(0.1) ? result.slice(0, random.below(result.length)) : result;
  };
}

function nftRules(change: Change): NftRules {
  const { table, chains, rules, sets, elements } = NFT_MESSAGES;
  const parsed = sets.map((set) => parseSet(openMessage(change(set))));
  return {
    tables: [parseTable(openMessage(change(table)))],
    chains: chains.map((chain) => parseChain(openMessage(change(chain)))),
    rules: rules.map((rule) => parseRule(openMessage(change(rule)))),
    sets: parsed,
    elements: (set) => parseElements(openMessage(change(elements[Math.max(0, parsed.indexOf(set))])), set),
  };
}

function legacy(change: Change): XtTable {
  const { bytes, underflow } = xtTable();
  const changed = Uint8Array.from(change(bytes));
  const info = { validHooks: 1, entries: [0, 0, 0, 0, 0], underflows: [underflow, 0, 0, 0, 0] };
  return parseXtTable(2, 'mangle', info, new DataView(changed.buffer));
}

/** What is done with rules: they are walked, asked, and told of. */
function use(reading: KernelReading): number {
  const bytes = frame(tcp({ src: '10.0.0.9', dst: '192.0.2.1', sport: 4000, dport: 80, flags: 'S' }));
  const view = new DataView(bytes.buffer);
  const headers = new Headers();
  parseFrame(view, 0, bytes.length, headers);
  const marks = new Marks();
  marks.setKernelRules(packRules(reading.rules));
  reachOf(reading.rules);
  JSON.stringify([reading.marking, reading.unreadable]);
  return marks.markOf(view, headers, 1);
}

/** Undefined when the bytes are refused. */
function attempt<T>(body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    assert.ok(error instanceof NetlinkFormatError, (error as Error).stack);
    return undefined;
  }
}

const unchanged: Change = (bytes) => bytes;

test('the rules of the corpus are understood as they are', () => {
  const reading = compileRules(nftRules(unchanged), [], true);
  assert.deepEqual(
    reading.unreadable.map(({ reason }) => reason),
    ['a comparison of numbers in host order', "expression 'limit'"],
  );
  assert.equal(use(reading), 9);
  const table = legacy(unchanged);
  const readings = [{ family: 2, name: 'mangle', table, problem: '', image: new Uint8Array(0) }];
  const xt = compileRules(
    nftRules(() => NFT_MESSAGES.table),
    readings,
    true,
  );
  assert.deepEqual(
    xt.unreadable.filter(({ source }) => source === 'iptables-legacy').map(({ reason }) => reason),
    ["match 'conntrack' of more than the state", "match 'unheard'"],
  );
  assert.equal(xt.marking.filter(({ source }) => source === 'iptables-legacy').length, 9);
});

test('changed messages of nftables are refused or make rules that can be walked', () => {
  let made = 0;
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const reading = attempt(() => compileRules(nftRules(mutation(new Random(seed))), [], true));
      if (reading === undefined) return;
      made++;
      use(reading);
    }),
    { numRuns: 2000, includeErrorInReport: true },
  );
  assert.ok(made > 200, `only ${made} of 2000 were understood`);
});

test('changed tables of iptables are refused or make rules that can be walked', () => {
  let made = 0;
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const table = attempt(() => legacy(mutation(new Random(seed))));
      if (table === undefined) return;
      made++;
      const readings = [{ family: 2, name: 'mangle', table, problem: '', image: new Uint8Array(0) }];
      use(compileRules({ tables: [], chains: [], rules: [], sets: [], elements: () => [] }, readings, true));
    }),
    { numRuns: 1000, includeErrorInReport: true },
  );
  assert.ok(made > 200, `only ${made} of 1000 were understood`);
});

test('bytes of no sense are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const parse of [parseTable, parseChain, parseRule, parseSet]) {
        attempt(() => parse(openMessage(bytes)));
      }
      const info = { validHooks: 31, entries: [0, 0, 0, 0, 0], underflows: [0, 0, 0, 0, 0] };
      const copy = Uint8Array.from(bytes);
      for (const family of [2, 10]) attempt(() => parseXtTable(family, 'mangle', info, new DataView(copy.buffer)));
    }),
  );
});

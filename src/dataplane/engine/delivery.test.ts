// SPDX-License-Identifier: Apache-2.0
// Answers about delivery: how often the kernel is asked, and when again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Delivery } from './delivery.ts';

const SOURCE = Int32Array.of(0x0a000001, 0, 0, 0);
/** An address of the machine's own. */
const OWN = 77;
const to = (word: number): Int32Array => Int32Array.of(word, 0, 0, 0);

/** A kernel that delivers even addresses, and has no answer for those of `silent`. */
function asking(silent: readonly number[] = []) {
  const asked: string[] = [];
  const isLocal = (_family: number, [word]: Int32Array): boolean => word === OWN;
  const delivery = new Delivery(isLocal, (family, _source, [word], mark, device) => {
    asked.push(`${family} ${word} ${mark} ${device}`);
    return silent.includes(word) ? undefined : word % 2 === 0;
  });
  return { delivery, asked };
}

test('the kernel is asked once for a destination, mark and device, in each family', () => {
  const { delivery, asked } = asking();
  for (let i = 0; i < 3; i++) {
    assert.equal(delivery.delivers(4, SOURCE, to(2), 7, 1), true);
    assert.equal(delivery.delivers(4, SOURCE, to(3), 7, 1), false);
    assert.equal(delivery.delivers(4, SOURCE, to(2), 8, 1), true);
    assert.equal(delivery.delivers(4, SOURCE, to(2), 7, 2), true);
    assert.equal(delivery.delivers(4, SOURCE, to(2), 0xffffffff, 1), true);
  }
  assert.equal(delivery.delivers(6, SOURCE, to(2), 7, 1), true);
  assert.deepEqual(asked, ['4 2 7 1', '4 3 7 1', '4 2 8 1', '4 2 7 2', '4 2 4294967295 1', '6 2 7 1']);
});

test('changed routes or rules make it ask again', () => {
  const { delivery, asked } = asking();
  delivery.delivers(4, SOURCE, to(2), 7, 1);
  delivery.forget();
  delivery.delivers(4, SOURCE, to(2), 7, 1);
  assert.equal(asked.length, 2);
});

test('no answer is not kept: it may be about the source', () => {
  const { delivery, asked } = asking([5]);
  assert.equal(delivery.delivers(4, SOURCE, to(5), 7, 1), false);
  assert.equal(delivery.delivers(4, SOURCE, to(5), 7, 1), false);
  assert.equal(asked.length, 2);
});

test('there is an end to the questions of a second; what is known stays so', () => {
  const { delivery, asked } = asking();
  delivery.delivers(4, SOURCE, to(2), 7, 1);
  for (let i = 0; i < 10_000; i++) delivery.delivers(4, SOURCE, to(1000 + i), 7, 1);
  assert.equal(asked.length, 512);
  delivery.forget();
  assert.equal(delivery.delivers(4, SOURCE, to(2), 7, 1), false, 'not asked');
  assert.equal(delivery.delivers(4, SOURCE, to(OWN), 7, 1), true, 'needs no question');
  delivery.renew();
  assert.equal(delivery.delivers(4, SOURCE, to(2), 7, 1), true);
});

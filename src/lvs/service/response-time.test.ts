// SPDX-License-Identifier: Apache-2.0
// What is known of a server's response time: smoothed, raised by waiting, faded by silence.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TICKS_PER_SECOND } from '../connection/layout.ts';
import { ResponseTime } from './response-time.ts';

const START = 0x7fffff00;

/** A server and the second of its clock, which wraps as the director's. */
class Asked {
  readonly time = new ResponseTime();
  #now = START;

  /** Lets so many seconds pass. */
  wait(seconds: number): this {
    for (let i = 0; i < seconds; i++) {
      this.#now = (this.#now + TICKS_PER_SECOND) | 0;
      this.time.tick(this.#now);
    }
    return this;
  }

  ask(): this {
    this.time.asked(this.#now);
    return this;
  }

  answer(microseconds: number): this {
    this.time.answered(microseconds, this.#now);
    return this;
  }

  get value(): number {
    return this.time.value;
  }
}

test('the first answer counts whole, others an eighth', () => {
  assert.equal(new Asked().value, 0);
  assert.equal(new Asked().ask().answer(0).value, 1);
  assert.equal(new Asked().ask().answer(799).ask().answer(1600).value, 900);
});

test('a question without an answer counts as the time that it waits, from a second on', () => {
  const server = new Asked().ask().answer(999).ask();
  server.wait(1);
  assert.equal(server.value, 1_000_000);
  assert.equal(server.ask().wait(1).value, 2_000_000);
  assert.equal(server.answer(1000).value, 2_000_000 + (1000 - 2_000_000) / 8);
  assert.equal(server.wait(5).value, server.value, 'nothing is waited for');
});

test('after ten seconds without a question it fades by half each second, and the next answer counts whole', () => {
  const server = new Asked().ask().answer(6399);
  assert.equal(server.wait(9).value, 6400);
  assert.equal(server.wait(1).value, 3200);
  assert.equal(server.wait(3).value, 400);
  assert.equal(server.ask().answer(49).value, 50);
});

test('a dead server is slow as long as it is asked, fades when it is not, and is as fast as it is when it returns', () => {
  const server = new Asked().ask().answer(99);
  for (let i = 0; i < 30; i++) server.ask().wait(1);
  assert.equal(server.value, 30_000_000);
  server.wait(9 + 20);
  assert.ok(server.value < 100);
  server.ask();
  assert.equal(server.wait(1).value, 1_000_000, 'it waits anew');
  assert.equal(server.answer(99).value, 100);
});

// SPDX-License-Identifier: Apache-2.0
// Waiting for what a test cannot be told about: another program's state. Looks again and again until a deadline that is
// far beyond what a slow machine needs, so that only a real failure reaches it.

import { setTimeout as delay } from 'node:timers/promises';

const LOOK_MS = 50;
const PATIENCE_MS = 30_000;

/** The first value of `look` that is not undefined; throws, naming `what`, when the patience ends. */
export async function eventually<T>(what: string, look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const value = await look();
    if (value !== undefined) return value;
    if (performance.now() > deadline) throw new Error(`waited ${PATIENCE_MS} ms in vain: ${what}`);
    await delay(LOOK_MS);
  }
}

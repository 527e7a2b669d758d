// SPDX-License-Identifier: Apache-2.0
// A reporter for node's test runner, used by scripts/test.ts: shows what the `spec` reporter shows, and leaves
// the totals and the skipped tests as JSON in the file that the environment variable REPORT_FILE_VARIABLE names.

import { writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { spec as Spec, type TestEvent } from 'node:test/reporters';

export const REPORT_FILE_VARIABLE = 'BALLAST_TEST_REPORT';

/** The runner's closing figures, in its order. */
export const TOTALS = ['tests', 'suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo', 'duration_ms'] as const;
export type Totals = Record<(typeof TOTALS)[number], number>;

/** What one run of the test runner came to. */
export interface RunReport {
  readonly totals: Totals;
  /** A skipped suite hides its tests: nobody knows how many. */
  readonly skipped: { readonly name: string; readonly reason: string; readonly isSuite: boolean }[];
}

// biome-ignore lint/style/noDefaultExport: node's test runner takes a reporter as the default export of its module
export default async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string, void> {
  const result: RunReport = { totals: noTotals(), skipped: [] };
  yield* Readable.from(note(events, result), { objectMode: true }).pipe(new Spec());
  const file = process.env[REPORT_FILE_VARIABLE];
  if (file !== undefined) writeFileSync(file, JSON.stringify(result));
}

/** Totals of a run that has not happened. */
export function noTotals(): Totals {
  return { tests: 0, suites: 0, pass: 0, fail: 0, cancelled: 0, skipped: 0, todo: 0, duration_ms: 0 };
}

/** Passes the events on and writes down what counts. */
async function* note(events: AsyncIterable<TestEvent>, result: RunReport): AsyncGenerator<TestEvent> {
  for await (const event of events) {
    if (event.type === 'test:pass' && event.data.skip !== undefined) {
      const reason =
        typeof event.data.skip === 'string' && event.data.skip !== '' ? event.data.skip : 'no reason given';
      result.skipped.push({ name: event.data.name, reason, isSuite: event.data.details.type === 'suite' });
    }
    if (event.type === 'test:diagnostic') noteTotal(event.data.message, result.totals);
    yield event;
  }
}

function noteTotal(message: string, totals: Totals): void {
  const [name, value, ...rest] = message.split(' ');
  const known = TOTALS.find((total) => total === name);
  if (known !== undefined && rest.length === 0 && Number.isFinite(Number(value))) totals[known] = Number(value);
}

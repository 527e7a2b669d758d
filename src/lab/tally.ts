// SPDX-License-Identifier: Apache-2.0
// Counts of requests and answers, and whether their shares are what the weights ask for. Pure; used by the client process,
// the live table and the verdict.

/** Requests of one phase, or of all. */
export interface Tally {
  /** Requests begun. */
  requests: number;
  ok: number;
  failed: number;
  /** Answers by the server that gave them. */
  perServer: Record<string, number>;
  /** Failures by reason. */
  errors: Record<string, number>;
}

export function emptyTally(): Tally {
  return { requests: 0, ok: 0, failed: 0, perServer: {}, errors: {} };
}

export function addTallies(...tallies: readonly Tally[]): Tally {
  const sum = emptyTally();
  for (const tally of tallies) {
    sum.requests += tally.requests;
    sum.ok += tally.ok;
    sum.failed += tally.failed;
    for (const [name, count] of Object.entries(tally.perServer)) increase(sum.perServer, name, count);
    for (const [reason, count] of Object.entries(tally.errors)) increase(sum.errors, reason, count);
  }
  return sum;
}

export function increase(counts: Record<string, number>, key: string, by = 1): void {
  counts[key] = (counts[key] ?? 0) + by;
}

/**
 * What is wrong with a phase, or undefined: every request answered, and every server's share its weight's. A weighted
 * round robin can be stopped and started anywhere in its cycle, so a server may be off by less than its weight in requests,
 * and by one at least.
 */
export function judge(tally: Tally, weights: Readonly<Record<string, number>>): string | undefined {
  if (tally.requests === 0) return 'no request was made';
  if (tally.ok !== tally.requests)
    return `${tally.requests - tally.ok} of ${tally.requests} requests were not answered`;
  const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0);
  for (const [name, weight] of Object.entries(weights)) {
    const expected = (tally.requests * weight) / total;
    const count = tally.perServer[name] ?? 0;
    if (Math.abs(count - expected) > Math.max(1, weight - weight / total)) {
      return `${name} answered ${count} of ${tally.requests} requests, its weight asks for ${expected.toFixed(1)}`;
    }
  }
  const stranger = Object.keys(tally.perServer).find((name) => !(name in weights));
  return stranger === undefined ? undefined : `'${stranger}' answered, which is no server of this service`;
}

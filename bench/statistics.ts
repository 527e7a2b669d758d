// SPDX-License-Identifier: Apache-2.0
// Middle and spread of a few measurements.

export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** Of at least one value. */
export function summarize(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = Number.isInteger(middle) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[Math.floor(middle)];
  return { median, least: sorted[0], most: sorted[sorted.length - 1] };
}

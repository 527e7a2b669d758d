// SPDX-License-Identifier: Apache-2.0
// Tables of text for people. Pure.

/** Columns two spaces apart; those from `firstNumber` on (0 for none) are aligned to the right. */
export function formatTable(rows: readonly (readonly string[])[], firstNumber: number): string {
  const isNumber = (column: number): boolean => firstNumber > 0 && column >= firstNumber;
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const cell = (text: string, column: number): string =>
    isNumber(column) ? text.padStart(widths[column]) : text.padEnd(widths[column]);
  return rows.map((row) => `${row.map(cell).join('  ').trimEnd()}\n`).join('');
}

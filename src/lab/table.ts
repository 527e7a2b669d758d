// SPDX-License-Identifier: Apache-2.0
// The lab's live table: lines from counts (pure), and a painter that draws them over each other on a terminal or prints
// one line a second elsewhere.

import type { Tally } from './tally.ts';

/** What the table shows at one moment. */
export interface TableState {
  readonly title: string;
  readonly tally: Tally;
  /** Server names in order, with the weights that hold now. */
  readonly weights: Readonly<Record<string, number>>;
  /** Entries in the director's connection table. */
  readonly connections: number;
  /** Packets that the director forwarded, both directions. */
  readonly packets: number;
}

const BAR_WIDTH = 40;
const PLAIN_INTERVAL_MS = 1_000;

/** Lines of the table, `columns` wide at most. */
export function renderTable(state: TableState, columns: number): string[] {
  const { tally } = state;
  const head = [
    `  ${state.title}`,
    `  requests ${tally.requests}   answered ${tally.ok}   failed ${tally.failed}   ` +
      `connections ${state.connections}   packets ${state.packets}`,
  ];
  const servers = Object.entries(state.weights).map(([name, weight]) => {
    const count = tally.perServer[name] ?? 0;
    const share = tally.ok === 0 ? 0 : count / tally.ok;
    const bar = '█'.repeat(Math.round(share * BAR_WIDTH)).padEnd(BAR_WIDTH, '·');
    return `  ${name.padEnd(5)} weight ${weight}  ${bar} ${(100 * share).toFixed(1).padStart(5)} %  ${count}`;
  });
  return [...head, ...servers].map((line) => [...line].slice(0, Math.max(20, columns - 1)).join(''));
}

/** One line for logs and pipes. */
export function renderLine(state: TableState): string {
  const shares = Object.keys(state.weights).map((name) => `${name} ${state.tally.perServer[name] ?? 0}`);
  const { requests, ok, failed } = state.tally;
  return `  ${state.title}: requests ${requests}, answered ${ok}, failed ${failed}, ${shares.join(', ')}`;
}

/** Where the table is drawn; `process.stdout` is one. */
export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export class TablePainter {
  readonly #screen: Screen;
  #drawn = 0;
  #lastPlainMs = Number.NEGATIVE_INFINITY;

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  /** Draws over what was drawn before. Off a terminal it prints a line, but not more than one a second. */
  paint(state: TableState): void {
    if (this.#screen.isTTY !== true) {
      const nowMs = performance.now();
      if (nowMs - this.#lastPlainMs < PLAIN_INTERVAL_MS) return;
      this.#lastPlainMs = nowMs;
      this.#screen.write(`${renderLine(state)}\n`);
      return;
    }
    const lines = renderTable(state, this.#screen.columns ?? 80);
    const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : '';
    this.#screen.write(`${up}${lines.map((line) => `\x1b[2K${line}\n`).join('')}`);
    this.#drawn = lines.length;
  }

  /** Leaves the last state on the screen; what is printed next comes below it. */
  finish(state: TableState): void {
    if (this.#screen.isTTY === true) this.paint(state);
    else this.#screen.write(`${renderLine(state)}\n`);
    this.#drawn = 0;
    this.#lastPlainMs = Number.NEGATIVE_INFINITY;
  }
}

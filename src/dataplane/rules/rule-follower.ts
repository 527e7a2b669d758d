// SPDX-License-Identifier: Apache-2.0
// Follows the kernel's firewall rules and tells what they are for the engine. Lives in the main thread, because a reading
// of many rules takes milliseconds that no packet shall wait for: the engine thread only gets what has become of them.
// nftables tells of its changes, iptables-legacy is looked at once a second. A reading that fails changes nothing.

import { isDeepStrictEqual } from 'node:util';
import { NftMonitor } from '../../linux/netfilter/nft-monitor.ts';
import { readXtTables, type XtReading } from '../../linux/netfilter/xt-reader.ts';
import type { KernelMarks } from '../../lvs/model.ts';
import type { Logger } from '../logger.ts';
import { readKernelRules } from './kernel-rules.ts';
import { type KernelRules, NO_KERNEL_RULES } from './settle.ts';

/** How often events are looked for: as long as a change of rules may take until it is seen. */
const LOOK_MS = 100;
const LEGACY_MS = 1000;
const RETRY_MS = 1000;
/** Least pause between two readings, and its length in units of the last one's own time. */
const PAUSE_MS = 100;
const PAUSE_FACTOR = 10;
/** Longest reading. */
const MOST_MS = 2000;

export interface RuleFollowerOptions {
  readonly log: Logger;
  /** The rules are others now. */
  readonly onRules: (rules: KernelRules) => void;
  /** What reads them; the kernel's unless given. */
  readonly readRules?: typeof readKernelRules;
}

export class RuleFollower {
  readonly #options: RuleFollowerOptions;
  #monitor: NftMonitor | undefined;
  #timer: NodeJS.Timeout | undefined;
  #rules: KernelRules = NO_KERNEL_RULES;
  #problem: string | undefined;
  #always = false;
  #isStale = true;
  /** Of iptables-legacy: what it was at the last look, and when to look again. */
  #legacy: readonly XtReading[] = [];
  #legacyAt = 0;
  #readAt = 0;
  #expiresAt = Number.POSITIVE_INFINITY;

  constructor(options: RuleFollowerOptions) {
    this.#options = options;
  }

  /** Reads the rules, tells of them, and goes on to do so. */
  start(): void {
    this.open();
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    this.#timer.unref();
  }

  /** {@link start} for somebody who calls {@link look} himself. */
  open(): void {
    try {
      this.#monitor = new NftMonitor();
    } catch (error) {
      this.#options.log.debug('no events of nftables', { error: (error as Error).message });
    }
    this.look();
  }

  /** From now on others give marks too: rules count that only drop packets. */
  require(): void {
    if (this.#always) return;
    this.#always = true;
    this.#isStale = true;
    this.#readAt = 0;
    this.look();
  }

  /** What is known, for people. */
  get marks(): KernelMarks {
    const { marking, unreadable } = this.#rules;
    return { rules: marking, unreadable, ...(this.#problem !== undefined && { problem: this.#problem }) };
  }

  /** Looks for changes, and reads the rules again if there are any and it is not too soon. */
  look(): void {
    const now = performance.now();
    try {
      if (this.#monitor?.hasChanged() === true || now >= this.#expiresAt) this.#isStale = true;
      if (now >= this.#legacyAt) this.#lookAtLegacy(now);
      if (this.#isStale && now >= this.#readAt) this.#read(now);
    } catch (error) {
      this.#fail((error as Error).message, now);
    }
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#monitor?.close();
    this.#monitor = undefined;
  }

  #lookAtLegacy(now: number): void {
    const tables = readXtTables();
    this.#legacyAt = now + Math.max(LEGACY_MS, PAUSE_FACTOR * (performance.now() - now));
    if (!isSame(tables, this.#legacy)) this.#isStale = true;
    this.#legacy = tables;
  }

  #read(now: number): void {
    this.#isStale = false;
    const readRules = this.#options.readRules ?? readKernelRules;
    const { nextExpiryMs, ...rules } = readRules(this.#legacy, { mostMs: MOST_MS, always: this.#always });
    const end = performance.now();
    this.#readAt = end + Math.max(PAUSE_MS, PAUSE_FACTOR * (end - now));
    this.#expiresAt = end + Math.max(RETRY_MS, nextExpiryMs);
    this.#problem = undefined;
    if (isDeepStrictEqual(rules, this.#rules)) return;
    this.#rules = rules;
    this.#options.onRules(rules);
    const counts = { marking: rules.marking.length, unreadable: rules.unreadable.length };
    if (counts.unreadable === 0) this.#options.log.info('firewall rules taken', counts);
    else this.#options.log.warn("firewall rules taken, some left out: 'ballast mark list' says which", counts);
  }

  #fail(problem: string, now: number): void {
    this.#isStale = true;
    this.#readAt = now + RETRY_MS;
    this.#legacyAt = Math.max(this.#legacyAt, now + RETRY_MS);
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#options.log.error('the firewall rules cannot be read: going on with what they were', { error: problem });
  }
}

function isSame(a: readonly XtReading[], b: readonly XtReading[]): boolean {
  return (
    a.length === b.length &&
    a.every((one, i) => {
      const other = b[i];
      const isSamePlace = one.family === other.family && one.name === other.name && one.problem === other.problem;
      return isSamePlace && Buffer.compare(one.image, other.image) === 0;
    })
  );
}

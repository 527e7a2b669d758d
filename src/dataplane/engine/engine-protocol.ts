// SPDX-License-Identifier: Apache-2.0
// What the main thread and the engine thread say to each other. The engine thread blocks in poll(2), not in an event
// loop: after each message the main thread signals an eventfd.

import type { PackedRules } from '../../lvs/classify/pack.ts';
import type { Reach } from '../../lvs/classify/reach.ts';
import { LvsError, type LvsErrorCode } from '../../lvs/model.ts';
import type { Change, ConnectionPage, DataPlaneSnapshot } from '../dataplane.ts';
import type { LogFields, Logger } from '../logger.ts';

/** What the engine thread is started with. */
export interface EngineThreadData {
  readonly interfaces: readonly string[];
  readonly maxConnections: number;
  /** Random words for the connection table's hash. */
  readonly seed: { readonly k0: number; readonly k1: number };
  /** Eventfd that the main thread signals. */
  readonly wake: number;
}

export type EngineRequest =
  | { readonly type: 'apply'; readonly change: Change }
  | { readonly type: 'snapshot' }
  | { readonly type: 'connections'; readonly cursor: number }
  /** The kernel's firewall rules, which are handed over and not copied, and what they could mark. */
  | { readonly type: 'kernel-rules'; readonly rules: PackedRules; readonly reach: readonly Reach[] }
  | { readonly type: 'close' };

export type EngineAnswer = DataPlaneSnapshot | ConnectionPage | undefined;

/** An error on its way between threads: structured cloning would lose its class. */
export interface EngineFailure {
  readonly message: string;
  /** Present for a change that the director refuses. */
  readonly lvsCode?: LvsErrorCode;
}

export type ToEngine = { readonly id: number; readonly request: EngineRequest };

export type FromEngine =
  | { readonly type: 'ready'; readonly description: string }
  | { readonly type: 'answer'; readonly id: number; readonly answer: EngineAnswer }
  | { readonly type: 'refused'; readonly id: number; readonly failure: EngineFailure }
  | {
      readonly type: 'log';
      readonly level: keyof Logger;
      readonly message: string;
      readonly fields: LogFields | undefined;
    }
  /** The thread ends: it could not start, or its loop failed. */
  | { readonly type: 'failed'; readonly failure: EngineFailure };

export function packError(error: unknown): EngineFailure {
  if (error instanceof LvsError) return { message: error.message, lvsCode: error.code };
  return { message: error instanceof Error ? error.message : String(error) };
}

export function unpackError(failure: EngineFailure): Error {
  return failure.lvsCode === undefined ? new Error(failure.message) : new LvsError(failure.lvsCode, failure.message);
}

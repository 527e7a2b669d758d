// SPDX-License-Identifier: Apache-2.0
// What the daemon and its clients agree on: where the socket is and the shapes of answers that are not in the model.
// Imported by both sides, so it must stay free of dependencies.

import type { DataPlaneSnapshot } from '../dataplane/dataplane.ts';
import type { DrainSnapshot, LvsErrorCode } from '../lvs/model.ts';

export const DEFAULT_SOCKET = '/run/ballast/ballast.sock';

/** Socket that `environment` names, or the default. */
export function socketPath(environment: Readonly<Record<string, string | undefined>>): string {
  return environment.BALLAST_SOCKET || DEFAULT_SOCKET;
}

/** A server that is drained, and what is left on it. */
export interface DrainingServer extends DrainSnapshot {
  /** Texts of their keys. */
  readonly service: string;
  readonly server: string;
  /** Active and inactive ones. */
  readonly connections: number;
}

/** Answer to `GET /v1/status`. */
export interface DaemonStatus {
  readonly version: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  /** The data plane's own words for itself: `engine (af-xdp native)`. */
  readonly dataplane: string;
  /** How many virtual services and real servers there are. */
  readonly services: number;
  readonly servers: number;
  readonly connections: DataPlaneSnapshot['connections'];
  readonly draining: readonly DrainingServer[];
  readonly totals: DataPlaneSnapshot['totals'];
  readonly verdicts: DataPlaneSnapshot['verdicts'];
  readonly links: DataPlaneSnapshot['links'];
}

/** Reasons of refusal that do not come from the director. */
export type RequestErrorCode = 'BAD_REQUEST' | 'INVALID' | 'NOT_FOUND' | 'TOO_LARGE' | 'INTERNAL';

/** Body of every answer that is not a success. */
export interface ErrorAnswer {
  readonly error: {
    readonly code: LvsErrorCode | RequestErrorCode;
    readonly message: string;
    /** What is wrong where, when the code is INVALID. */
    readonly issues?: readonly { readonly path: string; readonly message: string }[];
  };
}

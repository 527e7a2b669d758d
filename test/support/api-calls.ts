// SPDX-License-Identifier: Apache-2.0
// Calls of the HTTP API without a socket, over a director without devices.

import { createApi } from '../../src/daemon/api.ts';
import { createLog } from '../../src/daemon/log.ts';
import type { DataPlane } from '../../src/dataplane/dataplane.ts';
import { localDataPlane } from './local-dataplane.ts';

export interface Answer {
  readonly status: number;
  readonly body: { error?: { code: string; message: string; issues?: { path: string }[] } } & Record<string, unknown>;
  readonly headers: Headers;
}

export type Call = (method: string, path: string, body?: unknown) => Promise<Answer>;

/** The API over `dataplane`; what it logs is appended to `lines`. */
export function api(dataplane: DataPlane = localDataPlane(), lines: string[] = []): Call {
  const log = createLog({ level: 'info', write: (line) => lines.push(line) });
  const app = createApi({ version: '1.2.3', pid: 42, uptimeSeconds: () => 7 }, { dataplane, log });
  return async (method, path, body) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const response = await app.request(path, { method, ...(text !== undefined && { body: text }) });
    const answer = await response.text();
    return { status: response.status, body: answer === '' ? {} : JSON.parse(answer), headers: response.headers };
  };
}

// SPDX-License-Identifier: Apache-2.0
// Version of this program, from its own package.json. Read upon demand, for it is wanted by few commands.

import { readFileSync } from 'node:fs';

/** Version as in package.json: `0.1.0`. */
export function ballastVersion(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

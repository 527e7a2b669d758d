// SPDX-License-Identifier: Apache-2.0
// Names of ports: the table of /etc/services (services(5)), both ways. The first line that fits wins, as with
// getservbyname(3) and getservbyport(3).

import type { Protocol } from '../../lvs/model.ts';

export interface ServicesTable {
  /** Port of a name or alias, undefined when there is none. */
  port(name: string, protocol: Protocol): number | undefined;
  /** Official name of a port, undefined when it has none. */
  name(port: number, protocol: Protocol): string | undefined;
}

/** A table from the text of /etc/services. Lines that say nothing sensible are skipped. */
export function parseServices(text: string): ServicesTable {
  const ports = new Map<string, number>();
  const names = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [name, where, ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/);
    const match = /^(\d{1,5})\/(\w+)$/.exec(where ?? '');
    if (match === null) continue;
    const port = Number(match[1]);
    const protocol = match[2];
    for (const known of [name, ...aliases]) {
      const key = `${protocol} ${known}`;
      if (!ports.has(key)) ports.set(key, port);
    }
    const key = `${protocol} ${port}`;
    if (!names.has(key)) names.set(key, name);
  }
  return {
    port: (name, protocol) => ports.get(`${protocol} ${name}`),
    name: (port, protocol) => names.get(`${protocol} ${port}`),
  };
}

// SPDX-License-Identifier: Apache-2.0
// Names of hosts and ports as this machine knows them. Loads what it needs when it is first asked, because most calls
// of ipvsadm give plain numbers and should start fast.

import { readFile } from 'node:fs/promises';
import type { Address } from '../../packet/address.ts';
import { parseServices, type ServicesTable } from './services-table.ts';

/** Where ipvsadm looks names up; tests bring their own. */
export interface Names {
  services(): Promise<ServicesTable>;
  /** IPv4 address of a host name, undefined when there is none. */
  hostAddress(name: string): Promise<Address | undefined>;
  /** Name of a host, undefined when it has none. */
  hostName(address: Address): Promise<string | undefined>;
}

/** Names by /etc/services and the system's resolver. */
export function systemNames(): Names {
  let services: Promise<ServicesTable> | undefined;
  const hosts = new Map<Address, Promise<string | undefined>>();
  return {
    services() {
      services ??= readFile('/etc/services', 'utf8').then(parseServices, () => parseServices(''));
      return services;
    },
    hostAddress: lookUpAddress,
    hostName(address) {
      let name = hosts.get(address);
      if (name === undefined) {
        name = lookUpName(address);
        hosts.set(address, name);
      }
      return name;
    },
  };
}

async function lookUpAddress(name: string): Promise<Address | undefined> {
  if (name === '' || name.includes(':')) return undefined;
  const { lookup } = await import('node:dns/promises');
  try {
    const { address } = await lookup(name, { family: 4 });
    return address as Address;
  } catch {
    return undefined;
  }
}

async function lookUpName(address: Address): Promise<string | undefined> {
  const { lookupService } = await import('node:dns/promises');
  try {
    // deviates: the original asks for one name after the other; all of a listing are asked for at once here
    return (await lookupService(address, 0)).hostname;
  } catch {
    return undefined;
  }
}

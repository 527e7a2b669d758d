// SPDX-License-Identifier: Apache-2.0
// How listings write addresses with ports: as numbers, or with the names that hosts and ports have. Names are looked
// up before anything is printed, so that the formatters stay pure.

import type { Protocol, ServerKey } from '../../lvs/model.ts';
import { formatServerKey } from '../../lvs/service-key.ts';
import { type Address, addressFamily } from '../../packet/address.ts';
import type { Names } from './names.ts';

/** Text of an address and a port. Ports without a protocol have no names. */
export type Label = (endpoint: ServerKey, protocol: Protocol | undefined) => string;

export const numericLabel: Label = (endpoint) => formatServerKey(endpoint);

/** Labels with names for these addresses; what has no name stays a number. */
export async function namedLabel(addresses: Iterable<Address>, names: Names): Promise<Label> {
  const services = await names.services();
  const unique = [...new Set(addresses)];
  const found = await Promise.all(unique.map((address) => names.hostName(address)));
  const hosts = new Map(unique.map((address, i) => [address, found[i] ?? address]));
  return ({ address, port }, protocol) => {
    const host = hosts.get(address) ?? address;
    const service = protocol === undefined ? undefined : services.name(port, protocol);
    // Brackets go by the family of the address, even around a name.
    return `${addressFamily(address) === 6 ? `[${host}]` : host}:${service ?? port}`;
  };
}

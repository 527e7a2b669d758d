// SPDX-License-Identifier: Apache-2.0
// Reads `host[:port]` as -t, -u, --sctp-service and -r take it. IPv6 needs brackets to carry a port, and within
// brackets a port must follow; hosts and ports may be names. Called by arguments.ts.

import type { Protocol } from '../../lvs/model.ts';
import { type Address, addressFamily, type Family, formatIpv4, parseAddress } from '../../packet/address.ts';
import type { Names } from './names.ts';
import { parseInetAton, parseNumber } from './numbers.ts';

export interface HostPort {
  readonly address: Address;
  readonly family: Family;
  /** Undefined when the text has none. */
  readonly port: number | undefined;
}

/** The address and port in `text`; undefined when it is not one. Names of ports need to know the protocol. */
export async function parseHostPort(
  text: string,
  protocol: Protocol | undefined,
  names: Names,
): Promise<HostPort | undefined> {
  if (/^[0-9]*$/.test(text)) return undefined;
  let host = text;
  let portText: string | undefined;
  if (text.startsWith('[')) {
    const match = /^\[([^\]]*)\]:(.*)$/s.exec(text);
    if (match === null) return undefined;
    host = match[1];
    portText = match[2];
  }
  let address = host.includes(':') ? parseAddress(host) : undefined;
  if (address === undefined) {
    // Not IPv6, so what stood behind brackets is forgotten and a port is looked for in the rest.
    const colon = host.lastIndexOf(':');
    portText = colon === -1 ? undefined : host.slice(colon + 1);
    address = await parseIpv4Host(colon === -1 ? host : host.slice(0, colon), names);
    if (address === undefined) return undefined;
  }
  const family = addressFamily(address);
  if (portText === undefined) return { address, family, port: undefined };
  const port = parseNumber(portText, 0, 65535) ?? (await namedPort(portText, protocol, names));
  return port === undefined ? undefined : { address, family, port };
}

/** An IPv4 address in any form of inet_aton(3), or the first one of a host name. */
export async function parseIpv4Host(text: string, names: Names): Promise<Address | undefined> {
  const word = parseInetAton(text);
  return word === undefined ? names.hostAddress(text) : (formatIpv4(word) as Address);
}

async function namedPort(name: string, protocol: Protocol | undefined, names: Names): Promise<number | undefined> {
  return protocol === undefined ? undefined : (await names.services()).port(name, protocol);
}

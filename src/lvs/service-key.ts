// SPDX-License-Identifier: Apache-2.0
// Service and server keys as one word of text, for URLs, logs and files: `tcp:10.0.0.1:80`, `udp:[2001:db8::1]:53`,
// `fwm:7` (IPv4), `fwm:7:6` (IPv6); servers `10.0.0.2:8080`. Pure. What is printed parses back to the same key.

import { type Address, addressFamily, parseAddress } from '../packet/address.ts';
import type { Protocol, ServerKey, ServiceKey } from './model.ts';

const PROTOCOLS: readonly string[] = ['tcp', 'udp', 'sctp'] satisfies Protocol[];
const MAX_MARK = 0xffffffff;
const MAX_PORT = 0xffff;

/** Text of a service key. */
export function formatServiceKey(key: ServiceKey): string {
  if (key.kind === 'fwmark') return key.family === 6 ? `fwm:${key.mark}:6` : `fwm:${key.mark}`;
  return `${key.protocol}:${formatServerKey(key)}`;
}

/** The key that `text` stands for, or undefined. Addresses may be written in any valid form, numbers only plainly. */
export function parseServiceKey(text: string): ServiceKey | undefined {
  const colon = text.indexOf(':');
  if (colon === -1) return undefined;
  const kind = text.slice(0, colon);
  const rest = text.slice(colon + 1);
  if (kind === 'fwm') return parseMark(rest);
  if (!PROTOCOLS.includes(kind)) return undefined;
  const endpoint = parseServerKey(rest);
  return endpoint && { kind: 'address', protocol: kind as Protocol, ...endpoint };
}

/** Text of an address and a port, IPv6 in brackets. */
export function formatServerKey(key: ServerKey): string {
  return addressFamily(key.address) === 6 ? `[${key.address}]:${key.port}` : `${key.address}:${key.port}`;
}

/** The address and port that `text` stands for, or undefined. */
export function parseServerKey(text: string): ServerKey | undefined {
  const colon = text.lastIndexOf(':');
  if (colon === -1) return undefined;
  const host = text.slice(0, colon);
  const isBracketed = host.startsWith('[') && host.endsWith(']');
  const address = parseAddress(isBracketed ? host.slice(1, -1) : host);
  const port = parseNumber(text.slice(colon + 1), 0, MAX_PORT);
  if (address === undefined || port === undefined || isBracketed !== isIpv6(address)) return undefined;
  return { address, port };
}

function parseMark(text: string): ServiceKey | undefined {
  const isIpv6Mark = text.endsWith(':6');
  const mark = parseNumber(isIpv6Mark ? text.slice(0, -2) : text, 1, MAX_MARK);
  return mark === undefined ? undefined : { kind: 'fwmark', mark, family: isIpv6Mark ? 6 : 4 };
}

function parseNumber(text: string, least: number, most: number): number | undefined {
  if (!/^(0|[1-9]\d{0,9})$/.test(text)) return undefined;
  const value = Number(text);
  return value >= least && value <= most ? value : undefined;
}

function isIpv6(address: Address): boolean {
  return addressFamily(address) === 6;
}

// SPDX-License-Identifier: Apache-2.0
// Parts of a service that listings and saved rules write the same way. Pure.

import type { Protocol, ServiceKey, ServiceOptions } from '../../lvs/model.ts';
import { formatIpv4 } from '../../packet/address.ts';

/** By whose table ports are named; services by firewall mark have no protocol. */
export function protocolOf(key: ServiceKey): Protocol | undefined {
  return key.kind === 'address' ? key.protocol : undefined;
}

// deviates: the original lists flag-3 of sh and mh, which is none of theirs, as empty parentheses.
/** Names of the scheduler's flags, in the order of their numbers; sh and mh have but two, with names of their own. */
export function schedulerFlagNames({ scheduler, schedulerFlags }: ServiceOptions): string[] {
  const flags = [...schedulerFlags].sort();
  if (scheduler !== 'sh' && scheduler !== 'mh') return flags;
  const names = { 'flag-1': [`${scheduler}-fallback`], 'flag-2': [`${scheduler}-port`], 'flag-3': [] };
  return flags.flatMap((flag) => names[flag]);
}

/** Mask of persistence, dotted for IPv4, bits for IPv6; undefined when the whole address counts. */
export function maskText({ key, persistence }: ServiceOptions & { readonly key: ServiceKey }): string | undefined {
  if (persistence === undefined) return undefined;
  const bits = persistence.prefixLength;
  const isIpv6 = key.kind === 'fwmark' ? key.family === 6 : key.address.includes(':');
  if (isIpv6) return bits === 128 ? undefined : String(bits);
  return bits === 32 ? undefined : formatIpv4(bits === 0 ? 0 : -1 << (32 - bits));
}

// SPDX-License-Identifier: Apache-2.0
// What the director takes and what it refuses, before it touches anything: the conditions and error names of the kernel
// (ip_vs_add_service, ip_vs_edit_service, ip_vs_add_dest, ip_vs_new_dest in ip_vs_ctl.c) for values that only these can
// judge, and ranges for what is our own. Every function throws LvsError or returns.

import { type Address, addressFamily, addressWords } from '../../packet/address.ts';
import { SCTP_STATE_NAMES } from '../connection/sctp-state.ts';
import { TCP_STATE_NAMES } from '../connection/tcp-state.ts';
import {
  LvsError,
  type Protocol,
  type ServerKey,
  type ServerOptions,
  type ServiceKey,
  type ServiceOptions,
  type ServiceTuning,
} from '../model.ts';
import { ENGINES } from '../persistence/engine-templates.ts';
import { checkQuic } from '../quic/quic-routing.ts';
import { MAGLEV_SLOTS } from '../schedule/maglev.ts';
import { SCHEDULERS } from '../schedule/schedulers.ts';
import { formatServiceKey } from '../service-key.ts';

/** Largest weight and threshold: INT_MAX, as ipvsadm has it. */
const INT_MAX = 0x7fffffff;
const UINT_MAX = 0xffffffff;
const MAX_PORT = 0xffff;
/** Longest time a connection can be told to live: 31 days, as ipvsadm has it for persistence. */
const MAX_SECONDS = 31 * 24 * 60 * 60;

export function checkServiceKey(key: ServiceKey): void {
  if (key.kind === 'fwmark') {
    if (!isInteger(key.mark, 1, UINT_MAX))
      throw new LvsError('EINVAL', `firewall mark ${key.mark} is not 1 … ${UINT_MAX}`);
    return;
  }
  checkPort(key.port);
}

/** @param key - of the service that the options are for. */
export function checkServiceOptions(key: ServiceKey, options: ServiceOptions): void {
  const { scheduler, persistence } = options;
  if (!SCHEDULERS.includes(scheduler)) throw new LvsError('ENOENT', `no scheduler '${scheduler}'`);
  if (persistence === undefined) return;
  const { engine, prefixLength, timeoutSeconds } = persistence;
  if (engine !== undefined && !ENGINES.includes(engine)) {
    throw new LvsError('ENOENT', `no persistence engine '${engine}': there is ${ENGINES.join(', ')}`);
  }
  const isIpv6 = familyOf(key) === 6;
  if (!isInteger(prefixLength, isIpv6 ? 1 : 0, isIpv6 ? 128 : 32)) {
    throw new LvsError('EINVAL', `persistence prefix length ${prefixLength} is out of range`);
  }
  checkSeconds('persistence timeout', timeoutSeconds);
}

/** @param key - of the service that is tuned. */
export function checkTuning(key: ServiceKey, { timeouts, slowStartSeconds, quic }: ServiceTuning): void {
  if (quic !== undefined) {
    if (key.kind === 'address' && key.protocol !== 'udp') {
      throw new LvsError('EINVAL', `${formatServiceKey(key)} has no QUIC: that is over UDP`);
    }
    checkQuic(quic);
  }
  if (slowStartSeconds !== undefined && slowStartSeconds !== 0) checkSeconds('slow start', slowStartSeconds);
  if (timeouts === undefined) return;
  const { tcp, sctp, udp } = timeouts;
  for (const [protocol, own] of [['tcp', tcp] as const, ['sctp', sctp] as const, ['udp', udp] as const]) {
    if (own !== undefined) checkProtocol(key, protocol);
  }
  if (udp !== undefined) checkSeconds('UDP timeout', udp);
  checkStates('TCP', TCP_STATE_NAMES, tcp ?? {});
  checkStates('SCTP', SCTP_STATE_NAMES, sctp ?? {});
}

/** 0 is now, undefined never. */
export function checkDeadline(seconds: number | undefined): void {
  if (seconds !== undefined && seconds !== 0) checkSeconds('deadline', seconds);
}

export function checkServerOptions(options: ServerOptions): void {
  const { method, weight, upperThreshold, lowerThreshold } = options;
  if (!isInteger(weight, 0, INT_MAX)) throw new LvsError('ERANGE', `weight ${weight} is out of range`);
  if (!isInteger(upperThreshold, 0, UINT_MAX) || !isInteger(lowerThreshold, 0, UINT_MAX)) {
    throw new LvsError('ERANGE', `thresholds ${upperThreshold} and ${lowerThreshold} are out of range`);
  }
  if (lowerThreshold > upperThreshold) {
    throw new LvsError('ERANGE', `the lower threshold ${lowerThreshold} is above the upper one, ${upperThreshold}`);
  }
  if (upperThreshold > INT_MAX) throw new LvsError('EINVAL', `upper threshold ${upperThreshold} is out of range`);
  if (method === 'local') {
    const remedy = 'a server with an address of this machine is local with every method';
    throw new LvsError('EOPNOTSUPP', `forwarding method '${method}' is not supported yet: ${remedy}`);
  }
}

/** The kernel asks this of edits too, and before anything else: only a tunnel takes packets of one family over another. */
export function checkFamily(service: ServiceKey, key: ServerKey, { method }: Pick<ServerOptions, 'method'>): void {
  if (addressFamily(key.address) !== familyOf(service) && method !== 'tun') {
    throw new LvsError('EINVAL', `server ${key.address} is of another address family than its service`);
  }
}

/** Whether a scheduler can take a service over that has so many servers. */
export function checkCapacity(scheduler: string, servers: number): void {
  if (scheduler !== 'mh' || servers <= MAGLEV_SLOTS) return;
  throw new LvsError('EINVAL', `mh has places for ${MAGLEV_SLOTS} servers, the service has ${servers}`);
}

export function checkServerKey(key: ServerKey): void {
  checkPort(key.port);
  if (!isUnicast(key.address)) throw new LvsError('EINVAL', `server address ${key.address} is not unicast`);
}

function familyOf(key: ServiceKey): number {
  return key.kind === 'fwmark' ? key.family : addressFamily(key.address);
}

function checkPort(port: number): void {
  if (!isInteger(port, 0, MAX_PORT)) throw new LvsError('EINVAL', `port ${port} is not 0 … ${MAX_PORT}`);
}

/** Services on marks have connections of every protocol, the others of their own. */
function checkProtocol(key: ServiceKey, protocol: Protocol): void {
  if (key.kind === 'fwmark' || key.protocol === protocol) return;
  throw new LvsError('EINVAL', `${formatServiceKey(key)} has no ${protocol.toUpperCase()} connections to time out`);
}

function checkSeconds(what: string, seconds: number): void {
  if (isInteger(seconds, 1, MAX_SECONDS)) return;
  throw new LvsError('EINVAL', `${what} of ${seconds} s: 1 … ${MAX_SECONDS} s are possible`);
}

function checkStates(protocol: string, names: readonly string[], seconds: Readonly<Record<string, number>>): void {
  for (const [state, value] of Object.entries(seconds)) {
    if (!names.includes(state)) {
      throw new LvsError('EINVAL', `${protocol} has no state '${state}': its states are ${names.join(', ')}`);
    }
    checkSeconds(`timeout of ${protocol} state ${state}`, value);
  }
}

function isInteger(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

/**
 * What the kernel takes for a real server's address: no multicast, no broadcast, no link-local, no IPv4 address in the
 * form of IPv6.
 */
function isUnicast(address: Address): boolean {
  const words = addressWords(address);
  if (addressFamily(address) === 4) {
    const top = words[0] >>> 24;
    return words[0] !== 0 && (top < 224 || top >= 240) && words[0] !== -1;
  }
  const top = words[0] >>> 16;
  const isUnspecified = words.every((word) => word === 0);
  const isMapped = (words[0] | words[1]) === 0 && words[2] === 0xffff;
  return !isUnspecified && !isMapped && top >>> 8 !== 0xff && (top & 0xffc0) !== 0xfe80;
}

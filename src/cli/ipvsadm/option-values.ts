// SPDX-License-Identifier: Apache-2.0
// One option with its value into the draft: reads and checks the value at once, as ipvsadm 1.31 does, so that of
// several mistakes the leftmost is reported. Called by arguments.ts for each option after the command.

import type { Protocol } from '../../lvs/model.ts';
import { type Address, addressWords, parseAddress } from '../../packet/address.ts';
import { parseHostPort, parseIpv4Host } from './address-argument.ts';
import type { Draft } from './draft.ts';
import { ArgumentError } from './messages.ts';
import type { Names } from './names.ts';
import { leadingNumber, parseNumber, parseTimeout } from './numbers.ts';
import type { OptionName, WordName } from './options.ts';

const INT_MAX = 2147483647;
const DEFAULT_PERSISTENCE_SECONDS = 360;
const METHODS = { gatewaying: 'dr', masquerading: 'nat', ipip: 'tun', fullnat: 'fullnat' } as const;

/** Lengths at which the kernel's structures cut names. */
const SCHEDULER_NAME_MAX = 15;
const ENGINE_NAME_MAX = 16;
const DEVICE_NAME_MAX = 15;

/** One option. `hasValue` tells `-p` from `-p ''`; `lastWord` is what an error about the option itself quotes. */
export async function readOption(
  draft: Draft,
  name: WordName,
  value: string,
  hasValue: boolean,
  lastWord: string,
  names: Names,
): Promise<void> {
  switch (name) {
    case 'tcp-service':
      return readService(draft, 'tcp', value, names);
    case 'udp-service':
      return readService(draft, 'udp', value, names);
    case 'sctp-service':
      return readService(draft, 'sctp', value, names);
    case 'fwmark-service':
      once(draft, 'service-address');
      draft.protocol = 'tcp'; // lets `-r` look names of ports up
      draft.family = 4;
      draft.mark = number(value, 1, 0xffffffff, `invalid fwmark value \`${value}' specified`);
      return;
    case 'ipv6':
      if (draft.mark === undefined) throw new ArgumentError('-6 used before -f\n');
      draft.family = 6;
      draft.netmask = 128;
      return;
    case 'scheduler':
      once(draft, name);
      draft.scheduler = value.slice(0, SCHEDULER_NAME_MAX);
      return;
    case 'sched-flags':
      once(draft, name);
      draft.flagText = value;
      return;
    case 'pe':
      once(draft, name);
      draft.engine = value.slice(0, ENGINE_NAME_MAX);
      return;
    case 'persistent':
      once(draft, name);
      draft.persistentSeconds = hasValue ? parseTimeout(value, 1) : DEFAULT_PERSISTENCE_SECONDS;
      return;
    case 'netmask':
      once(draft, name);
      draft.netmask = await netmask(draft, value, names);
      return;
    case 'real-server':
      return readServer(draft, value, names);
    case 'gatewaying':
    case 'masquerading':
    case 'ipip':
    case 'fullnat':
      once(draft, 'forwarding-method');
      draft.method = METHODS[name];
      return;
    case 'weight':
      once(draft, name);
      draft.weight = number(value, 0, INT_MAX, 'illegal weight specified');
      return;
    case 'u-threshold':
      once(draft, name);
      draft.upperThreshold = number(value, 0, INT_MAX, 'illegal u_threshold specified');
      return;
    case 'l-threshold':
      once(draft, name);
      draft.lowerThreshold = number(value, 0, INT_MAX, 'illegal l_threshold specified');
      return;
    case 'tun-type':
      once(draft, name);
      if (value !== 'ipip' && value !== 'gue' && value !== 'gre')
        throw new ArgumentError('illegal tunnel type specified');
      draft.tunnelType = value;
      return;
    case 'tun-port':
      once(draft, name);
      draft.tunnelPort = number(value, 1, 65535, 'illegal tunnel port specified');
      return;
    case 'mcast-interface':
      once(draft, name);
      draft.device = value.slice(0, DEVICE_NAME_MAX);
      return;
    case 'syncid':
      once(draft, name);
      draft.syncId = number(value, 0, 255, 'illegal syncid specified');
      return;
    case 'sync-maxlen':
      once(draft, name);
      draft.maxLength = number(value, 1, 65507, 'illegal sync-maxlen specified');
      return;
    case 'mcast-group':
      once(draft, name);
      draft.group = multicastGroup(value);
      return;
    case 'mcast-port':
      once(draft, name);
      draft.groupPort = number(value, 1, 65535, 'illegal mcast-port specified');
      return;
    case 'mcast-ttl':
      once(draft, name);
      draft.ttl = number(value, 1, 255, 'illegal mcast-ttl specified');
      return;
    case 'sort':
      return; // sorting is the default
    case 'numeric':
    case 'connection':
    case 'timeout':
    case 'daemon':
    case 'stats':
    case 'rate':
    case 'thresholds':
    case 'persistent-conn':
    case 'nosort':
    case 'exact':
    case 'ops':
    case 'tun-info':
    case 'tun-nocsum':
    case 'tun-csum':
    case 'tun-remcsum':
      once(draft, name);
      return;
    default: // a second command, help or version
      throw new ArgumentError(`invalid option \`${lastWord}'`);
  }
}

async function readService(draft: Draft, protocol: Protocol, value: string, names: Names): Promise<void> {
  once(draft, 'service-address');
  const found = await parseHostPort(value, protocol, names);
  if (found === undefined) throw new ArgumentError('illegal virtual server address[:port] specified');
  draft.protocol = protocol;
  draft.address = found.address;
  draft.family = found.family;
  draft.port = found.port ?? 0;
  if (found.family === 6) draft.netmask = 128;
}

async function readServer(draft: Draft, value: string, names: Names): Promise<void> {
  once(draft, 'real-server');
  const found = await parseHostPort(value, draft.protocol, names);
  if (found === undefined) throw new ArgumentError('illegal real server address[:port] specified');
  draft.server = { address: found.address, family: found.family, port: found.port ?? draft.port };
}

async function netmask(draft: Draft, value: string, names: Names): Promise<number> {
  if (draft.family === 6) {
    const bits = leadingNumber(value);
    if (bits < 1 || bits > 128) throw new ArgumentError('illegal ipv6 netmask specified');
    return bits;
  }
  const mask = await parseIpv4Host(value, names);
  if (mask === undefined) throw new ArgumentError('illegal virtual server persistent mask specified');
  return addressWords(mask)[0];
}

function multicastGroup(value: string): Address {
  if (value.includes(':')) {
    const address = parseAddress(value);
    if (address !== undefined && addressWords(address)[0] >>> 24 === 0xff) return address;
    throw new ArgumentError(`invalid IPv6 mcast-group \`${value}'`);
  }
  const address = parseAddress(value);
  if (address !== undefined && addressWords(address)[0] >>> 28 === 0xe) return address;
  throw new ArgumentError(`invalid IPv4 mcast-group \`${value}'`);
}

function once(draft: Draft, name: OptionName): void {
  if (draft.seen.has(name)) throw new ArgumentError(`multiple '${name}' options specified`);
  draft.seen.add(name);
}

function number(text: string, minimum: number, maximum: number, message: string): number {
  const value = parseNumber(text, minimum, maximum);
  if (value === undefined) throw new ArgumentError(message);
  return value;
}

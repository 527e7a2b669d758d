// SPDX-License-Identifier: Apache-2.0
// Names of ipvsadm's commands and options, their spelling, and which option goes with which command. Data only:
// arguments.ts reads words by it, rules.ts checks by it.

import type { PoptOption, PoptValue } from './popt.ts';

/** Commands by the names that messages give them, in the order of the help text. */
export type CommandName =
  | 'add-service'
  | 'edit-service'
  | 'delete-service'
  | 'flush'
  | 'restore'
  | 'save'
  | 'add-server'
  | 'edit-server'
  | 'delete-server'
  | 'list'
  | 'zero'
  | 'set'
  | 'start-daemon'
  | 'stop-daemon';

/**
 * Options by the names that messages give them, in the order in which the rules look at them: of two mistakes the one
 * named first here is reported.
 */
export const OPTION_NAMES = [
  'numeric',
  'connection',
  'service-address',
  'scheduler',
  'persistent',
  'netmask',
  'real-server',
  'forwarding-method',
  'weight',
  'u-threshold',
  'l-threshold',
  'mcast-interface',
  'timeout',
  'daemon',
  'stats',
  'rate',
  'thresholds',
  'persistent-conn',
  'nosort',
  'syncid',
  'exact',
  'ops',
  'pe',
  'sched-flags',
  'mcast-group',
  'mcast-port',
  'mcast-ttl',
  'sync-maxlen',
  'tun-info',
  'tun-type',
  'tun-port',
  'tun-nocsum',
  'tun-csum',
  'tun-remcsum',
] as const;

export type OptionName = (typeof OPTION_NAMES)[number];

/** How a command takes an option; of the `exclusive` ones it takes one at most. Absent means refused. */
export type Use = 'needed' | 'allowed' | 'exclusive';
export type Uses = Partial<Record<OptionName, Use>>;

const SERVICE_OPTIONS: Uses = {
  'service-address': 'needed',
  scheduler: 'allowed',
  persistent: 'allowed',
  netmask: 'allowed',
  ops: 'allowed',
  pe: 'allowed',
  'sched-flags': 'allowed',
};

const SERVER_OPTIONS: Uses = {
  'service-address': 'needed',
  'real-server': 'needed',
  'forwarding-method': 'allowed',
  weight: 'allowed',
  'u-threshold': 'allowed',
  'l-threshold': 'allowed',
  'tun-type': 'allowed',
  'tun-port': 'allowed',
  'tun-nocsum': 'allowed',
  'tun-csum': 'allowed',
  'tun-remcsum': 'allowed',
};

/** What each command takes. */
export const COMMAND_OPTIONS: Readonly<Record<CommandName, Uses>> = {
  'add-service': SERVICE_OPTIONS,
  'edit-service': SERVICE_OPTIONS,
  'delete-service': { 'service-address': 'needed' },
  flush: {},
  restore: {},
  save: { numeric: 'allowed' },
  'add-server': SERVER_OPTIONS,
  'edit-server': SERVER_OPTIONS,
  'delete-server': { 'service-address': 'needed', 'real-server': 'needed' },
  list: {
    numeric: 'allowed',
    connection: 'exclusive',
    'service-address': 'exclusive',
    timeout: 'exclusive',
    daemon: 'exclusive',
    stats: 'allowed',
    rate: 'allowed',
    thresholds: 'allowed',
    'persistent-conn': 'allowed',
    nosort: 'allowed',
    syncid: 'allowed',
    exact: 'allowed',
    'tun-info': 'allowed',
  },
  zero: { 'service-address': 'allowed' },
  set: {},
  'start-daemon': {
    'mcast-interface': 'allowed',
    syncid: 'allowed',
    'mcast-group': 'allowed',
    'mcast-port': 'allowed',
    'mcast-ttl': 'allowed',
    'sync-maxlen': 'allowed',
  },
  'stop-daemon': { syncid: 'allowed' },
};

/** What each tunnel type takes; the options about checksums exclude one another. */
export const TUNNEL_OPTIONS: Readonly<Record<'ipip' | 'gue' | 'gre', Uses>> = {
  ipip: { 'tun-type': 'allowed' },
  gue: {
    'tun-type': 'allowed',
    'tun-port': 'needed',
    'tun-nocsum': 'exclusive',
    'tun-csum': 'exclusive',
    'tun-remcsum': 'exclusive',
  },
  gre: { 'tun-type': 'allowed', 'tun-nocsum': 'exclusive', 'tun-csum': 'exclusive' },
};

/** Names of what stands on the command line, where one option of the rules has several spellings. */
export type WordName =
  | CommandName
  | Exclude<OptionName, 'service-address' | 'forwarding-method'>
  | 'tcp-service'
  | 'udp-service'
  | 'sctp-service'
  | 'fwmark-service'
  | 'gatewaying'
  | 'masquerading'
  | 'ipip'
  | 'fullnat'
  | 'ipv6'
  | 'sort'
  | 'help'
  | 'version';

const word = (name: WordName, value: PoptValue, short?: string, long: string = name): PoptOption<WordName> =>
  short === undefined ? { name, long, value } : { name, long, short, value };

/** The spelling of everything. */
export const WORDS: readonly PoptOption<WordName>[] = [
  word('add-service', 'none', 'A'),
  word('edit-service', 'none', 'E'),
  word('delete-service', 'none', 'D'),
  word('flush', 'none', 'C', 'clear'),
  word('restore', 'none', 'R'),
  word('save', 'none', 'S'),
  word('add-server', 'none', 'a'),
  word('edit-server', 'none', 'e'),
  word('delete-server', 'none', 'd'),
  word('list', 'none', 'Ll'),
  word('zero', 'none', 'Z'),
  word('set', 'none'),
  word('start-daemon', 'required'),
  word('stop-daemon', 'required'),
  word('help', 'none', 'h'),
  word('version', 'none', 'v'),
  word('tcp-service', 'required', 't'),
  word('udp-service', 'required', 'u'),
  word('sctp-service', 'required'),
  word('fwmark-service', 'required', 'f'),
  word('ipv6', 'none', '6'),
  word('scheduler', 'required', 's'),
  word('pe', 'required'),
  word('persistent', 'optional', 'p'),
  word('netmask', 'required', 'M'),
  word('real-server', 'required', 'r'),
  word('gatewaying', 'none', 'g'),
  word('ipip', 'none', 'i'),
  word('masquerading', 'none', 'm'),
  // Our own: ipvsadm has no word for it.
  word('fullnat', 'none'),
  word('tun-type', 'required'),
  word('tun-port', 'required'),
  word('tun-nocsum', 'none'),
  word('tun-csum', 'none'),
  word('tun-remcsum', 'none'),
  word('weight', 'required', 'w'),
  word('u-threshold', 'required', 'x'),
  word('l-threshold', 'required', 'y'),
  word('connection', 'none', 'c'),
  word('timeout', 'none'),
  word('daemon', 'none'),
  word('stats', 'none'),
  word('rate', 'none'),
  word('exact', 'none', 'X'),
  word('thresholds', 'none'),
  word('persistent-conn', 'none'),
  word('tun-info', 'none'),
  word('nosort', 'none'),
  word('sort', 'none'),
  word('ops', 'none', 'o'),
  word('numeric', 'none', 'n'),
  word('sched-flags', 'required', 'b'),
  word('syncid', 'required'),
  word('sync-maxlen', 'required'),
  word('mcast-interface', 'required'),
  word('mcast-group', 'required'),
  word('mcast-port', 'required'),
  word('mcast-ttl', 'required'),
];

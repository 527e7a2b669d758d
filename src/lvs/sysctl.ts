// SPDX-License-Identifier: Apache-2.0
// The settings of net.ipv4.vs that mean something to the director, with the kernel's names and defaults
// (Documentation/networking/ipvs-sysctl.rst), and why the others mean nothing. Read on the hot path as plain numbers;
// several are set at once, all or none.

import { LvsError } from './model.ts';

interface Definition {
  /** Name under net.ipv4.vs. */
  readonly name: string;
  readonly initial: number;
  readonly least: number;
  readonly most: number;
}

const INT_MAX = 0x7fffffff;

const flag = (name: string, initial = 0): Definition => ({ name, initial, least: 0, most: 1 });
const range = (name: string, initial: number, least: number, most: number): Definition => ({
  name,
  initial,
  least,
  most,
});

const DEFINITIONS = {
  amDroprate: range('am_droprate', 10, 0, INT_MAX),
  amemthresh: range('amemthresh', 1024, 1, INT_MAX),
  cacheBypass: flag('cache_bypass'),
  connReuseMode: range('conn_reuse_mode', 1, 0, 3),
  dropEntry: range('drop_entry', 0, 0, 3),
  dropPacket: range('drop_packet', 0, 0, 3),
  expireNodestConn: flag('expire_nodest_conn'),
  expireQuiescentTemplate: flag('expire_quiescent_template'),
  lblcExpiration: range('lblc_expiration', 86400, 0, INT_MAX / 1000),
  lblcrExpiration: range('lblcr_expiration', 86400, 0, INT_MAX / 1000),
  natIcmpSend: flag('nat_icmp_send'),
  pmtuDisc: flag('pmtu_disc', 1),
  runEstimation: flag('run_estimation', 1),
  secureTcp: range('secure_tcp', 0, 0, 3),
  sloppySctp: flag('sloppy_sctp'),
  sloppyTcp: flag('sloppy_tcp'),
} as const satisfies Record<string, Definition>;

type SysctlField = keyof typeof DEFINITIONS;

const FIELDS = Object.keys(DEFINITIONS) as SysctlField[];

const NO_SYNC = 'connection synchronisation is not there yet';
const OWN_RATES = 'the engine computes its rates itself, every 2 s';
const OWN_TABLE = 'the tables of the engine find their size by themselves';

/** Names that the kernel has and the director has no use for, each with the reason. */
const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  backup_only: NO_SYNC,
  conn_lfactor: OWN_TABLE,
  conntrack: 'packets of services never come to the connection tracking of the kernel',
  debug_level: "the engine logs no packets; 'ballast status' counts them by verdict",
  est_cpulist: OWN_RATES,
  est_nice: OWN_RATES,
  ignore_tunneled: 'the engine leaves everything but TCP, UDP and SCTP to the kernel as it is',
  schedule_icmp: 'ICMP messages are still left to the kernel',
  snat_reroute: 'answers always take the route of the director itself',
  svc_lfactor: OWN_TABLE,
  sync_persist_mode: NO_SYNC,
  sync_ports: NO_SYNC,
  sync_qlen_max: NO_SYNC,
  sync_refresh_period: NO_SYNC,
  sync_retries: NO_SYNC,
  sync_sock_size: NO_SYNC,
  sync_threshold: NO_SYNC,
  sync_version: NO_SYNC,
};

/** Names that can be set, in the order of listings. */
export const SYSCTL_NAMES: readonly string[] = FIELDS.map((field) => DEFINITIONS[field].name);

/** Names that the kernel has but that cannot be set here. */
export const SYSCTLS_WITHOUT_EFFECT: readonly string[] = Object.keys(WITHOUT_EFFECT);

/** Why there is no setting of that name: EOPNOTSUPP for one that only the kernel has, ENOENT for one that nobody has. */
export function refuseSysctl(name: string): LvsError {
  if (Object.hasOwn(WITHOUT_EFFECT, name)) {
    return new LvsError('EOPNOTSUPP', `net.ipv4.vs.${name} has no effect here: ${WITHOUT_EFFECT[name]}`);
  }
  return new LvsError('ENOENT', `no sysctl 'net.ipv4.vs.${name}': there are ${SYSCTL_NAMES.join(', ')}`);
}

export class Sysctls {
  /** One number for each; the director alone writes here, beside {@link set}. */
  readonly values: Record<SysctlField, number> = Object.fromEntries(
    FIELDS.map((field) => [field, DEFINITIONS[field].initial]),
  ) as Record<SysctlField, number>;

  /** Sets all of `values`, by name, or none. @throws LvsError of {@link refuseSysctl}, EINVAL for a value out of range. */
  set(values: Readonly<Record<string, number>>): void {
    const checked = Object.entries(values).map(([name, value]) => [checkedField(name, value), value] as const);
    for (const [field, value] of checked) this.values[field] = value;
  }

  /** Values by their kernel names. */
  snapshot(): Record<string, number> {
    return Object.fromEntries(FIELDS.map((field) => [DEFINITIONS[field].name, this.values[field]]));
  }
}

function checkedField(name: string, value: number): SysctlField {
  const field = FIELDS.find((candidate) => DEFINITIONS[candidate].name === name);
  if (field === undefined) throw refuseSysctl(name);
  const { least, most } = DEFINITIONS[field];
  if (Number.isInteger(value) && value >= least && value <= most) return field;
  throw new LvsError('EINVAL', `net.ipv4.vs.${name} takes ${least} … ${Math.floor(most)}, not ${value}`);
}

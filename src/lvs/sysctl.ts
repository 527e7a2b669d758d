// SPDX-License-Identifier: Apache-2.0
// The settings of net.ipv4.vs that mean something to the director, with the kernel's names and defaults
// (Documentation/networking/ipvs-sysctl.rst). Read on the hot path as plain numbers; set one at a time, checked first.

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

/** Names that can be set, in the order of listings. */
export const SYSCTL_NAMES: readonly string[] = FIELDS.map((field) => DEFINITIONS[field].name);

export class Sysctls {
  /** One number for each; the director alone writes here, beside {@link set}. */
  readonly values: Record<SysctlField, number> = Object.fromEntries(
    FIELDS.map((field) => [field, DEFINITIONS[field].initial]),
  ) as Record<SysctlField, number>;

  /** @throws LvsError ENOENT for a name that means nothing here, EINVAL for a value out of range. */
  set(name: string, value: number): void {
    const field = FIELDS.find((candidate) => DEFINITIONS[candidate].name === name);
    if (field === undefined) {
      throw new LvsError('ENOENT', `sysctl 'net.ipv4.vs.${name}' has no meaning here: ${SYSCTL_NAMES.join(', ')} have`);
    }
    const { least, most } = DEFINITIONS[field];
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new LvsError('EINVAL', `net.ipv4.vs.${name} takes ${least} … ${Math.floor(most)}, not ${value}`);
    }
    this.values[field] = value;
  }

  /** Values by their kernel names. */
  snapshot(): Record<string, number> {
    return Object.fromEntries(FIELDS.map((field) => [DEFINITIONS[field].name, this.values[field]]));
  }
}

// SPDX-License-Identifier: Apache-2.0
// Settings: every name that a kernel has is taken or refused with a reason, and several are set together or not at all.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SYSCTL_NAMES, SYSCTLS_WITHOUT_EFFECT, Sysctls } from './sysctl.ts';

/** net.ipv4.vs of a kernel 6.1 with all of IPVS, as captured; sync_qlen_max is a share of its memory. */
const KERNEL: Readonly<Record<string, number | string>> = {
  am_droprate: 10,
  amemthresh: 1024,
  backup_only: 0,
  cache_bypass: 0,
  conn_reuse_mode: 1,
  conntrack: 0,
  debug_level: 0,
  drop_entry: 0,
  drop_packet: 0,
  expire_nodest_conn: 0,
  expire_quiescent_template: 0,
  ignore_tunneled: 0,
  lblc_expiration: 86400,
  lblcr_expiration: 86400,
  nat_icmp_send: 0,
  pmtu_disc: 1,
  run_estimation: 1,
  schedule_icmp: 0,
  secure_tcp: 0,
  sloppy_sctp: 0,
  sloppy_tcp: 0,
  snat_reroute: 1,
  sync_persist_mode: 0,
  sync_ports: 1,
  sync_qlen_max: 'memory',
  sync_refresh_period: 0,
  sync_retries: 0,
  sync_sock_size: 0,
  sync_threshold: '3 50',
  sync_version: 1,
};

test('what can be set begins with the value that it has in a kernel', () => {
  const values = new Sysctls().snapshot();
  assert.deepEqual(Object.keys(values), SYSCTL_NAMES);
  for (const [name, value] of Object.entries(values)) assert.equal(value, KERNEL[name], name);
});

test('every name of a kernel can be set, or says why it has no effect', () => {
  for (const name of Object.keys(KERNEL)) {
    const isKnown = SYSCTL_NAMES.includes(name);
    assert.notEqual(isKnown, SYSCTLS_WITHOUT_EFFECT.includes(name), name);
    const set = (): void => new Sysctls().set({ [name]: 1 });
    if (isKnown) set();
    else
      assert.throws(set, {
        code: 'EOPNOTSUPP',
        message: new RegExp(`^net\\.ipv4\\.vs\\.${name} has no effect here: .{20}`),
      });
  }
});

test('of several settings all are taken or none', () => {
  const sysctls = new Sysctls();
  sysctls.set({ drop_entry: 3, am_droprate: 7 });
  assert.deepEqual([sysctls.values.dropEntry, sysctls.values.amDroprate], [3, 7]);
  const before = sysctls.snapshot();
  const refused: readonly [Record<string, number>, string][] = [
    [{ sloppy_tcp: 1, drop_entry: 4 }, 'EINVAL'],
    [{ sloppy_tcp: 1, am_droprate: -1 }, 'EINVAL'],
    [{ sloppy_tcp: 1, amemthresh: 1.5 }, 'EINVAL'],
    [{ sloppy_tcp: 1, cache_bypass: Number.NaN }, 'EINVAL'],
    [{ sloppy_tcp: 1, conntrack: 1 }, 'EOPNOTSUPP'],
    [{ sloppy_tcp: 1, speed: 1 }, 'ENOENT'],
    [{ sloppy_tcp: 1, constructor: 1 }, 'ENOENT'],
  ];
  for (const [values, code] of refused) assert.throws(() => sysctls.set(values), { name: 'LvsError', code });
  assert.deepEqual(sysctls.snapshot(), before);
});

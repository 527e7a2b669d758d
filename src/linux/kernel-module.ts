// SPDX-License-Identifier: Apache-2.0
// Kernel modules that nothing loads by itself. Most come when a device or a socket asks for them.

import { spawnSync } from 'node:child_process';

/** Asks modprobe(8) for a module. Whether it is there afterwards shows when it is used. */
export function loadModule(name: string): void {
  spawnSync('modprobe', ['--quiet', name], {
    stdio: 'ignore',
    env: { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` },
  });
}

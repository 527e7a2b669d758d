// SPDX-License-Identifier: Apache-2.0
// `node dist/scripts/install.js [PROGRAM …]`: installs the Debian packages of the named programs, or of all that the
// tests use. Called by .ci/run. Exits 1 when something is still missing.

import { installPrograms } from './debian.ts';
import { type Program, packagesOf, TEST_PROGRAMS } from './packages.ts';

const names = process.argv.slice(2) as Program[];
const unknown = names.filter((name) => packagesOf(name) === undefined);
if (unknown.length > 0) {
  console.error(`no Debian package is known for: ${unknown.join(', ')}`);
  process.exitCode = 1;
} else {
  const missing = installPrograms(names.length > 0 ? names : TEST_PROGRAMS, console.log);
  if (missing.length > 0) process.exitCode = 1;
}

// SPDX-License-Identifier: Apache-2.0
// A command line that makes no sense, as all commands but ipvsadm report it: printed as one line, exit status 2.

export class UsageError extends Error {
  readonly code = 'BALLAST_USAGE';
}

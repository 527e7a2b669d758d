// SPDX-License-Identifier: Apache-2.0
// What ipvsadm says when something is wrong, byte for byte, with the exit status that goes with it. The texts of
// refused changes are those that libipvs has for the kernel's errno, which depend on what was asked for.

import type { Change } from '../../dataplane/dataplane.ts';
import type { LvsErrorCode } from '../../lvs/model.ts';

/** The command line is wrong. */
export class ArgumentError extends Error {
  readonly status: number;
  /** Whether `ipvsadm -R` stops at a line with this mistake; libpopt's own complaints let it go on. */
  readonly stopsRestore: boolean;

  constructor(message: string, status: 2 | 255 = 2, stopsRestore = true) {
    super(message);
    this.name = 'ArgumentError';
    this.status = status;
    this.stopsRestore = stopsRestore;
  }
}

/** The command line is right but asks for what Ballast cannot do. */
export class UnsupportedArgument extends Error {}

/** What is printed when there is no command or an unknown one. */
export function tryHelp(): ArgumentError {
  return new ArgumentError("Try `ipvsadm -h' or 'ipvsadm --help' for more information.", 255);
}

export const VERSION_TEXT = 'ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\n';

const NO_SERVICE = 'No such service';
const INVALID = 'Invalid operation.  Possibly wrong module version, address not unicast, ...';

const COMMON: Readonly<Record<Exclude<LvsErrorCode, 'EOPNOTSUPP'>, string>> = {
  EEXIST: 'File exists',
  ENOENT: 'No such file or directory',
  ESRCH: NO_SERVICE,
  EINVAL: INVALID,
  ERANGE: 'Numerical result out of range',
  ENOMEM: 'Memory allocation problem',
  EAFNOSUPPORT: 'Operation not supported with specified address family',
};

const SERVICE: Partial<Record<LvsErrorCode, string>> = {
  EEXIST: 'Service already exists',
  ENOENT: 'Scheduler or persistence engine not found',
};

const SERVER: Partial<Record<LvsErrorCode, string>> = {
  EEXIST: 'Destination already exists',
  ENOENT: 'No such destination',
  ESRCH: 'Service not defined',
};

const BY_CHANGE: Partial<Record<Change['type'], Partial<Record<LvsErrorCode, string>>>> = {
  'add-service': SERVICE,
  'edit-service': SERVICE,
  'add-server': SERVER,
  'edit-server': SERVER,
  'delete-server': SERVER,
};

/** Text for a change that the director refused with `code`. */
export function refusalText(code: Exclude<LvsErrorCode, 'EOPNOTSUPP'>, change: Change['type']): string {
  return BY_CHANGE[change]?.[code] ?? COMMON[code];
}

/** Text for the listing of a service that does not exist. */
export const NO_SUCH_SERVICE = NO_SERVICE;

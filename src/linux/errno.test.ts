// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { constants } from 'node:os';
import test from 'node:test';
import { errnoName, SysError } from './errno.ts';

test('an errno with two names has the one that Linux people know', () => {
  assert.equal(errnoName(constants.errno.EAGAIN), 'EAGAIN');
  assert.equal(errnoName(constants.errno.EOPNOTSUPP), 'EOPNOTSUPP');
  assert.equal(errnoName(constants.errno.EPERM), 'EPERM');
  assert.equal(errnoName(4095), 'errno 4095');
});

test('a failed call says what failed, on what, and what to do', () => {
  const error = new SysError('bpf', constants.errno.EPERM, "load program 'x'", 'run as root');
  assert.equal(error.message, "bpf: EPERM (load program 'x'): run as root");
});

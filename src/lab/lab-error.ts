// SPDX-License-Identifier: Apache-2.0
// Why a lab cannot start or go on, in words for the person at the terminal. lab.ts prints the message and exits 1.

export class LabError extends Error {
  readonly code = 'BALLAST_LAB';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LabError';
  }
}

// SPDX-License-Identifier: Apache-2.0
// none: the service has no scheduler, so that it opens no connections; what it has goes on.

import type { Server } from '../service/server.ts';
import type { Scheduler } from './scheduler.ts';

export class None implements Scheduler {
  readonly name = 'none';

  pick(): Server | undefined {
    return undefined;
  }

  added(): void {}

  removed(): void {}

  edited(): void {}
}

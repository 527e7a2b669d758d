// SPDX-License-Identifier: Apache-2.0
// Network namespaces that live as long as a test, however it ends. Requires root.

import type { TestContext } from 'node:test';
import { createNamespace, removeNamespace } from '../../src/linux/netns.ts';
import { changeLink } from '../../src/linux/route/link.ts';
import { openRouteSocket } from '../../src/linux/route/route-socket.ts';

let count = 0;

/** Makes a namespace with its loopback device up and returns its name. It goes away after the test. */
export function temporaryNamespace(context: TestContext, label: string): string {
  const name = `blst-t${process.pid}-${count++}-${label}`;
  createNamespace(name);
  context.after(() => removeNamespace(name));
  const socket = openRouteSocket(name);
  try {
    changeLink(socket, 'lo', { up: true });
  } finally {
    socket.close();
  }
  return name;
}

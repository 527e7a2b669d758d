// SPDX-License-Identifier: Apache-2.0
// Carries one command out on a data plane and returns the exit status. What the director refuses becomes the kernel's
// text; an unreachable daemon throws. Called by run.ts and, for each line, by restore.ts.

import type { Change, DataPlane } from '../../dataplane/dataplane.ts';
import { LvsError, type ServiceKey, type ServiceSnapshot } from '../../lvs/model.ts';
import { formatServiceKey } from '../../lvs/service-key.ts';
import type { Address } from '../../packet/address.ts';
import type { Command } from './command.ts';
import { connectionRow, connectionsHeader } from './format-connections.ts';
import { formatListing, formatVersion } from './format-listing.ts';
import { formatSave } from './format-save.ts';
import { type Label, namedLabel, numericLabel } from './labels.ts';
import { NO_SUCH_SERVICE, refusalText, VERSION_TEXT } from './messages.ts';
import type { Names } from './names.ts';

/** Exit status of a change that the kernel would refuse. */
export const REFUSED = 255;
/** Exit status of something that Ballast cannot do. */
export const UNSUPPORTED = 2;
const NOT_LISTED = 1;

/** What a command works with. */
export interface Session {
  /** Connects when it is first called. */
  readonly dataplane: () => Promise<DataPlane>;
  readonly names: Names;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

/** Does what `command` says; restoring is not done here. */
export async function execute(command: Exclude<Command, { type: 'restore' }>, session: Session): Promise<number> {
  switch (command.type) {
    case 'change':
      return await applyChange(command.change, session);
    case 'list': {
      const { tableSize, services } = await (await session.dataplane()).snapshot();
      const listed = command.service === undefined ? services : servicesOf(services, command.service);
      if (command.service !== undefined && listed.length === 0) {
        session.stderr(`${NO_SUCH_SERVICE}\n`);
        return NOT_LISTED;
      }
      const label = await labelFor(addressesOf(listed), command.format.numeric, session.names);
      const title = command.service === undefined ? formatVersion(tableSize) : '';
      session.stdout(title + formatListing(listed, command.format, label));
      return 0;
    }
    case 'list-connections':
      return await listConnections(command.numeric, command.withEngine, session);
    case 'list-timeouts': {
      const { tcp, tcpFin, udp } = (await (await session.dataplane()).snapshot()).timeouts;
      session.stdout(`Timeout (tcp tcpfin udp): ${tcp} ${tcpFin} ${udp}\n`);
      return 0;
    }
    case 'list-daemon':
      return 0; // none runs, and the original then prints nothing
    case 'save': {
      const { services } = await (await session.dataplane()).snapshot();
      session.stdout(formatSave(services, await labelFor(addressesOf(services), command.numeric, session.names)));
      return 0;
    }
    case 'start-daemon':
    case 'stop-daemon':
      session.stderr('ipvsadm: connection synchronisation is not supported: Ballast has no sync daemon\n');
      return UNSUPPORTED;
    case 'help': {
      const { HELP_TEXT } = await import('./help.ts');
      session.stdout(VERSION_TEXT + HELP_TEXT);
      return 0;
    }
    case 'version':
      session.stdout(VERSION_TEXT);
      return 0;
  }
}

async function applyChange(change: Change, session: Session): Promise<number> {
  const dataplane = await session.dataplane();
  try {
    await dataplane.apply(change);
    return 0;
  } catch (error) {
    if (!(error instanceof LvsError)) throw error;
    if (error.code === 'EOPNOTSUPP') {
      session.stderr(`ipvsadm: ${error.message}\n`);
      return UNSUPPORTED;
    }
    session.stderr(`${refusalText(error.code, change.type)}\n`);
    return REFUSED;
  }
}

async function listConnections(numeric: boolean, withEngine: boolean, session: Session): Promise<number> {
  const dataplane = await session.dataplane();
  let text = connectionsHeader(withEngine);
  for (let cursor = 0; cursor !== -1; ) {
    const { entries, next } = await dataplane.connections(cursor);
    const addresses = entries.flatMap((entry) => [
      entry.client.address,
      entry.virtual.address,
      entry.destination.address,
    ]);
    const label = await labelFor(addresses, numeric, session.names);
    for (const entry of entries) text += connectionRow(entry, withEngine, label);
    session.stdout(text);
    text = '';
    cursor = next;
  }
  return 0;
}

async function labelFor(addresses: readonly Address[], numeric: boolean, names: Names): Promise<Label> {
  return numeric ? numericLabel : await namedLabel(addresses, names);
}

function addressesOf(services: readonly ServiceSnapshot[]): Address[] {
  return services.flatMap(({ key, servers }) => [
    ...(key.kind === 'address' ? [key.address] : []),
    ...servers.map((server) => server.address),
  ]);
}

function servicesOf(services: readonly ServiceSnapshot[], key: ServiceKey): ServiceSnapshot[] {
  const wanted = formatServiceKey(key);
  return services.filter((service) => formatServiceKey(service.key) === wanted);
}

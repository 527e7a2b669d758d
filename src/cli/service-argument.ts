// SPDX-License-Identifier: Apache-2.0
// How commands name a service and a server: with ipvsadm's options (-t, -u, --sctp-service, -f, -6, -r, names of hosts and
// ports included), or in one word as the API does (`tcp:10.0.0.1:80`). Called by the commands that take them.

import type { Protocol, ServerKey, ServiceKey } from '../lvs/model.ts';
import { parseServiceKey } from '../lvs/service-key.ts';
import { parseHostPort } from './ipvsadm/address-argument.ts';
import { type Names, systemNames } from './ipvsadm/names.ts';
import { UsageError } from './usage-error.ts';

/** For node:util parseArgs. */
export const SERVICE_OPTIONS = {
  'tcp-service': { type: 'string', short: 't' },
  'udp-service': { type: 'string', short: 'u' },
  'sctp-service': { type: 'string' },
  'fwmark-service': { type: 'string', short: 'f' },
  ipv6: { type: 'boolean', short: '6' },
} as const;

/** What parseArgs makes of {@link SERVICE_OPTIONS}. */
export interface ServiceValues {
  readonly 'tcp-service'?: string | undefined;
  readonly 'udp-service'?: string | undefined;
  readonly 'sctp-service'?: string | undefined;
  readonly 'fwmark-service'?: string | undefined;
  readonly ipv6?: boolean | undefined;
}

const MAX_MARK = 0xffffffff;

/**
 * The service that the options name, or else the first of `words`, which is taken out. Throws a {@link UsageError} that
 * says how to name one.
 */
export async function takeService(
  values: ServiceValues,
  words: string[],
  names: Names = systemNames(),
): Promise<ServiceKey> {
  const { 'tcp-service': tcp, 'udp-service': udp, 'sctp-service': sctp, 'fwmark-service': mark, ipv6 } = values;
  const given = [tcp, udp, sctp, mark].filter((value) => value !== undefined);
  if (given.length > 1) throw new UsageError('name one service, not several');
  if (ipv6 === true && mark === undefined) throw new UsageError('-6 goes with -f');
  if (tcp !== undefined) return await virtualService('tcp', tcp, names);
  if (udp !== undefined) return await virtualService('udp', udp, names);
  if (sctp !== undefined) return await virtualService('sctp', sctp, names);
  if (mark !== undefined) {
    if (!/^[1-9]\d{0,9}$/.test(mark) || Number(mark) > MAX_MARK) throw new UsageError(`'${mark}' is no firewall mark`);
    return { kind: 'fwmark', mark: Number(mark), family: ipv6 === true ? 6 : 4 };
  }
  const word = words.shift();
  if (word === undefined) throw new UsageError('name a service: -t ADDRESS:PORT, or tcp:ADDRESS:PORT');
  const key = parseServiceKey(word);
  if (key === undefined) throw new UsageError(`'${word}' is no service such as tcp:10.0.0.1:80 or fwm:7`);
  return key;
}

/** The server that `-r` names, or else the first of `words`, which is taken out; without a port it has the service's. */
export async function takeServer(
  option: string | undefined,
  words: string[],
  service: ServiceKey,
  names: Names = systemNames(),
): Promise<ServerKey> {
  const text = option ?? words.shift();
  if (text === undefined) throw new UsageError('name a server: -r ADDRESS:PORT, or ADDRESS:PORT');
  const isMark = service.kind === 'fwmark';
  const found = await parseHostPort(text, isMark ? 'tcp' : service.protocol, names);
  if (found === undefined) throw new UsageError(`'${text}' is no server such as 10.0.0.2:8080`);
  return { address: found.address, port: found.port ?? (isMark ? 0 : service.port) };
}

/** Nothing may be left of the words of a command line. */
export function refuseWords(words: readonly string[]): void {
  if (words.length > 0) throw new UsageError(`unexpected argument '${words[0]}'`);
}

async function virtualService(protocol: Protocol, text: string, names: Names): Promise<ServiceKey> {
  const found = await parseHostPort(text, protocol, names);
  if (found === undefined) throw new UsageError(`'${text}' is no virtual address such as 10.0.0.1:80`);
  return { kind: 'address', protocol, address: found.address, port: found.port ?? 0 };
}

// SPDX-License-Identifier: Apache-2.0
// The options of `ballast tune`, as a change of a service's tuning, and a tuning as people read it. Pure.

import { SCTP_STATE_NAMES } from '../lvs/connection/sctp-state.ts';
import { TCP_STATE_NAMES } from '../lvs/connection/tcp-state.ts';
import type { ServiceKey, ServiceTuning, TuningPatch } from '../lvs/model.ts';
import { formatTable } from './text-table.ts';
import { UsageError } from './usage-error.ts';

/** For node:util parseArgs. */
export const TUNE_OPTIONS = {
  timeout: { type: 'string', multiple: true },
  'fresh-syn': { type: 'string' },
  'quiesce-ends-affinity': { type: 'string' },
  'hash-skips-quiesced': { type: 'string' },
  'slow-start': { type: 'string' },
  'local-pool': { type: 'string' },
  'client-address': { type: 'string' },
  quic: { type: 'string' },
  'quic-id': { type: 'string', multiple: true },
  reset: { type: 'boolean' },
} as const;

/** What parseArgs makes of {@link TUNE_OPTIONS}. */
export interface TuneValues {
  readonly timeout?: readonly string[] | undefined;
  readonly 'fresh-syn'?: string | undefined;
  readonly 'quiesce-ends-affinity'?: string | undefined;
  readonly 'hash-skips-quiesced'?: string | undefined;
  readonly 'slow-start'?: string | undefined;
  readonly 'local-pool'?: string | undefined;
  readonly 'client-address'?: string | undefined;
  readonly quic?: string | undefined;
  readonly 'quic-id'?: readonly string[] | undefined;
}

type Seconds = number | null;
type Kind = 'tcp' | 'sctp' | 'udp';

const STATES: Readonly<Record<Kind, readonly string[]>> = {
  tcp: TCP_STATE_NAMES,
  sctp: SCTP_STATE_NAMES,
  udp: ['UDP'],
};

/** What the options change for the service of `key`; what they do not name is not in it. Throws a {@link UsageError}. */
export function readTuning(values: TuneValues, key: ServiceKey): TuningPatch {
  const freshSyn = readSwitch('fresh-syn', values['fresh-syn']);
  const quiesceEndsAffinity = readSwitch('quiesce-ends-affinity', values['quiesce-ends-affinity']);
  const hashSkipsQuiesced = readSwitch('hash-skips-quiesced', values['hash-skips-quiesced']);
  const slowStart = values['slow-start'];
  return {
    ...(values.timeout !== undefined && { timeouts: readTimeouts(values.timeout, key) }),
    ...(freshSyn !== undefined && { freshSyn }),
    ...(quiesceEndsAffinity !== undefined && { quiesceEndsAffinity }),
    ...(hashSkipsQuiesced !== undefined && { hashSkipsQuiesced }),
    ...(slowStart !== undefined && { slowStartSeconds: readSeconds(`--slow-start '${slowStart}'`, slowStart) }),
    ...readPool(values['local-pool']),
    ...readClientAddress(values['client-address']),
    ...readQuic(values.quic, values['quic-id']),
  };
}

/** A tuning as a table: every mode, and the timeouts that the service has of its own. */
export function formatTuning(tuning: ServiceTuning, key: ServiceKey): string {
  const onOff = (value: boolean | undefined): string => (value === true ? 'on' : 'off');
  const { slowStartSeconds = 0, timeouts = {} } = tuning;
  // On a mark only the protocol tells ESTABLISHED of TCP from that of SCTP.
  const label = (kind: Kind, state: string): string =>
    key.kind === 'fwmark' && kind !== 'udp' ? `timeout ${kind}:${state}` : `timeout ${state}`;
  const states = (kind: 'tcp' | 'sctp'): string[][] =>
    Object.entries(timeouts[kind] ?? {}).map(([state, seconds]) => [label(kind, state), `${seconds} s`]);
  return formatTable(
    [
      ['fresh-syn', onOff(tuning.freshSyn)],
      ['quiesce-ends-affinity', onOff(tuning.quiesceEndsAffinity)],
      ['hash-skips-quiesced', onOff(tuning.hashSkipsQuiesced)],
      ['slow-start', slowStartSeconds === 0 ? 'off' : `${slowStartSeconds} s`],
      ...(tuning.localPool === undefined ? [] : [['local-pool', tuning.localPool]]),
      ...(tuning.clientAddress === undefined ? [] : [['client-address', formatClientAddress(tuning)]]),
      ...(tuning.quic === undefined ? [] : [['quic', tuning.quic.encoding]]),
      ...Object.entries(tuning.quic?.ids ?? {}).map(([server, id]) => [`quic-id ${server}`, id]),
      ...states('tcp'),
      ...states('sctp'),
      ...(timeouts.udp === undefined ? [] : [[label('udp', 'UDP'), `${timeouts.udp} s`]]),
    ],
    0,
  );
}

function readPool(name: string | undefined): TuningPatch {
  if (name === undefined) return {};
  if (!/^[\w.-]{1,64}$/.test(name))
    throw new UsageError(`--local-pool takes a name of letters, digits, _ . -, not '${name}'`);
  return { localPool: name === 'default' ? null : name };
}

/** `quic-lb`, `quic-lb:SERVER-ID-LENGTH`, `katran`, `dpvs` or `off`; ids as `SERVER=ID`, an empty one takes it back. */
function readQuic(text: string | undefined, ids: readonly string[] = []): TuningPatch {
  if (text === 'off') {
    if (ids.length > 0) throw new UsageError('--quic off forgets the ids too: leave --quic-id out');
    return { quic: null };
  }
  const match = text === undefined ? [] : /^(quic-lb|katran|dpvs)(?::(\d{1,2}))?$/.exec(text);
  if (match === null) {
    throw new UsageError(`--quic takes off, quic-lb, quic-lb:SERVER-ID-LENGTH, katran or dpvs, not '${text}'`);
  }
  const [, encoding, length] = match;
  const entries = ids.map((one): [string, string | null] => {
    const at = one.lastIndexOf('=');
    if (at <= 0) throw new UsageError(`--quic-id takes SERVER=ID, not '${one}'`);
    return [one.slice(0, at), at === one.length - 1 ? null : one.slice(at + 1)];
  });
  if (encoding === undefined && entries.length === 0) return {};
  return {
    quic: {
      ...(encoding !== undefined && { encoding: encoding as 'quic-lb' }),
      ...(length !== undefined && { serverIdLength: Number(length) }),
      ...(entries.length > 0 && { ids: Object.fromEntries(entries) }),
    },
  };
}

/** `toa`, `toa:KIND`, `proxy-v1`, `proxy-v2` or `off`. */
function readClientAddress(text: string | undefined): TuningPatch {
  switch (text) {
    case undefined:
      return {};
    case 'off':
      return { clientAddress: null, toaKind: null };
    case 'toa':
    case 'proxy-v1':
    case 'proxy-v2':
      return { clientAddress: text, toaKind: null };
  }
  const kind = /^toa:(\d{1,3})$/.exec(text)?.[1];
  if (kind !== undefined && Number(kind) >= 2 && Number(kind) <= 255) {
    return { clientAddress: 'toa', toaKind: Number(kind) };
  }
  throw new UsageError(`--client-address takes off, toa, toa:KIND (2 to 255), proxy-v1 or proxy-v2, not '${text}'`);
}

function formatClientAddress({ clientAddress, toaKind }: ServiceTuning): string {
  return clientAddress === 'toa' && toaKind !== undefined ? `toa:${toaKind}` : `${clientAddress}`;
}

/** `null` for off, which is what a service without tuning is. */
function readSwitch(name: string, value: string | undefined): true | null | undefined {
  if (value === undefined) return undefined;
  if (value === 'on') return true;
  if (value === 'off') return null;
  throw new UsageError(`--${name} takes on or off, not '${value}'`);
}

/** Options `STATE=SECONDS` of all kinds; of several for one state the last counts. */
function readTimeouts(options: readonly string[], key: ServiceKey): NonNullable<TuningPatch['timeouts']> {
  const byKind: Record<Kind, Map<string, Seconds>> = { tcp: new Map(), sctp: new Map(), udp: new Map() };
  for (const option of options) {
    const match = /^(?:(tcp|sctp):)?([\w-]+)=(.*)$/i.exec(option);
    if (match === null) throw new UsageError(`--timeout takes STATE=SECONDS, not '${option}'`);
    const [, kind, name, value] = match;
    const state = name.toUpperCase();
    const seconds = value === 'default' ? null : readSeconds(`--timeout '${option}'`, value);
    byKind[kindOf(state, kind?.toLowerCase(), key, option)].set(state, seconds);
  }
  const { tcp, sctp, udp } = byKind;
  const timeouts = {
    ...(tcp.size > 0 && { tcp: Object.fromEntries(tcp) }),
    ...(sctp.size > 0 && { sctp: Object.fromEntries(sctp) }),
    ...(udp.size > 0 && { udp: udp.get('UDP') }),
  };
  return timeouts as NonNullable<TuningPatch['timeouts']>;
}

/** The protocol whose state is meant: that of the service, or for a mark the one that has it. */
function kindOf(state: string, asked: string | undefined, key: ServiceKey, option: string): Kind {
  const possible: readonly Kind[] = key.kind === 'fwmark' ? ['tcp', 'sctp', 'udp'] : [key.protocol];
  const kinds = asked === undefined ? possible : possible.filter((kind) => kind === asked);
  const found = kinds.filter((kind) => STATES[kind].includes(state));
  if (found.length === 1) return found[0];
  if (found.length > 1) {
    throw new UsageError(
      `--timeout '${option}': TCP and SCTP have a state ${state}: write tcp:${state} or sctp:${state}`,
    );
  }
  const names = kinds.length === 0 ? possible : kinds;
  const known = names.map((kind) => `${kind.toUpperCase()} has ${STATES[kind].join(', ')}`).join('; ');
  throw new UsageError(`--timeout '${option}': the service has no such state: ${known}`);
}

function readSeconds(what: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError(`${what}: not a number of seconds`);
}

// SPDX-License-Identifier: Apache-2.0
// What the API accepts, as zod schemas of the model's types. They hold the form of values (types, ranges, names that
// are fixed) and refuse unknown fields; whether a change makes sense is the director's word alone.

import * as z from 'zod';
import type { Change } from '../dataplane/dataplane.ts';
import { SCTP_STATE_NAMES } from '../lvs/connection/sctp-state.ts';
import { TCP_STATE_NAMES } from '../lvs/connection/tcp-state.ts';
import type {
  Persistence,
  ServerKey,
  ServerOptions,
  ServiceKey,
  ServiceOptions,
  ServiceTuning,
  Timeouts,
  TuningPatch,
  TunnelOptions,
} from '../lvs/model.ts';
import { parseServiceKey } from '../lvs/service-key.ts';
import { type Address, parseAddress } from '../packet/address.ts';
import { localAddressKey, localAddressOptions, poolName } from './local-address-schemas.ts';
import { markNumber, markRule } from './mark-schemas.ts';

const MAX_INT = 0x7fffffff;
const NAME_MAX = 64;

const address = z.string().transform((text, context): Address => {
  const parsed = parseAddress(text);
  if (parsed !== undefined) return parsed;
  context.addIssue('not an IP address');
  return z.NEVER;
});
const port = z.int().min(0).max(65535);
const count = z.int().min(0).max(MAX_INT);
const name = z.string().min(1).max(NAME_MAX);

const serviceKeyObject = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('address'), protocol: z.enum(['tcp', 'udp', 'sctp']), address, port }),
  z.strictObject({
    kind: z.literal('fwmark'),
    mark: z.int().min(1).max(0xffffffff),
    family: z.union([z.literal(4), z.literal(6)]),
  }),
]);

const serviceKeyText = z.string().transform((text, context): ServiceKey => {
  const parsed = parseServiceKey(text);
  if (parsed !== undefined) return parsed;
  context.addIssue('not a service key such as tcp:10.0.0.1:80, udp:[2001:db8::1]:53 or fwm:7');
  return z.NEVER;
});

const serverKeyFields = { address, port };

const persistence: z.ZodType<Persistence> = z.strictObject({
  timeoutSeconds: z.int().min(1).max(2678400),
  prefixLength: z.int().min(0).max(128),
  engine: name.exactOptional(),
});

const serviceOptionFields = {
  scheduler: name,
  schedulerFlags: z.array(z.enum(['flag-1', 'flag-2', 'flag-3'])).max(3),
  persistence: persistence.exactOptional(),
  onePacket: z.boolean(),
};

const tunnel: z.ZodType<TunnelOptions> = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('ipip') }),
  z.strictObject({ type: z.literal('gue'), port, checksum: z.enum(['none', 'csum', 'remcsum']) }),
  z.strictObject({ type: z.literal('gre'), checksum: z.enum(['none', 'csum']) }),
]);

const serverOptionFields = {
  method: z.enum(['nat', 'dr', 'tun', 'fullnat', 'local']),
  weight: count,
  upperThreshold: count,
  lowerThreshold: count,
  tunnel: tunnel.exactOptional(),
};

/** Options of a service in a resource's body: what is left out is off. */
const serviceDefaults = {
  ...serviceOptionFields,
  schedulerFlags: serviceOptionFields.schedulerFlags.default([]),
  onePacket: serviceOptionFields.onePacket.default(false),
};

/** Options of a server in a resource's body: weight 1 and no thresholds unless given. */
const serverDefaults = {
  ...serverOptionFields,
  weight: count.default(1),
  upperThreshold: count.default(0),
  lowerThreshold: count.default(0),
};

export const serviceBody: z.ZodType<ServiceOptions> = z.strictObject(serviceDefaults);
export const newServiceBody: z.ZodType<ServiceOptions & { key: ServiceKey }> = z.strictObject({
  key: z.union([serviceKeyText, serviceKeyObject], 'not a service key, neither as text nor as an object'),
  ...serviceDefaults,
});
export const serverBody: z.ZodType<ServerOptions> = z.strictObject(serverDefaults);
export const newServerBody: z.ZodType<ServerOptions & ServerKey> = z.strictObject({
  ...serverKeyFields,
  ...serverDefaults,
});

/** Seconds; 0 leaves that timeout as it is. */
export const timeoutsBody: z.ZodType<Timeouts> = z.strictObject({ tcp: count, tcpFin: count, udp: count });

// ---- tuning: seconds and switches; in a patch null takes back ----

const seconds = count;
const quicEncoding = z.enum(['quic-lb', 'katran', 'dpvs']);
const clientAddress = z.enum(['toa', 'proxy-v1', 'proxy-v2']);
const optionKind = z.int().min(2).max(255);
const tcpState = z.enum(TCP_STATE_NAMES);
const sctpState = z.enum(SCTP_STATE_NAMES);

export const tuningBody: z.ZodType<ServiceTuning> = z.strictObject({
  timeouts: z
    .strictObject({
      tcp: z.partialRecord(tcpState, seconds).exactOptional(),
      sctp: z.partialRecord(sctpState, seconds).exactOptional(),
      udp: seconds.exactOptional(),
    })
    .exactOptional(),
  freshSyn: z.boolean().exactOptional(),
  quiesceEndsAffinity: z.boolean().exactOptional(),
  hashSkipsQuiesced: z.boolean().exactOptional(),
  slowStartSeconds: seconds.exactOptional(),
  localPool: poolName.exactOptional(),
  clientAddress: clientAddress.exactOptional(),
  toaKind: optionKind.exactOptional(),
  quic: z
    .strictObject({
      encoding: quicEncoding,
      serverIdLength: count.exactOptional(),
      nonceLength: count.exactOptional(),
      configId: count.exactOptional(),
      ids: z.record(name, z.string().max(64)).exactOptional(),
    })
    .exactOptional(),
});

export const tuningPatchBody: z.ZodType<TuningPatch> = z.strictObject({
  timeouts: z
    .strictObject({
      tcp: z.partialRecord(tcpState, seconds.nullable()).nullable().exactOptional(),
      sctp: z.partialRecord(sctpState, seconds.nullable()).nullable().exactOptional(),
      udp: seconds.nullable().exactOptional(),
    })
    .nullable()
    .exactOptional(),
  freshSyn: z.boolean().nullable().exactOptional(),
  quiesceEndsAffinity: z.boolean().nullable().exactOptional(),
  hashSkipsQuiesced: z.boolean().nullable().exactOptional(),
  slowStartSeconds: seconds.nullable().exactOptional(),
  localPool: poolName.nullable().exactOptional(),
  clientAddress: clientAddress.nullable().exactOptional(),
  toaKind: optionKind.nullable().exactOptional(),
  quic: z
    .strictObject({
      encoding: quicEncoding.exactOptional(),
      serverIdLength: count.nullable().exactOptional(),
      nonceLength: count.nullable().exactOptional(),
      configId: count.nullable().exactOptional(),
      ids: z.record(name, z.string().max(64).nullable()).nullable().exactOptional(),
    })
    .nullable()
    .exactOptional(),
});

export const drainBody: z.ZodType<{ deadlineSeconds?: number }> = z.strictObject({
  deadlineSeconds: seconds.exactOptional(),
});

// ---- sysctls ----

export const sysctlsBody: z.ZodType<Readonly<Record<string, number>>> = z.record(name, z.int());
export const sysctlBody: z.ZodType<{ value: number }> = z.strictObject({ value: z.int() });

/** Position in the connection table, as a query's text. */
export const cursorText: z.ZodType<number> = z
  .string()
  .regex(/^\d{1,10}$/, 'not a cursor')
  .transform(Number)
  .pipe(count);

const service = serviceKeyObject;
const server = z.strictObject(serverKeyFields);
const serviceOptions = z.strictObject(serviceOptionFields);
const serverOptions = z.strictObject(serverOptionFields);

/** A change of the data plane in the model's full form, nothing left out. */
export const changeBody: z.ZodType<Change> = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('add-service'), service, options: serviceOptions }),
  z.strictObject({ type: z.literal('edit-service'), service, options: serviceOptions }),
  z.strictObject({ type: z.literal('delete-service'), service }),
  z.strictObject({ type: z.literal('flush') }),
  z.strictObject({ type: z.literal('add-mark'), rule: markRule }),
  z.strictObject({ type: z.literal('delete-mark'), rule: z.union([markRule, markNumber]) }),
  z.strictObject({ type: z.literal('add-local-address'), local: localAddressKey, options: localAddressOptions }),
  z.strictObject({ type: z.literal('delete-local-address'), local: localAddressKey }),
  z.strictObject({ type: z.literal('add-server'), service, server, options: serverOptions }),
  z.strictObject({ type: z.literal('edit-server'), service, server, options: serverOptions }),
  z.strictObject({ type: z.literal('delete-server'), service, server }),
  z.strictObject({ type: z.literal('zero'), service: service.exactOptional() }),
  z.strictObject({ type: z.literal('set-timeouts'), timeouts: timeoutsBody }),
  z.strictObject({ type: z.literal('tune-service'), service, tuning: tuningBody }),
  z.strictObject({ type: z.literal('adjust-service'), service, tuning: tuningPatchBody }),
  z.strictObject({ type: z.literal('set-sysctls'), values: sysctlsBody }),
  z.strictObject({
    type: z.literal('drain-server'),
    service,
    server,
    deadlineSeconds: seconds.exactOptional(),
  }),
]);

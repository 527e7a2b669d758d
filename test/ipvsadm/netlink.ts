// SPDX-License-Identifier: Apache-2.0
// The part of the IPVS netlink interface (include/uapi/linux/ip_vs.h) that the real ipvsadm speaks: its requests as
// changes of ours, and our model as the kernel's answers. For tests against the real program alone.

import type { SyncDaemon } from '../../src/cli/ipvsadm/command.ts';
import type { Change } from '../../src/dataplane/dataplane.ts';
import type {
  ForwardingMethod,
  ServerKey,
  ServerOptions,
  ServerSnapshot,
  ServiceKey,
  ServiceOptions,
  ServiceSnapshot,
  TunnelOptions,
} from '../../src/lvs/model.ts';
import { type Address, addressFamily, addressWords, formatAddress } from '../../src/packet/address.ts';
import type { Answer, Request } from './real-ipvsadm.ts';

export const GET_SERVICE = 4;
export const GET_DEST = 8;
const NEW_SERVICE = 1;
const NEW_DEST = 5;

const F_PERSISTENT = 0x1;
const F_ONEPACKET = 0x4;
const F_SCHED = { 'flag-1': 0x8, 'flag-2': 0x10, 'flag-3': 0x20 } as const;
const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const;
const METHODS: readonly ForwardingMethod[] = ['nat', 'local', 'tun', 'dr'];
const AF_INET = 2;
const AF_INET6 = 10;

// ---- requests ----

type Attributes = ReadonlyMap<number, Buffer>;

function attributes(bytes: Buffer): Attributes {
  const found = new Map<number, Buffer>();
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    found.set(bytes.readUInt16LE(at + 2) & 0x3fff, bytes.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}

const text = (bytes: Buffer | undefined): string => bytes?.toString('latin1').replace(/\0.*$/s, '') ?? '';
const u32 = (from: Attributes, type: number): number => from.get(type)?.readUInt32LE() ?? 0;
const keyOf = <K extends string>(table: Readonly<Record<K, number>>, value: number): K =>
  (Object.keys(table) as K[]).find((key) => table[key] === value)!;

function address(bytes: Buffer, family: number): Address {
  const words = [0, 4, 8, 12].map((at) => bytes.readInt32BE(at));
  return formatAddress(family === AF_INET6 ? 6 : 4, words);
}

/** What ipvsadm asked the kernel for, in our words. */
export type Asked =
  | { readonly type: 'change'; readonly change: Change }
  | { readonly type: 'get-services'; readonly service?: ServiceKey }
  | { readonly type: 'list-timeouts' | 'list-daemon' }
  | { readonly type: 'start-daemon'; readonly daemon: SyncDaemon }
  | { readonly type: 'stop-daemon'; readonly role: SyncDaemon['role']; readonly syncId: number };

/** What a request of the real ipvsadm asks for; undefined for the servers of a listing. */
export function decodeRequest(request: Request): Asked | undefined {
  const top = attributes(payloadOf(request));
  switch (request.command) {
    case GET_SERVICE:
      return { type: 'get-services', ...(top.has(1) ? { service: serviceKey(attributes(top.get(1)!)) } : {}) };
    case GET_DEST:
      return undefined;
    case 9:
      return { type: 'start-daemon', daemon: syncDaemon(attributes(top.get(3)!)) };
    case 10: {
      const { role, syncId } = syncDaemon(attributes(top.get(3)!));
      return { type: 'stop-daemon', role, syncId };
    }
    case 11:
      return { type: 'list-daemon' };
    case 13:
      return { type: 'list-timeouts' };
    default:
      return { type: 'change', change: decodeChange(request) };
  }
}

const payloadOf = ({ payload }: Request): Buffer => Buffer.from(payload === '-' ? '' : payload, 'hex');

function decodeChange(request: Request): Change {
  const { command } = request;
  const top = attributes(payloadOf(request));
  const service = (): ServiceKey => serviceKey(attributes(top.get(1)!));
  const options = (): ServiceOptions => serviceOptions(attributes(top.get(1)!));
  const server = (): Attributes => attributes(top.get(2)!);
  switch (command) {
    case 1:
    case 2:
      return { type: command === 1 ? 'add-service' : 'edit-service', service: service(), options: options() };
    case 3:
      return { type: 'delete-service', service: service() };
    case 5:
    case 6: {
      const type = command === 5 ? 'add-server' : 'edit-server';
      return { type, service: service(), server: serverKey(server()), options: serverOptions(server()) };
    }
    case 7:
      return { type: 'delete-server', service: service(), server: serverKey(server()) };
    case 12:
      return { type: 'set-timeouts', timeouts: { tcp: u32(top, 4), tcpFin: u32(top, 5), udp: u32(top, 6) } };
    case 16:
      return top.has(1) ? { type: 'zero', service: service() } : { type: 'zero' };
    case 17:
      return { type: 'flush' };
    default:
      throw new Error(`unexpected request ${command}`);
  }
}

function serviceKey(from: Attributes): ServiceKey {
  const family = from.get(1)!.readUInt16LE();
  if (from.has(5)) return { kind: 'fwmark', mark: u32(from, 5), family: family === AF_INET6 ? 6 : 4 };
  return {
    kind: 'address',
    protocol: keyOf(PROTOCOLS, from.get(2)!.readUInt16LE()),
    address: address(from.get(3)!, family),
    port: from.get(4)!.readUInt16BE(),
  };
}

function serviceOptions(from: Attributes): ServiceOptions {
  const flags = u32(from, 7);
  const isIpv6 = from.get(1)!.readUInt16LE() === AF_INET6;
  const mask = from.get(9)!;
  const engine = text(from.get(11));
  const persistence = {
    timeoutSeconds: u32(from, 8),
    prefixLength: isIpv6 ? mask.readUInt32LE() : Math.clz32(~mask.readInt32BE()),
    ...(engine === '' ? {} : { engine }),
  };
  return {
    scheduler: text(from.get(6)),
    schedulerFlags: (['flag-1', 'flag-2', 'flag-3'] as const).filter((flag) => flags & F_SCHED[flag]),
    ...(flags & F_PERSISTENT ? { persistence } : {}),
    onePacket: (flags & F_ONEPACKET) !== 0,
  };
}

function serverKey(from: Attributes): ServerKey {
  return { address: address(from.get(1)!, from.get(11)!.readUInt16LE()), port: from.get(2)!.readUInt16BE() };
}

function serverOptions(from: Attributes): ServerOptions {
  const method = METHODS[u32(from, 3)];
  const checksum = (['none', 'csum', 'remcsum'] as const)[from.get(15)!.readUInt16LE()];
  const tunnels: readonly TunnelOptions[] = [
    { type: 'ipip' },
    { type: 'gue', port: from.get(14)!.readUInt16BE(), checksum },
    { type: 'gre', checksum: checksum === 'csum' ? 'csum' : 'none' },
  ];
  return {
    method,
    weight: u32(from, 4),
    upperThreshold: u32(from, 5),
    lowerThreshold: u32(from, 6),
    ...(method === 'tun' ? { tunnel: tunnels[from.get(13)!.readUInt8()] } : {}),
  };
}

function syncDaemon(from: Attributes): SyncDaemon {
  const group = from.get(5) ?? from.get(6);
  const padded = group && Buffer.concat([group, Buffer.alloc(16 - group.length)]);
  return {
    role: u32(from, 1) === 1 ? 'master' : 'backup',
    device: text(from.get(2)),
    syncId: u32(from, 3),
    ...(from.has(4) ? { maxLength: from.get(4)!.readUInt16LE() } : {}),
    ...(padded ? { group: address(padded, from.has(6) ? AF_INET6 : AF_INET) } : {}),
    ...(from.has(7) ? { port: from.get(7)!.readUInt16LE() } : {}),
    ...(from.has(8) ? { ttl: from.get(8)!.readUInt8() } : {}),
  };
}

// ---- answers ----

function attribute(type: number, data: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt16LE(data.length + 4, 0);
  header.writeUInt16LE(type, 2);
  return Buffer.concat([header, data, Buffer.alloc(-data.length & 3)]);
}

function bytesOf(size: 2 | 4 | 8, value: number, bigEndian = false): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  const cut = bytes.subarray(0, size);
  return bigEndian ? cut.reverse() : cut;
}

function addressBytes(of: Address): Buffer {
  const bytes = Buffer.alloc(16);
  for (const [i, word] of addressWords(of).entries()) bytes.writeInt32BE(word, 4 * i);
  return bytes;
}

const NLA_F_NESTED = 0x8000;
const nested = (type: number, ...parts: readonly Buffer[]): Buffer =>
  attribute(type | NLA_F_NESTED, Buffer.concat(parts));
const family = (of: ServiceKey): number =>
  (of.kind === 'fwmark' ? of.family : addressFamily(of.address)) === 6 ? AF_INET6 : AF_INET;

/** Everything that a listing of `services` asks the kernel for. */
export function listingAnswers(services: readonly ServiceSnapshot[]): Answer[] {
  const all: Request = { command: GET_SERVICE, payload: '-' };
  return services.flatMap((service) => {
    const request: Request = { command: GET_DEST, payload: destsRequest(service.key).toString('hex') };
    const servers = service.servers.map((server) => serverAttributes(server));
    return [
      { to: all, command: NEW_SERVICE, payload: serviceAttributes(service).toString('hex') },
      ...servers.map((server) => ({ to: request, command: NEW_DEST, payload: server.toString('hex') })),
    ];
  });
}

function destsRequest(key: ServiceKey): Buffer {
  return nested(1, attribute(1, bytesOf(2, family(key))), ...keyAttributes(key));
}

function keyAttributes(key: ServiceKey): Buffer[] {
  if (key.kind === 'fwmark') return [attribute(5, bytesOf(4, key.mark))];
  return [
    attribute(2, bytesOf(2, PROTOCOLS[key.protocol])),
    attribute(3, addressBytes(key.address)),
    attribute(4, bytesOf(2, key.port, true)),
  ];
}

function serviceAttributes(service: ServiceSnapshot): Buffer {
  const { persistence, schedulerFlags, onePacket, scheduler, key } = service;
  const isIpv6 = family(key) === AF_INET6;
  const bits = persistence?.prefixLength ?? (isIpv6 ? 128 : 32);
  const flags = schedulerFlags.reduce(
    (sum, flag) => sum | F_SCHED[flag],
    (persistence ? F_PERSISTENT : 0) | (onePacket ? F_ONEPACKET : 0),
  );
  return nested(
    1,
    attribute(1, bytesOf(2, family(key))),
    ...keyAttributes(key),
    attribute(6, Buffer.from(`${scheduler}\0`)),
    ...(persistence?.engine ? [attribute(11, Buffer.from(`${persistence.engine}\0`))] : []),
    attribute(7, Buffer.concat([bytesOf(4, flags), bytesOf(4, -1)])),
    attribute(8, bytesOf(4, persistence?.timeoutSeconds ?? 0)),
    attribute(9, isIpv6 ? bytesOf(4, bits) : bytesOf(4, bits === 0 ? 0 : -1 << (32 - bits), true)),
    nested(10, ...statistics(service, 4)),
    nested(12, ...statistics(service, 8)),
  );
}

function serverAttributes(server: ServerSnapshot): Buffer {
  const { tunnel } = server;
  const checksum = tunnel === undefined || tunnel.type === 'ipip' ? 'none' : tunnel.checksum;
  return nested(
    2,
    attribute(1, addressBytes(server.address)),
    attribute(2, bytesOf(2, server.port, true)),
    attribute(11, bytesOf(2, addressFamily(server.address) === 6 ? AF_INET6 : AF_INET)),
    attribute(3, bytesOf(4, METHODS.indexOf(server.method))),
    attribute(4, bytesOf(4, server.weight)),
    attribute(5, bytesOf(4, server.upperThreshold)),
    attribute(6, bytesOf(4, server.lowerThreshold)),
    attribute(7, bytesOf(4, server.activeConnections)),
    attribute(8, bytesOf(4, server.inactiveConnections)),
    attribute(9, bytesOf(4, server.persistentConnections)),
    attribute(13, Buffer.from([['ipip', 'gue', 'gre'].indexOf(tunnel?.type ?? 'ipip')])),
    attribute(14, bytesOf(2, tunnel?.type === 'gue' ? tunnel.port : 0, true)),
    attribute(15, bytesOf(2, ['none', 'csum', 'remcsum'].indexOf(checksum))),
    nested(10, ...statistics(server, 4)),
    nested(12, ...statistics(server, 8)),
  );
}

/** 32-bit statistics are only looked at when there are no others. */
function statistics({ counters, rates }: Pick<ServiceSnapshot, 'counters' | 'rates'>, size: 4 | 8): Buffer[] {
  const values = [counters, rates].flatMap((one) => [
    one.connections,
    one.inPackets,
    one.outPackets,
    one.inBytes,
    one.outBytes,
  ]);
  return values.map((value, i) => attribute(i + 1, bytesOf(size, value)));
}

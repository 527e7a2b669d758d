// SPDX-License-Identifier: Apache-2.0
// The XDP program of bpf/xdp.c in the kernel: one set of tables, one instance of the program for each device. The engine
// tells it what to catch; nothing is pinned, so that all of it goes when the process ends. Control plane: every change is
// a system call. Layouts here are those of bpf/maps.h.

import { BpfMap } from '../../linux/bpf-map.ts';
import { BpfProgram, type ProgramRun, type XdpMode } from '../../linux/bpf-program.ts';
import { NATIVE_LE } from '../../linux/libc.ts';
import type { Protocol } from '../../lvs/model.ts';
import { type Address, addressFamily, addressWords } from '../../packet/address.ts';
import { type Prefix, prefixFamily, prefixLength, prefixWords } from '../../packet/prefix.ts';
import { XDP_OBJECT } from './xdp-object.ts';

/** Maps that each device has for itself. */
const DEVICE_MAPS: ReadonlySet<string> = new Set(['xsks', 'device']);

//  0 address(16)  16 port(2)  18 protocol(1)  19 family(1)                             struct endpoint
const ENDPOINT_SIZE = 20;
//  0 bits(4)  4 port(2)  6 protocol(1)  7 family(1)  8 address(16)                     struct prefix
const PREFIX_SIZE = 24;
/** Bits of a prefix's key in front of its address. */
const PREFIX_BITS = 32;
const LOCAL_SIZE = 16;
/** Value of `locals` for an address that FULLNAT uses. */
const LOCAL_FULLNAT = 1;
const DEVICE_SIZE = 8;

const PROTOCOL_NUMBERS: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17, sctp: 132 };

/** In the order of `enum stat`. */
const STATS = ['passed', 'request', 'reply', 'fragment', 'malformed', 'icmp-error', 'ipsec'] as const;

/** Frames by what the program did with them, over all devices since it was loaded. */
export type XdpCounters = Readonly<Record<(typeof STATS)[number], number>>;

/** An address, a port (0: all) and a protocol. */
export interface Endpoint {
  readonly protocol: Protocol;
  readonly address: Address;
  readonly port: number;
}

/** The addresses of a prefix, a port (0: all) and a protocol. */
export interface PrefixEndpoint {
  readonly protocol: Protocol;
  readonly prefix: Prefix;
  readonly port: number;
}

export interface XdpDevice {
  readonly name: string;
  readonly index: number;
  /** `02:00:00:00:00:01`. */
  readonly mac: string;
}

/** The program on one device. */
export interface XdpInstance {
  readonly mode: XdpMode;
  /** Has the frames of `queue` that are for the engine go to the AF_XDP socket `fd`. */
  setSocket(queue: number, fd: number): void;
  /** To be told when the device's address changes: other frames pass. */
  setMac(mac: string): void;
  /** What the program does with a packet: for tests and diagnosis, no traffic is touched. */
  run(packet: Uint8Array, repeat?: number): ProgramRun;
  close(): void;
}

/** The loaded program with its shared tables. */
export class XdpProgram {
  readonly #maps: Map<string, BpfMap> = new Map();
  /** How often each key was added, by map and key. */
  readonly #users: Map<string, number> = new Map();
  #prefixes = 0;
  #locals: ReadonlySet<Address> = new Set();
  #fullnat: ReadonlySet<Address> = new Set();

  constructor() {
    try {
      for (const definition of XDP_OBJECT.maps) {
        if (!DEVICE_MAPS.has(definition.name)) this.#maps.set(definition.name, new BpfMap(definition));
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Attaches an instance to a device: native where the driver can, else generic. */
  attach(device: XdpDevice): XdpInstance {
    const maps = new Map(this.#maps);
    const owned: { close(): void }[] = [];
    const own = <T extends { close(): void }>(thing: T): T => {
      owned.unshift(thing);
      return thing;
    };
    const close = (): void => {
      for (const thing of owned.splice(0)) thing.close();
    };
    try {
      for (const definition of XDP_OBJECT.maps) {
        if (DEVICE_MAPS.has(definition.name)) maps.set(definition.name, own(new BpfMap(definition)));
      }
      const setMac = (mac: string): void => mapOf(maps, 'device').update(u32(0), deviceValue(mac));
      setMac(device.mac);
      const program = own(new BpfProgram(XDP_OBJECT, maps));
      const { mode } = own(program.attach(device.index, device.name));
      const setSocket = (queue: number, fd: number): void => mapOf(maps, 'xsks').update(u32(queue), u32(fd));
      return { mode, setSocket, setMac, run: (packet, repeat) => program.run(packet, repeat), close };
    } catch (error) {
      close();
      throw error;
    }
  }

  /** Catches what comes in for a virtual service. What is added more than once is removed as often. */
  addService(service: Endpoint): void {
    this.#addEnd('services', service);
  }

  removeService(service: Endpoint): void {
    this.#removeEnd('services', service);
  }

  /** Catches what a real server sends. A server of several services is added and removed once for each of them. */
  addServer(server: Endpoint): void {
    this.#addEnd('servers', server);
  }

  removeServer(server: Endpoint): void {
    this.#removeEnd('servers', server);
  }

  /** Catches what comes in for any address of a prefix: firewall marks may concern it. */
  addMarked(marked: PrefixEndpoint): void {
    this.#add('marked', prefixKey(marked));
    if (this.#prefixes++ === 0) this.#map('settings').update(u32(0), u32(1));
  }

  removeMarked(marked: PrefixEndpoint): void {
    this.#remove('marked', prefixKey(marked));
    if (--this.#prefixes === 0) this.#map('settings').update(u32(0), u32(0));
  }

  /** The director's own addresses, all of them: what servers answer to these is left to the kernel. */
  setLocals(addresses: Iterable<Address>): void {
    this.#writeLocals(new Set(addresses), this.#fullnat);
  }

  /** Those of them from which the engine opens connections to servers: what servers send there is caught. */
  setFullnat(addresses: Iterable<Address>): void {
    this.#writeLocals(this.#locals, new Set(addresses));
  }

  #writeLocals(locals: ReadonlySet<Address>, fullnat: ReadonlySet<Address>): void {
    const map = this.#map('locals');
    for (const address of locals) {
      const use = fullnat.has(address) ? LOCAL_FULLNAT : 0;
      if (this.#locals.has(address) && this.#fullnat.has(address) === (use === LOCAL_FULLNAT)) continue;
      map.update(addressBytes(address, LOCAL_SIZE), u32(use));
    }
    for (const address of this.#locals) if (!locals.has(address)) map.delete(addressBytes(address, LOCAL_SIZE));
    this.#locals = locals;
    this.#fullnat = fullnat;
  }

  counters(): XdpCounters {
    const map = this.#map('stats');
    const entries = STATS.map((name, index) => {
      const values = map.lookup(u32(index)) ?? new Uint8Array(0);
      const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
      let sum = 0;
      for (let at = 0; at < view.byteLength; at += 8) sum += Number(view.getBigUint64(at, NATIVE_LE));
      return [name, sum] as const;
    });
    return Object.fromEntries(entries) as XdpCounters;
  }

  /** The tables go when the last instance is closed as well. */
  close(): void {
    for (const map of this.#maps.values()) map.close();
    this.#maps.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The endpoint, and its address for fragments and ICMP errors. */
  #addEnd(map: string, end: Endpoint): void {
    this.#add(map, endpointKey(end));
    try {
      this.#add(map, addressKey(end.address));
    } catch (error) {
      this.#remove(map, endpointKey(end));
      throw error;
    }
  }

  #removeEnd(map: string, end: Endpoint): void {
    if (this.#remove(map, endpointKey(end))) this.#remove(map, addressKey(end.address));
  }

  #add(map: string, key: Uint8Array): void {
    const name = `${map} ${key.join()}`;
    const users = this.#users.get(name) ?? 0;
    if (users === 0) this.#map(map).update(key, u32(0));
    this.#users.set(name, users + 1);
  }

  /** False when it was not there. */
  #remove(map: string, key: Uint8Array): boolean {
    const name = `${map} ${key.join()}`;
    const users = this.#users.get(name) ?? 0;
    if (users > 1) {
      this.#users.set(name, users - 1);
    } else if (users === 1) {
      this.#map(map).delete(key);
      this.#users.delete(name);
    }
    return users > 0;
  }

  #map(name: string): BpfMap {
    return mapOf(this.#maps, name);
  }
}

function mapOf(maps: ReadonlyMap<string, BpfMap>, name: string): BpfMap {
  const map = maps.get(name);
  if (map === undefined) throw new TypeError(`the XDP program has no map '${name}', or is closed`);
  return map;
}

function endpointKey(endpoint: Endpoint): Uint8Array {
  const key = addressKey(endpoint.address);
  new DataView(key.buffer).setUint16(16, endpoint.port);
  key[18] = PROTOCOL_NUMBERS[endpoint.protocol];
  return key;
}

/** An endpoint without port and protocol. */
function addressKey(address: Address): Uint8Array {
  const key = addressBytes(address, ENDPOINT_SIZE);
  key[19] = addressFamily(address);
  return key;
}

function prefixKey({ prefix, port, protocol }: PrefixEndpoint): Uint8Array {
  const key = new Uint8Array(new ArrayBuffer(PREFIX_SIZE));
  const view = new DataView(key.buffer);
  view.setUint32(0, PREFIX_BITS + prefixLength(prefix), NATIVE_LE);
  view.setUint16(4, port);
  key[6] = PROTOCOL_NUMBERS[protocol];
  key[7] = prefixFamily(prefix);
  for (const [i, word] of prefixWords(prefix).entries()) view.setInt32(8 + i * 4, word);
  return key;
}

/** The address as it stands on the wire at the start of `size` bytes. */
function addressBytes(address: Address, size: number): Uint8Array {
  const bytes = new Uint8Array(new ArrayBuffer(size));
  const view = new DataView(bytes.buffer);
  for (const [i, word] of addressWords(address).entries()) view.setInt32(i * 4, word);
  return bytes;
}

function deviceValue(mac: string): Uint8Array {
  const bytes = mac.split(':').map((octet) => Number.parseInt(octet, 16));
  if (bytes.length !== 6 || bytes.some(Number.isNaN)) throw new TypeError(`not an Ethernet address: '${mac}'`);
  const value = new Uint8Array(DEVICE_SIZE);
  value.set(bytes);
  return value;
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(new ArrayBuffer(4));
  new DataView(bytes.buffer).setUint32(0, value, NATIVE_LE);
  return bytes;
}

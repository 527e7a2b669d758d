// SPDX-License-Identifier: Apache-2.0
// A virtual service as the director keeps it: its real servers, newest first as in the kernel, their scheduler, and what
// packets ask of its options, unfolded to numbers.

import { type AddressWords, addressFamily, addressWords, type Family } from '../../packet/address.ts';
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from '../../packet/ipv4.ts';
import { TICKS_PER_SECOND } from '../connection/layout.ts';
import { StateTimes } from '../connection/state-times.ts';
import type {
  Protocol,
  SchedulerFlag,
  ServerKey,
  ServerOptions,
  ServiceKey,
  ServiceOptions,
  ServiceSnapshot,
  ServiceTuning,
} from '../model.ts';
import { QuicRouting } from '../quic/quic-routing.ts';
import type { ScheduledService, Scheduler, SchedulingRequest } from '../schedule/scheduler.ts';
import { createScheduler } from '../schedule/schedulers.ts';
import { formatServerKey } from '../service-key.ts';
import type { Sysctls } from '../sysctl.ts';
import type { Server } from './server.ts';
import { addCounters, CONNECTIONS, newCounters, Traffic } from './traffic.ts';

/** The service of a mark or of an address; both have servers, only the latter an address. */
export type AddressKey = Extract<ServiceKey, { kind: 'address' }>;

const NO_WORDS: AddressWords = [0, 0, 0, 0];
const FLAG_BITS: Readonly<Record<SchedulerFlag, number>> = { 'flag-1': 1, 'flag-2': 2, 'flag-3': 4 };
const NOTHING_TUNED: ServiceTuning = {};

/** What all services of a director share. */
export interface ServiceEnvironment {
  readonly sysctls: Sysctls;
  /** The director's own state times. */
  readonly times: StateTimes;
  /** 32 random bits, unsigned. */
  readonly random: () => number;
}

export class Service implements ScheduledService {
  readonly key: ServiceKey;
  readonly family: Family;
  /** IP protocol number; 0 for a mark's. */
  readonly protocol: number;
  readonly words: AddressWords;
  /** 0: every port of the address, or a mark's. */
  readonly port: number;
  /** Firewall mark, 0 for an address's. */
  readonly mark: number;
  /** Newest first. */
  readonly servers: Server[] = [];
  readonly sysctls: Sysctls;
  readonly random: () => number;
  /** Scheduler flags as bits. */
  flags = 0;
  onePacket = false;
  isPersistent = false;
  /** Life of templates in ticks. */
  persistence = 0;
  /** Name of the persistence engine or ''. */
  engine = '';
  /** What remains of a client's address in its template, word by word. */
  readonly netmask: Int32Array = new Int32Array(4);
  /** How long its connections live, in its own times or the director's. */
  times: StateTimes;
  tuning: ServiceTuning = NOTHING_TUNED;
  freshSyn = false;
  quiesceEndsAffinity = false;
  hashSkipsQuiesced = false;
  /** Finds servers by connection IDs of QUIC. */
  quic: QuicRouting | undefined = undefined;
  overloadChanges = 0;
  /** Measures the response times of its servers. */
  isTimed = false;
  readonly #environment: ServiceEnvironment;
  readonly #byKey = new Map<string, Server>();
  readonly #traffic = new Traffic();
  /** What servers that were taken out had counted. */
  readonly #retired = newCounters();
  /** Servers whose weight is rising, and since which tick. */
  readonly #rising = new Map<Server, number>();
  #options: ServiceOptions;
  #scheduler: Scheduler;

  /** @throws TypeError for a scheduler that does not exist; callers have checked it. */
  constructor(key: ServiceKey, options: ServiceOptions, environment: ServiceEnvironment) {
    this.key = key;
    const isMark = key.kind === 'fwmark';
    this.family = isMark ? key.family : addressFamily(key.address);
    this.protocol = isMark ? 0 : protocolNumber(key.protocol);
    this.words = isMark ? NO_WORDS : addressWords(key.address);
    this.port = isMark ? 0 : key.port;
    this.mark = isMark ? key.mark : 0;
    this.#environment = environment;
    this.sysctls = environment.sysctls;
    this.random = environment.random;
    this.times = environment.times;
    this.#options = options;
    this.#unfold(options);
    this.#scheduler = this.#newScheduler(options.scheduler);
  }

  /** Takes new options; another scheduler starts from the beginning, the same one goes on. */
  edit(options: ServiceOptions): void {
    this.#unfold(options);
    if (options.scheduler !== this.#options.scheduler) {
      this.#scheduler.close?.();
      this.#scheduler = this.#newScheduler(options.scheduler);
    }
    this.#options = options;
  }

  /** The service is deleted. */
  close(): void {
    this.#scheduler.close?.();
  }

  tune(tuning: ServiceTuning): void {
    this.tuning = tuning;
    this.freshSyn = tuning.freshSyn === true;
    this.quiesceEndsAffinity = tuning.quiesceEndsAffinity === true;
    const skips = tuning.hashSkipsQuiesced === true;
    const changes = skips !== this.hashSkipsQuiesced;
    this.hashSkipsQuiesced = skips;
    this.quic = tuning.quic === undefined ? undefined : new QuicRouting(tuning.quic);
    this.quic?.learn(this.servers);
    this.retime();
    this.#endRise();
    if (changes) this.#scheduler.edited();
  }

  /** The director's own times changed. */
  retime(): void {
    const { timeouts } = this.tuning;
    if (timeouts === undefined) {
      this.times = this.#environment.times;
      return;
    }
    this.times = new StateTimes();
    this.times.derive(this.#environment.times, timeouts);
  }

  /** The server of the next connection. */
  schedule(request: SchedulingRequest): Server | undefined {
    return this.#scheduler.pick(request);
  }

  find(key: ServerKey): Server | undefined {
    return this.#byKey.get(formatServerKey(key));
  }

  /** Puts in a server; one that comes back from another service object starts its counters anew. */
  add(server: Server, now: number): void {
    this.servers.unshift(server);
    this.#byKey.set(formatServerKey(server.key), server);
    addCounters(this.#retired, server.counters, -1);
    if (server.service !== this) {
      server.traffic.zero(server.counters);
      server.service = this;
    }
    this.#rise(server, now);
    this.quic?.learn(this.servers);
    this.#scheduler.added(0);
  }

  remove(server: Server): void {
    const index = this.servers.indexOf(server);
    this.servers.splice(index, 1);
    this.#byKey.delete(formatServerKey(server.key));
    this.#rising.delete(server);
    this.quic?.learn(this.servers);
    addCounters(this.#retired, server.counters);
    this.#scheduler.removed(index, server);
  }

  editServer(server: Server, options: ServerOptions, now: number): void {
    const wasQuiesced = server.options.weight === 0;
    const before = this.#rising.get(server);
    server.configure(options, false);
    this.#rising.delete(server);
    if (wasQuiesced) this.#rise(server, now);
    else if (before !== undefined) this.#rise(server, before);
    this.#ramp(server, now);
    this.#scheduler.edited();
  }

  /** About a second has passed. */
  tick(now: number): void {
    let changed = false;
    for (const server of this.#rising.keys()) changed = this.#ramp(server, now) || changed;
    if (changed) this.#scheduler.edited();
    this.#scheduler.tick?.(now);
  }

  /** A connection that was counted at a server of another service is this one's. */
  takeConnectionFrom(other: Service): void {
    this.#retired[CONNECTIONS]++;
    other.#retired[CONNECTIONS]--;
  }

  /** Sum over the servers of now and of the past. */
  counters(): Float64Array {
    const sum = Float64Array.from(this.#retired);
    for (const server of this.servers) addCounters(sum, server.counters);
    return sum;
  }

  zero(): void {
    for (const server of this.servers) server.traffic.zero(server.counters);
    this.#traffic.zero(this.counters());
  }

  /** One step of the rate estimators; returns the service's counters. */
  estimate(): Float64Array {
    for (const server of this.servers) server.traffic.estimate(server.counters);
    const counters = this.counters();
    this.#traffic.estimate(counters);
    return counters;
  }

  /** @param now - current tick. */
  snapshot(now: number): ServiceSnapshot {
    return {
      key: this.key,
      ...this.#options,
      ...(this.tuning !== NOTHING_TUNED && Object.keys(this.tuning).length > 0 && { tuning: this.tuning }),
      counters: this.#traffic.shown(this.counters()),
      rates: this.#traffic.rates(),
      servers: this.servers.map((server) => server.snapshot(now)),
    };
  }

  #unfold(options: ServiceOptions): void {
    this.flags = options.schedulerFlags.reduce((bits, flag) => bits | FLAG_BITS[flag], 0);
    this.onePacket = options.onePacket;
    this.isTimed = options.scheduler === 'lrt';
    const { persistence } = options;
    this.isPersistent = persistence !== undefined;
    this.persistence = (persistence?.timeoutSeconds ?? 0) * TICKS_PER_SECOND;
    this.engine = persistence?.engine ?? '';
    this.netmask.set(prefixMask(persistence?.prefixLength ?? 0));
  }

  /** Starts slowly from `since` on, when that is asked for. */
  #rise(server: Server, since: number): void {
    if ((this.tuning.slowStartSeconds ?? 0) === 0 || server.options.weight <= 1) return;
    this.#rising.set(server, since);
    this.#ramp(server, since);
  }

  /** Gives a rising server the weight of `now`; true when that is another one than before. */
  #ramp(server: Server, now: number): boolean {
    const since = this.#rising.get(server);
    if (since === undefined) return false;
    const duration = (this.tuning.slowStartSeconds ?? 0) * TICKS_PER_SECOND;
    const elapsed = (now - since) >>> 0;
    const { weight } = server.options;
    const risen = elapsed >= duration ? weight : Math.max(1, Math.floor((weight * elapsed) / duration));
    if (risen === weight) this.#rising.delete(server);
    if (risen === server.weight) return false;
    server.weight = risen;
    return true;
  }

  #endRise(): void {
    if ((this.tuning.slowStartSeconds ?? 0) > 0 || this.#rising.size === 0) return;
    for (const server of this.#rising.keys()) server.weight = server.options.weight;
    this.#rising.clear();
    this.#scheduler.edited();
  }

  #newScheduler(name: string): Scheduler {
    const scheduler = createScheduler(name, this);
    if (scheduler === undefined) throw new TypeError(`no scheduler '${name}'`);
    return scheduler;
  }
}

/** IP protocol number of a protocol's name. */
export function protocolNumber(protocol: Protocol): number {
  switch (protocol) {
    case 'tcp':
      return IPPROTO_TCP;
    case 'udp':
      return IPPROTO_UDP;
    case 'sctp':
      return IPPROTO_SCTP;
  }
}

/** The first `length` bits set, in four words. */
function prefixMask(length: number): number[] {
  return [0, 32, 64, 96].map((start) => {
    const bits = Math.min(Math.max(length - start, 0), 32);
    return bits === 0 ? 0 : (-1 << (32 - bits)) | 0;
  });
}

// SPDX-License-Identifier: Apache-2.0
// Puts the engine together on this machine: memory, director, XDP program, AF_XDP links, the kernel's tables and the way
// back to the kernel. Lives in the engine thread. What fails on the way is undone before the error goes on.

import { Umem } from '../../linux/af-xdp.ts';
import { Mapping } from '../../linux/memory.ts';
import type { Link as Device } from '../../linux/route/link-message.ts';
import type { PackedRules } from '../../lvs/classify/pack.ts';
import { type Reach, reachOf } from '../../lvs/classify/reach.ts';
import { connectionMemoryBytes, layConnectionMemory } from '../../lvs/connection/layout.ts';
import { Director } from '../../lvs/director.ts';
import type { Protocol, ServerKey, ServiceKey } from '../../lvs/model.ts';
import type { AddressKey } from '../../lvs/service/service.ts';
import type { ServiceObserver } from '../../lvs/service/service-list.ts';
import { FTP_PORT } from '../../lvs/service/service-table.ts';
import type { ConnectionPage, DataPlaneSnapshot } from '../dataplane.ts';
import type { Logger } from '../logger.ts';
import { AfXdpLink, MAX_MTU } from './af-xdp-link.ts';
import { EGRESS_NAMES, Engine } from './engine.ts';
import type { EngineThreadData } from './engine-protocol.ts';
import { FramePool } from './frame-pool.ts';
import { KernelMirror } from './kernel-mirror.ts';
import { TunPort } from './kernel-port.ts';
import { FRAME_SIZE } from './link.ts';
import { LocalDataPlane } from './local.ts';
import { MarkCatch } from './mark-catch.ts';
import { PoolWarnings } from './pool-warnings.ts';
import { type Endpoint, XdpProgram } from './xdp-program.ts';

/** Frames for one queue of one device: its fill and send rings, and as many on their way through the engine. */
const FRAMES_PER_QUEUE = 6144;
const MAX_FRAMES = 2 ** 19;

const ARPHRD_ETHER = 1;

export class EngineHost {
  readonly engine: Engine;
  readonly mirror: KernelMirror;
  readonly control: LocalDataPlane;
  readonly #log: Logger;
  readonly #program: XdpProgram;
  readonly #marks: MarkCatch;
  readonly #pools: PoolWarnings;
  readonly #director: Director;
  readonly #links: AfXdpLink[] = [];
  readonly #closers: (() => void)[] = [];

  /** @param now - reads the clock, in ticks. */
  constructor(data: EngineThreadData, log: Logger, now: () => number) {
    this.#log = log;
    this.#pools = new PoolWarnings(log);
    try {
      this.mirror = new KernelMirror({
        log,
        onDevice: (device) => this.#follow(device),
        onDeviceGone: (index) => this.#abandon(index),
        onLocals: (addresses) => this.#program.setLocals(addresses),
        onLocalPrefixes: (prefixes) => this.#marks.setLocals(prefixes),
        onResolved: (adjacency) => this.engine.release(adjacency),
        onForgotten: (adjacency) => this.engine.discard(adjacency),
      });
      this.#closers.push(() => this.mirror.close());
      const devices = chooseDevices(this.mirror, data.interfaces);

      const table = Mapping.anonymous(connectionMemoryBytes(data.maxConnections), { hugePages: true });
      this.#closers.push(() => table.close());
      const queues = devices.reduce((sum, device) => sum + device.numRxQueues, 0);
      const frames = Math.min(MAX_FRAMES, queues * FRAMES_PER_QUEUE);
      const umem = new Umem({ frames, frameSize: FRAME_SIZE, hugePages: true });
      this.#closers.push(() => umem.close());
      const bytes = new Uint8Array(umem.buffer);

      const program = new XdpProgram();
      this.#program = program;
      this.#closers.push(() => program.close());
      this.#marks = new MarkCatch({ program, log, isBusy: () => this.#director.services.hasMarkedConnections() });
      const director = new Director({
        memory: layConnectionMemory(table.buffer, data.maxConnections),
        seed: data.seed,
        now: now(),
        observer: xdpObserver(program, this.#marks),
        host: this.mirror,
      });
      this.#director = director;
      director.marks.onChange = (own) => this.#marks.setOwnReach(reachOf(own));
      director.fullnat.onChange = (addresses) => program.setFullnat(addresses);
      this.control = new LocalDataPlane(director, now);
      const kernel = new TunPort(bytes, log);
      this.#closers.push(() => kernel.close());
      this.engine = new Engine({
        director,
        frames: { view: new DataView(umem.buffer), bytes },
        adjacencies: this.mirror.adjacencies,
        kernel,
      });

      const pool = new FramePool(frames);
      for (const device of devices) {
        const link = new AfXdpLink({ device, program, umem, pool });
        this.#closers.push(() => this.#closeLink(link));
        this.#links.push(link);
        this.engine.links.push(link);
        this.mirror.drive(device.index, { link, mac: device.macBytes, mtu: device.mtu });
        director.marks.setDevice(device.index, device.name);
        log.info('device taken', { device: device.name, mode: link.mode, queues: link.queues });
      }
      this.mirror.list();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get links(): readonly AfXdpLink[] {
    return this.#links;
  }

  /** One line for status and labs: `engine (af-xdp native: eth0, eth1)`. */
  describe(): string {
    const modes = [...new Set(this.#links.map((link) => link.mode))];
    return `engine (af-xdp ${modes.join(' and ')}: ${this.#links.map((link) => link.name).join(', ')})`;
  }

  snapshot(): DataPlaneSnapshot {
    const caught = Object.entries(this.#program.counters()).map(([name, count]) => [`xdp-${name}`, count]);
    const egress = EGRESS_NAMES.map((name, i) => [name, this.engine.egress[i]]);
    const base = this.control.snapshotNow();
    return {
      ...base,
      verdicts: { ...base.verdicts, ...Object.fromEntries(egress), ...this.#lost(), ...Object.fromEntries(caught) },
      links: this.#links.map(({ name, mode, queues, rxPackets, txPackets }) => ({
        name,
        mode,
        queues,
        rxPackets,
        txPackets,
      })),
    };
  }

  /** Takes the kernel's firewall rules, and what they could mark. */
  setKernelRules(rules: PackedRules, reach: readonly Reach[]): void {
    this.#director.marks.setKernelRules(rules);
    this.#marks.setKernelReach(reach);
  }

  /** What has to be done once a second. */
  second(): void {
    this.mirror.confirm();
    this.#marks.release();
    this.#pools.second(this.#director.fullnat.snapshot());
  }

  connections(cursor: number): ConnectionPage {
    return this.control.connectionsNow(cursor);
  }

  /** Gives everything back to the kernel, in the reverse order. */
  close(): void {
    for (const close of this.#closers.splice(0).reverse()) close();
  }

  /** Packets that the kernel could not hand to the engine, over the devices that it has now. */
  #lost(): Record<string, number> {
    const lost = { 'drop-rx-ring-full': 0, 'drop-rx-no-frame': 0, 'drop-rx-other': 0 };
    for (const link of this.#links) {
      const { rxRingFull, fillRingEmpty, rxDropped } = link.statistics();
      lost['drop-rx-ring-full'] += rxRingFull;
      lost['drop-rx-no-frame'] += fillRingEmpty;
      lost['drop-rx-other'] += rxDropped;
    }
    return lost;
  }

  #follow(device: Device): void {
    const link = this.#links.find((candidate) => candidate.index === device.index);
    if (link === undefined) return;
    link.setMac(device.mac);
    this.#director.marks.setDevice(device.index, device.name);
    this.mirror.adjacencies.setLink(device.index, { link, mac: device.macBytes, mtu: device.mtu });
  }

  #abandon(index: number): void {
    const link = this.#links.find((candidate) => candidate.index === index);
    if (link === undefined) return;
    this.#log.error('device is gone: its traffic stops', { device: link.name });
    this.mirror.release(index);
    this.#closeLink(link);
  }

  #closeLink(link: AfXdpLink): void {
    const at = this.#links.indexOf(link);
    if (at === -1) return;
    this.#links.splice(at, 1);
    this.engine.links.splice(this.engine.links.indexOf(link), 1);
    link.close();
  }
}

/** The devices named, or all Ethernet devices that are up and have an address. */
function chooseDevices(mirror: KernelMirror, names: readonly string[]): Device[] {
  const chosen = findDevices(mirror, names);
  for (const device of chosen) {
    if (device.mtu <= MAX_MTU) continue;
    throw new Error(
      `device '${device.name}' has an MTU of ${device.mtu}, the engine takes packets of up to ${MAX_MTU} bytes: ` +
        `set it with 'ip link set ${device.name} mtu 1500', or name other devices with --interface DEV`,
    );
  }
  return chosen;
}

function findDevices(mirror: KernelMirror, names: readonly string[]): Device[] {
  const devices = mirror.devices();
  if (names.length === 0) {
    const found = devices.filter(
      (device) => device.type === ARPHRD_ETHER && device.up && mirror.hasAddress(device.index),
    );
    if (found.length > 0) return found;
    throw new Error('no Ethernet device is up and has an address: name one with --interface DEV');
  }
  return [...new Set(names)].map((name) => {
    const device = devices.find((candidate) => candidate.name === name);
    if (device === undefined) {
      const known = devices.map((candidate) => candidate.name).join(', ');
      throw new Error(`there is no device '${name}': the devices here are ${known}`);
    }
    if (device.type !== ARPHRD_ETHER) throw new Error(`device '${name}' is not Ethernet: XDP needs one that is`);
    if (!device.up) throw new Error(`device '${name}' is down: switch it on with 'ip link set ${name} up'`);
    return device;
  });
}

/** Protocols of a firewall-mark service. */
const PROTOCOLS: readonly Protocol[] = ['tcp', 'udp', 'sctp'];

/** Tells the XDP program what to catch. */
function xdpObserver(program: XdpProgram, marks: MarkCatch): ServiceObserver {
  /** Every port of the address where connections may come to other ports than the one named. */
  const serverEnds = (service: ServiceKey, { address, port }: ServerKey): Endpoint[] => {
    if (service.kind === 'fwmark') return PROTOCOLS.map((protocol) => ({ protocol, address, port: 0 }));
    const isAllPorts = service.port === 0 || service.port === FTP_PORT;
    return [{ protocol: service.protocol, address, port: isAllPorts ? 0 : port }];
  };
  const serviceEnd = (service: AddressKey): Endpoint => ({
    ...service,
    port: service.protocol === 'tcp' && service.port === FTP_PORT ? 0 : service.port,
  });
  return {
    serviceAdded: (service) => {
      if (service.kind === 'address') program.addService(serviceEnd(service));
      else marks.addMark(service.family, service.mark);
    },
    serviceRemoved: (service) => {
      if (service.kind === 'address') program.removeService(serviceEnd(service));
      else marks.removeMark(service.family, service.mark);
    },
    serverKnown: (service, server) => {
      for (const end of serverEnds(service, server)) program.addServer(end);
    },
    serverForgotten: (service, server) => {
      for (const end of serverEnds(service, server)) program.removeServer(end);
    },
  };
}

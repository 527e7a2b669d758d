// SPDX-License-Identifier: Apache-2.0
// The stage in memory: the engine between two memory links, with routes and neighbours fed by hand and a clock that
// moves when a case says so. No root, no device, no XDP program, and a kernel that only takes what it is given.

import { AdjacencyTable } from '../../src/dataplane/engine/adjacency.ts';
import { EGRESS_NAMES, Engine } from '../../src/dataplane/engine/engine.ts';
import { FramePool } from '../../src/dataplane/engine/frame-pool.ts';
import { FRAME_SIZE } from '../../src/dataplane/engine/link.ts';
import { LocalDataPlane } from '../../src/dataplane/engine/local.ts';
import { MemoryLink } from '../../src/dataplane/engine/memory-link.ts';
import { Paths } from '../../src/dataplane/engine/paths.ts';
import type { EngineRoute } from '../../src/dataplane/engine/route-table.ts';
import { connectionMemoryBytes, layConnectionMemory, TICKS_PER_SECOND } from '../../src/lvs/connection/layout.ts';
import { Director } from '../../src/lvs/director.ts';
import type { HostAddresses } from '../../src/lvs/host-addresses.ts';
import { type Address, addressFamily, addressWords, type Family } from '../../src/packet/address.ts';
import { macBytes } from '../support/raw-frame.ts';
import type { Framing, Station } from './case.ts';
import { emittedIn, frameFrom } from './ethernet.ts';
import type { Emitted, Stage } from './run-case.ts';
import { BACK, DIRECTOR_BACK, DIRECTOR_FRONT, FRONT, PREFIX, stationAddress, stationMac, VIP } from './stations.ts';

const FRAMES = 64;
const MAX_CONNECTIONS = 1024;
const MTU = 1500;
const FAMILIES: readonly Family[] = [4, 6];

/** A device of the director with who is behind it. */
interface Side {
  readonly link: MemoryLink;
  readonly mac: string;
  readonly address: Readonly<Record<Family, string>>;
  readonly stations: readonly Station[];
}

export class MemoryStage implements Stage {
  readonly kind = 'engine';
  readonly dataplane: LocalDataPlane;
  readonly #engine: Engine;
  readonly #pool = new FramePool(FRAMES);
  readonly #sides: readonly Side[];
  readonly #toKernel: Emitted[] = [];
  #now: number;

  /** @param startTick - where the clock begins; it wraps at 32 bits. */
  constructor(startTick = 0) {
    this.#now = startTick;
    const memory = layConnectionMemory(new ArrayBuffer(connectionMemoryBytes(MAX_CONNECTIONS)), MAX_CONNECTIONS);
    const adjacencies = new AdjacencyTable(() => {});
    const host = memoryHost(adjacencies);
    const director = new Director({ memory, seed: { k0: 1, k1: 2 }, now: startTick, host });
    const buffer = new ArrayBuffer(FRAMES * FRAME_SIZE);
    const bytes = new Uint8Array(buffer);
    this.dataplane = new LocalDataPlane(director, () => this.#now);
    this.#engine = new Engine({
      director,
      frames: { view: new DataView(buffer), bytes },
      adjacencies,
      kernel: {
        inject: (offset, length) => {
          this.#toKernel.push({ to: 'kernel', packet: bytes.slice(offset, offset + length) });
          return true;
        },
      },
    });
    const link = (name: string, index: number): MemoryLink => new MemoryLink({ name, index, pool: this.#pool, bytes });
    this.#sides = [
      { link: link('front', 1), mac: '02:00:00:00:00:d1', address: DIRECTOR_FRONT, stations: FRONT },
      { link: link('back', 2), mac: '02:00:00:00:00:d2', address: DIRECTOR_BACK, stations: BACK },
    ];
    for (const side of this.#sides) {
      this.#engine.links.push(side.link);
      adjacencies.setLink(side.link.index, { link: side.link, mac: Uint8Array.from(macBytes(side.mac)), mtu: MTU });
    }
    adjacencies.routes.replace(FAMILIES.flatMap((family) => this.#routes(family)));
    for (const { link: device, stations } of this.#sides) {
      for (const station of stations) {
        for (const family of FAMILIES) {
          const words = addressWords(stationAddress(station, family) as Address);
          const mac = Uint8Array.from(macBytes(stationMac(station)));
          adjacencies.setNeighbour(device.index, family, words, mac, false);
        }
      }
    }
  }

  /** Frames that are neither free nor in the hands of the test. */
  get lostFrames(): number {
    return FRAMES - this.#pool.free;
  }

  async exchange(from: Station, packet: Uint8Array, framing: Framing): Promise<readonly Emitted[]> {
    const side = this.#sides.find((candidate) => candidate.stations.includes(from))!;
    side.link.deliver(frameFrom(from, side.mac, packet, framing));
    this.#engine.turn(this.#now | 0);
    return this.#emitted();
  }

  /** What comes out by itself while so many seconds pass. */
  async emittedIn(seconds: number): Promise<readonly Emitted[]> {
    await this.pass(seconds);
    return this.#emitted();
  }

  #emitted(): Emitted[] {
    const sent = this.#sides.flatMap(({ link, mac, stations }) =>
      link.sent.splice(0).map((frame) => emittedIn(frame, mac, stations)),
    );
    return [...sent, ...this.#toKernel.splice(0)];
  }

  async verdicts(): Promise<Readonly<Record<string, number>>> {
    const egress = EGRESS_NAMES.map((name, i) => [name, this.#engine.egress[i]]);
    return { ...this.dataplane.snapshotNow().verdicts, ...Object.fromEntries(egress) };
  }

  async pass(seconds: number): Promise<void> {
    for (let i = 0; i < seconds * TICKS_PER_SECOND; i++) this.#engine.turn(++this.#now | 0);
  }

  #routes(family: Family): EngineRoute[] {
    const own = (address: string, interfaceIndex: number): EngineRoute =>
      route(address, family === 4 ? 32 : 128, 'local', interfaceIndex);
    const networks = this.#sides.flatMap(({ link, address }) => [
      own(address[family], link.index),
      route(address[family], PREFIX[family], 'unicast', link.index),
    ]);
    return [own(VIP[family], 1), ...networks];
  }
}

/** The director's addresses, as the routes have them; it speaks to servers by the one behind. */
function memoryHost(adjacencies: AdjacencyTable): HostAddresses {
  const paths = new Paths(adjacencies);
  for (const family of FAMILIES) {
    paths.addSource(1, family, addressWords(DIRECTOR_FRONT[family] as Address));
    paths.addSource(2, family, addressWords(DIRECTOR_BACK[family] as Address));
  }
  return {
    get changes() {
      return paths.changes;
    },
    get leastMtu() {
      return paths.leastMtu;
    },
    isLocal: (family, words) => paths.isLocal(family, words),
    pathTo: (family, words) => paths.pathTo(family, words),
    sourceFor: (family) => addressWords(DIRECTOR_BACK[family === 4 ? 4 : 6] as Address),
    deliversMarked: (family, _source, destination) => paths.isLocal(family, destination),
  };
}

function route(
  destination: string,
  prefixLength: number,
  kind: EngineRoute['kind'],
  interfaceIndex: number,
): EngineRoute {
  const address = destination as Address;
  const family = addressFamily(address);
  return { family, destination: addressWords(address), prefixLength, kind, metric: 0, interfaceIndex };
}

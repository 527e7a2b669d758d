// SPDX-License-Identifier: Apache-2.0
// The director in the oracle's world: the engine between two memory links, with the routes and neighbours that the
// kernel's side has and a clock that is moved by hand. What it gives back to the kernel is told apart.

import { runIpvsadm } from '../../src/cli/ipvsadm/run.ts';
import { AdjacencyTable } from '../../src/dataplane/engine/adjacency.ts';
import { Engine } from '../../src/dataplane/engine/engine.ts';
import { FramePool } from '../../src/dataplane/engine/frame-pool.ts';
import { FRAME_SIZE } from '../../src/dataplane/engine/link.ts';
import { LocalDataPlane } from '../../src/dataplane/engine/local.ts';
import { MemoryLink } from '../../src/dataplane/engine/memory-link.ts';
import { Paths } from '../../src/dataplane/engine/paths.ts';
import type { EngineRoute } from '../../src/dataplane/engine/route-table.ts';
import { connectionMemoryBytes, layConnectionMemory, MS_PER_TICK } from '../../src/lvs/connection/layout.ts';
import { Director } from '../../src/lvs/director.ts';
import type { PortList } from '../../src/lvs/port-list.ts';
import { ANSWER, LOCAL } from '../../src/lvs/verdict.ts';
import { type Address, addressFamily, addressWords } from '../../src/packet/address.ts';
import type { Prefix } from '../../src/packet/prefix.ts';
import { fromHex, hex } from '../support/frames.ts';
import { macBytes } from '../support/raw-frame.ts';
import { deliveredOf, type Emission } from './outcome.ts';
import type { Scenario } from './scenario.ts';
import {
  FAMILIES,
  frameInto,
  MTUS,
  type Mtus,
  ownAddresses,
  PREFIX,
  ROUTER,
  SERVERS,
  SIDE_NAMES,
  SIDES,
  type Side,
  serverAddress,
  serverMac,
} from './world.ts';

const FRAMES = 64;
const MAX_CONNECTIONS = 8192;
const INDEXES: Readonly<Record<Side, number>> = { front: 1, back: 2 };

/** What the director made of a packet. */
export interface Exchange {
  readonly emissions: readonly Emission[];
  /** It was not the director's: the kernel got it. */
  readonly isPassed: boolean;
}

export class DirectorWorld {
  readonly director: Director;
  readonly #dataplane: LocalDataPlane;
  readonly #engine: Engine;
  readonly #pool = new FramePool(FRAMES);
  readonly #links: Readonly<Record<Side, MemoryLink>>;
  /**
   * A connection ended with a packet that the kernel answers itself. There the answer looks like one of the connection's, if
   * that is not NAT, and revives it.
   */
  isInDoubt = false;
  #now = 0;
  #passed = 0;
  readonly #delivered: Emission[] = [];
  /** Verdicts LOCAL before the present packet. */
  #local = 0;
  readonly #isMuted: boolean;
  readonly #mtus: Mtus;

  constructor({ marks, mtus = MTUS, hasLocalServers = false }: Omit<Scenario, 'name' | 'steps'>) {
    this.#mtus = mtus;
    this.#isMuted = hasLocalServers;
    const memory = layConnectionMemory(new ArrayBuffer(connectionMemoryBytes(MAX_CONNECTIONS)), MAX_CONNECTIONS);
    const adjacencies = new AdjacencyTable(() => {});
    const paths = new Paths(adjacencies);
    for (const side of SIDE_NAMES) {
      for (const family of FAMILIES) {
        paths.addSource(INDEXES[side], family, addressWords(SIDES[side].address[family] as Address));
      }
    }
    this.director = new Director({
      memory,
      seed: { k0: 1, k1: 2 },
      now: 0,
      host: {
        get changes() {
          return paths.changes;
        },
        get leastMtu() {
          return paths.leastMtu;
        },
        isLocal: (family, words) => paths.isLocal(family, words),
        pathTo: (family, words) => paths.pathTo(family, words),
        sourceFor: (family) => addressWords(SIDES.back.address[family === 4 ? 4 : 6] as Address),
        deliversMarked: () => true,
      },
      icmpRate: { perSecond: Number.POSITIVE_INFINITY, burst: Number.POSITIVE_INFINITY },
    });
    this.#dataplane = new LocalDataPlane(this.director, () => this.#now);
    for (const { protocol, virtual, virtualPort, mark } of marks) {
      const rule = { mark, protocol, destination: virtual as Prefix, destinationPorts: `${virtualPort}` as PortList };
      this.#dataplane.applyNow({ type: 'add-mark', rule });
    }
    const buffer = new ArrayBuffer(FRAMES * FRAME_SIZE);
    const bytes = new Uint8Array(buffer);
    this.#engine = new Engine({
      director: this.director,
      frames: { view: new DataView(buffer), bytes },
      adjacencies,
      kernel: {
        inject: (offset, length) => {
          if (this.director.verdicts[LOCAL] > this.#local)
            this.#delivered.push(deliveredOf(bytes.slice(offset, offset + length)));
          else this.#passed++;
          return true;
        },
      },
    });
    const link = (side: Side): MemoryLink =>
      new MemoryLink({ name: side, index: INDEXES[side], pool: this.#pool, bytes });
    this.#links = { front: link('front'), back: link('back') };
    this.#connect(adjacencies);
  }

  /** Moves the clock to so many milliseconds since the beginning; timers run on the way. */
  moveTo(ms: number): void {
    const target = Math.floor(ms / MS_PER_TICK);
    while (this.#now < target) this.#engine.turn(++this.#now | 0);
    // What it says of fragments that waited in vain; the kernel's side does not wait so long.
    for (const side of SIDE_NAMES) this.#links[side].sent.length = 0;
  }

  get now(): number {
    return this.#now;
  }

  exchange(side: Side, packet: Uint8Array): Exchange {
    const passed = this.#passed;
    this.#local = this.director.verdicts[LOCAL];
    const answers = this.director.verdicts[ANSWER];
    const { table } = this.director.connections;
    const before = table.count;
    this.#links[side].deliver(frameInto(side, packet));
    this.#engine.turn(this.#now | 0);
    const sent = SIDE_NAMES.flatMap((each) =>
      this.#links[each].sent.splice(0).map((frame) => ({ side: each, frame: hex(frame) })),
    );
    const isRefusal = this.#isMuted && this.director.verdicts[ANSWER] > answers && sent.every(isPortUnreachable);
    const emissions = isRefusal ? [] : [...sent, ...this.#delivered.splice(0)];
    const isPassed = this.#passed > passed;
    this.isInDoubt ||= isPassed && table.count < before;
    return { emissions, isPassed };
  }

  async ipvsadm(args: readonly string[], input = ''): Promise<{ status: number; output: string }> {
    let stdout = '';
    let stderr = '';
    const io = {
      stdin: [input],
      stdout: (text: string): void => {
        stdout += text;
      },
      stderr: (text: string): void => {
        stderr += text;
      },
    };
    const status = await runIpvsadm(args, io, this.#dataplane);
    return { status, output: stdout + stderr };
  }

  sysctl(name: string, value: number): void {
    this.#dataplane.applyNow({ type: 'set-sysctls', values: { [name]: value } });
  }

  #connect(adjacencies: AdjacencyTable): void {
    for (const side of SIDE_NAMES) {
      const link = this.#links[side];
      this.#engine.links.push(link);
      adjacencies.setLink(link.index, { link, mac: Uint8Array.from(macBytes(SIDES[side].mac)), mtu: this.#mtus[side] });
    }
    adjacencies.routes.replace(routes());
    const setNeighbour = (side: Side, address: string, mac: string): void => {
      const family = addressFamily(address as Address);
      const words = addressWords(address as Address);
      adjacencies.setNeighbour(INDEXES[side], family, words, Uint8Array.from(macBytes(mac)), false);
    };
    for (const family of FAMILIES) {
      setNeighbour('front', ROUTER.address[family], ROUTER.mac);
      for (let i = 1; i <= SERVERS; i++) setNeighbour('back', serverAddress(i, family), serverMac(i));
    }
    // What was found out before is over.
    adjacencies.forget(() => {});
  }
}

/** What the kernel's side cannot tell from refusals of its own stack, which is muted. */
function isPortUnreachable({ frame }: Emission): boolean {
  const packet = fromHex(frame).subarray(14);
  return packet[0] >>> 4 === 4 ? packet[20] === 3 && packet[21] === 3 : packet[40] === 1 && packet[41] === 4;
}

function routes(): EngineRoute[] {
  return FAMILIES.flatMap((family) => {
    const whole = family === 4 ? 32 : 128;
    const route = (address: string, prefixLength: number, kind: EngineRoute['kind'], side: Side): EngineRoute => ({
      family,
      destination: addressWords(address as Address),
      prefixLength,
      kind,
      metric: 0,
      interfaceIndex: INDEXES[side],
    });
    const own = ownAddresses(family).map((address) => route(address, whole, 'local', 'front'));
    const links = SIDE_NAMES.flatMap((side) => [
      route(SIDES[side].address[family], whole, 'local', side),
      route(SIDES[side].address[family], PREFIX[family], 'unicast', side),
    ]);
    const router = addressWords(ROUTER.address[family] as Address);
    const everywhere = route(family === 4 ? '0.0.0.0' : '::', 0, 'unicast', 'front');
    return [...own, ...links, { ...everywhere, gateway: { family, words: router } }];
  });
}

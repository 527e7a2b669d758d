// SPDX-License-Identifier: Apache-2.0
// The engine over a packet source that needs no kernel, as the engine benchmarks use it: one service, four servers, one
// gateway, tables in mapped memory as in the daemon.

import { AdjacencyTable } from '../src/dataplane/engine/adjacency.ts';
import { Engine } from '../src/dataplane/engine/engine.ts';
import { FramePool } from '../src/dataplane/engine/frame-pool.ts';
import { BATCH, FRAME_SIZE, FrameBatch } from '../src/dataplane/engine/link.ts';
import { LocalDataPlane } from '../src/dataplane/engine/local.ts';
import { Mapping } from '../src/linux/memory.ts';
import { connectionMemoryBytes, layConnectionMemory } from '../src/lvs/connection/layout.ts';
import { Director } from '../src/lvs/director.ts';
import type { ServiceKey } from '../src/lvs/model.ts';
import { type Address, addressWords } from '../src/packet/address.ts';
import { PacketSource, type Pattern } from './packet-source.ts';

const FRAMES = 512;
const VIP = '192.0.2.1';
const SERVERS = ['198.51.100.1', '198.51.100.2', '198.51.100.3', '198.51.100.4'];

export class Rig {
  readonly source: PacketSource;
  readonly director: Director;
  readonly #engine: Engine;
  readonly #pool = new FramePool(FRAMES);
  readonly #batch = new FrameBatch();
  readonly #table: Mapping;
  now = 0;

  constructor(maxConnections: number) {
    const bytes = new Uint8Array(new ArrayBuffer(FRAMES * FRAME_SIZE));
    this.source = new PacketSource(
      {
        pool: this.#pool,
        bytes,
        virtualAddress: word(VIP),
        virtualPort: 80,
        servers: SERVERS.map(word),
        serverPort: 8080,
      },
      maxConnections,
    );
    this.#table = Mapping.anonymous(connectionMemoryBytes(maxConnections), { hugePages: true });
    const memory = layConnectionMemory(this.#table.buffer, maxConnections);
    this.director = new Director({ memory, seed: { k0: 0x2545f491, k1: 0x4f6cdd1d }, now: 0 });
    configure(new LocalDataPlane(this.director, () => this.now));
    const adjacencies = new AdjacencyTable(() => {});
    adjacencies.setLink(1, { link: this.source, mac: new Uint8Array(6), mtu: 1500 });
    const gateway = { family: 4 as const, words: [word('203.0.113.1'), 0, 0, 0] as const };
    adjacencies.setNeighbour(1, 4, gateway.words, new Uint8Array(6).fill(2), false);
    adjacencies.routes.replace([
      { family: 4, destination: [0, 0, 0, 0], prefixLength: 0, kind: 'unicast', metric: 0, interfaceIndex: 1, gateway },
    ]);
    const frames = { view: new DataView(bytes.buffer), bytes };
    this.#engine = new Engine({ director: this.director, frames, adjacencies, kernel: { inject: () => false } });
    this.#engine.links.push(this.source);
  }

  /** Nanoseconds per packet of `count` packets through the engine; throws unless all of them came out. */
  through(pattern: Pattern, flows: number, count: number): number {
    this.source.pattern = pattern;
    this.source.flows = flows;
    const before = this.source.txPackets;
    const start = performance.now();
    for (let done = 0; done < count; done += BATCH) {
      this.#engine.turn(this.now);
      if ((done & 0xfff) === 0) this.now++;
    }
    const elapsed = performance.now() - start;
    const sent = this.source.txPackets - before;
    const expected = Math.ceil(count / BATCH) * BATCH;
    if (sent !== expected) throw new Error(`${expected - sent} of ${expected} packets did not come out`);
    return (elapsed * 1e6) / sent;
  }

  /** Nanoseconds per packet of making and giving back packets alone. */
  sourceOnly(pattern: Pattern, flows: number, count: number): number {
    this.source.pattern = pattern;
    this.source.flows = flows;
    const start = performance.now();
    let made = 0;
    for (; made < count; made += BATCH) {
      const received = this.source.receive(this.#batch);
      for (let i = 0; i < received; i++) this.source.recycle(this.#batch.offsets[i]);
    }
    return ((performance.now() - start) * 1e6) / made;
  }

  close(): void {
    this.#table.close();
  }
}

function configure(dataplane: LocalDataPlane): void {
  const service: ServiceKey = { kind: 'address', protocol: 'tcp', address: VIP as Address, port: 80 };
  const options = { scheduler: 'rr', schedulerFlags: [], onePacket: false };
  dataplane.applyNow({ type: 'add-service', service, options });
  for (const address of SERVERS) {
    dataplane.applyNow({
      type: 'add-server',
      service,
      server: { address: address as Address, port: 8080 },
      options: { method: 'nat', weight: 1, upperThreshold: 0, lowerThreshold: 0 },
    });
  }
}

function word(address: string): number {
  return addressWords(address as Address)[0];
}

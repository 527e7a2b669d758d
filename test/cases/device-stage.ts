// SPDX-License-Identifier: Apache-2.0
// The stage of real devices: the daemon as users run it, in a network namespace with two veth pairs, driven through its
// API; raw frames at the far ends are the client and the servers. Needs root. Frames of the stage's own, the probes, follow
// each packet on its way, so that its end is an event and not a pause. One daemon serves all cases.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiDataPlane } from '../../src/cli/client.ts';
import { setOffloads } from '../../src/linux/ethtool.ts';
import { PollSet } from '../../src/linux/poll.ts';
import { writeSysctl } from '../../src/linux/sysctl.ts';
import type { Family } from '../../src/packet/address.ts';
import { BALLAST } from '../support/ballast-process.ts';
import { eventually } from '../support/eventually.ts';
import { tcp } from '../support/frames.ts';
import { type FrameSocket, VethLab, type VethPair } from '../support/veth-lab.ts';
import type { Framing, Station } from './case.ts';
import { emittedIn, frameFrom } from './ethernet.ts';
import { type Emitted, ipvsadm, type Stage } from './run-case.ts';
import {
  BACK,
  CLIENT,
  DIRECTOR_BACK,
  DIRECTOR_FRONT,
  FRONT,
  PREFIX,
  serverAddress,
  stationAddress,
  stationMac,
  VIP,
} from './stations.ts';

const FAMILIES: readonly Family[] = [4, 6];
const PATIENCE_MS = 10_000;

const ETH_P_ARP = 0x0806;
const IPPROTO_HOPOPTS = 0;
const IPPROTO_TCP = 6;
const IPPROTO_ICMPV6 = 58;
/** Router and neighbour discovery, RFC 4861 §4. */
const DISCOVERY_TYPES: readonly number[] = [133, 134, 135, 136];

/** TCP port of the service, the server and the client between which probes go. */
const PROBE_PORT = 9;
const PROBE_SERVICE = [
  `-A -t ${VIP[4]}:${PROBE_PORT} -s rr`,
  `-a -t ${VIP[4]}:${PROBE_PORT} -r ${serverAddress(1, 4)}:${PROBE_PORT} -m`,
].join('\n');

/** The kernel forwards, answers as often as it is asked, and chooses no flow labels. */
const SETTINGS: Readonly<Record<string, string>> = {
  'net.ipv4.ip_forward': '1',
  'net.ipv6.conf.all.forwarding': '1',
  'net.ipv4.conf.all.rp_filter': '0',
  'net.ipv4.conf.default.rp_filter': '0',
  'net.ipv4.icmp_ratelimit': '0',
  'net.ipv6.icmp.ratelimit': '0',
  'net.ipv6.auto_flowlabels': '0',
};

interface Side {
  readonly pair: VethPair;
  readonly address: Readonly<Record<Family, string>>;
  readonly stations: readonly Station[];
}

interface OpenSide extends Side {
  readonly socket: FrameSocket;
}

export class DeviceStage implements Stage {
  readonly kind = 'xdp';
  readonly dataplane: ApiDataPlane;
  readonly #lab: VethLab;
  readonly #sides: readonly OpenSide[];
  readonly #polls = new PollSet(2);
  readonly #daemon: ChildProcess;
  readonly #folder: string;
  #serial = 0;
  #probes = 0;

  private constructor(
    lab: VethLab,
    sides: readonly OpenSide[],
    daemon: ChildProcess,
    folder: string,
    dataplane: ApiDataPlane,
  ) {
    this.#lab = lab;
    this.#sides = sides;
    this.#daemon = daemon;
    this.#folder = folder;
    this.dataplane = dataplane;
    for (const { socket } of sides) this.#polls.add(socket.fd);
  }

  /** Builds the network and starts the daemon; what fails is undone. */
  static async open(): Promise<DeviceStage> {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-cases-'));
    const lab = new VethLab();
    let daemon: ChildProcess | undefined;
    const sockets: FrameSocket[] = [];
    try {
      const sides = buildNetwork(lab).map((side): OpenSide => {
        const socket = lab.open(side.pair.far);
        sockets.push(socket);
        return { ...side, socket };
      });
      const path = join(folder, 'a.sock');
      const args = ['run', '--foreground', '--log-level', 'warn', '--socket', path, '--max-connections', '4096'];
      const devices = sides.flatMap(({ pair }) => ['--interface', pair.near.name]);
      daemon = lab.run(() =>
        spawn(process.execPath, [BALLAST, ...args, ...devices], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }),
      );
      await ready(daemon);
      return new DeviceStage(lab, sides, daemon, folder, new ApiDataPlane(path));
    } catch (error) {
      for (const socket of sockets) socket.close();
      await end(daemon);
      lab.close();
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Takes all services away and sets the timeouts as they were. Connections of earlier cases live on. */
  async reset(): Promise<void> {
    await ipvsadm(this, ['-C']);
    await ipvsadm(this, ['--set', '900', '120', '300']);
    await ipvsadm(this, ['-R'], PROBE_SERVICE);
    // Opens the probes' connection; from now on they go both ways.
    const strays = [...(await this.#follow('client', 0)), ...(await this.#follow('server 1', 0))];
    if (strays.length > 0) throw new Error(`frames are left over: ${strays.map(({ to }) => to).join(', ')}`);
  }

  async exchange(from: Station, packet: Uint8Array, framing: Framing, awaited: number): Promise<readonly Emitted[]> {
    const { socket, pair } = this.#sideOf(from);
    socket.send(frameFrom(from, pair.near.mac, packet, framing));
    return await this.#follow(from, awaited);
  }

  async verdicts(): Promise<Readonly<Record<string, number>>> {
    const { verdicts } = await this.dataplane.snapshot();
    return { ...verdicts, forward: verdicts.forward - this.#probes };
  }

  async pass(_seconds: number, isOver: () => Promise<boolean>): Promise<void> {
    await eventually('the end of connections', async () => ((await isOver()) ? true : undefined));
  }

  /** Ends the daemon and removes the network. Throws when the daemon did not end as it should. */
  async close(): Promise<void> {
    await this.dataplane.close();
    for (const { socket } of this.#sides) socket.close();
    const status = await end(this.#daemon);
    this.#lab.close();
    rmSync(this.#folder, { recursive: true, force: true });
    if (status !== 0) throw new Error(`the daemon ended with status ${status}`);
  }

  /** Sends a probe behind what `from` sent and returns all that comes out until it does, and `awaited` packets have. */
  async #follow(from: Station, awaited: number): Promise<Emitted[]> {
    const serial = ++this.#serial;
    const { socket, pair } = this.#sideOf(from);
    const isClient = from === 'client';
    const ports = { sport: PROBE_PORT, dport: PROBE_PORT, seq: serial };
    // These two keep their connection where it is for a minute, whatever timeouts a case sets.
    const probe = isClient
      ? tcp({ src: CLIENT[4], dst: VIP[4], flags: 'S', ...ports })
      : tcp({ src: serverAddress(1, 4), dst: CLIENT[4], flags: 'SA', ...ports });
    socket.send(frameFrom(isClient ? 'client' : 'server 1', pair.near.mac, probe, {}));
    this.#probes++;

    const emitted: Emitted[] = [];
    let isDone = false;
    const deadline = performance.now() + PATIENCE_MS;
    while (!isDone || emitted.length < awaited) {
      for (const packet of this.#receive()) {
        if (!isProbe(packet)) emitted.push(packet);
        else if (readSerial(packet) === serial) isDone = true;
      }
      if (isDone && emitted.length >= awaited) break;
      const left = deadline - performance.now();
      if (left <= 0) break;
      this.#polls.wait(Math.ceil(left));
    }
    if (!isDone) throw new Error(`probe ${serial} from ${from} has not come out`);
    return emitted;
  }

  /** Every frame that waits at a far end, without what hosts tell each other of addresses and groups. */
  #receive(): Emitted[] {
    return this.#sides.flatMap(({ socket, pair, stations }) => {
      const emitted: Emitted[] = [];
      for (let frame = socket.receive(); frame !== undefined; frame = socket.receive()) {
        if (!isHousekeeping(frame)) emitted.push(emittedIn(frame, pair.near.mac, stations));
      }
      return emitted;
    });
  }

  #sideOf(station: Station): OpenSide {
    return this.#sides.find(({ stations }) => stations.includes(station))!;
  }
}

function buildNetwork(lab: VethLab): Side[] {
  lab.run(() => {
    for (const [name, value] of Object.entries(SETTINGS)) writeSysctl(name, value);
  });
  lab.ip('link', 'set', 'lo', 'up');
  const sides: Side[] = [
    { pair: lab.addPair('front'), address: DIRECTOR_FRONT, stations: FRONT },
    { pair: lab.addPair('back'), address: DIRECTOR_BACK, stations: BACK },
  ];
  for (const family of FAMILIES) {
    lab.ip('address', 'add', `${VIP[family]}/${family === 4 ? 32 : 128}`, 'dev', 'lo');
    for (const { pair, address, stations } of sides) {
      lab.run(() => {
        writeSysctl(`net.ipv4.conf.${pair.near.name}.rp_filter`, '0');
        // The far end sees what the kernel hands over: without this, checksums that a device would complete.
        setOffloads(pair.near.name, { txChecksum: false });
      });
      const nodad = family === 6 ? ['nodad'] : [];
      lab.ip('address', 'add', `${address[family]}/${PREFIX[family]}`, 'dev', pair.near.name, ...nodad);
      for (const station of stations) {
        const mac = ['lladdr', stationMac(station), 'nud', 'permanent'];
        lab.ip('neighbour', 'add', stationAddress(station, family), ...mac, 'dev', pair.near.name);
      }
    }
  }
  return sides;
}

function isProbe({ packet }: Emitted): boolean {
  const toProbePort = ((packet[22] << 8) | packet[23]) === PROBE_PORT;
  return packet[0] === 0x45 && packet[9] === IPPROTO_TCP && toProbePort;
}

function readSerial({ packet }: Emitted): number {
  return new DataView(packet.buffer, packet.byteOffset).getUint32(24);
}

/** ARP, router and neighbour discovery, and group reports (which alone here carry a hop-by-hop header to a group). */
function isHousekeeping(frame: Uint8Array): boolean {
  if (((frame[12] << 8) | frame[13]) === ETH_P_ARP) return true;
  const packet = frame.subarray(14);
  if (packet[0] >>> 4 !== 6) return false;
  if (packet[6] === IPPROTO_ICMPV6) return DISCOVERY_TYPES.includes(packet[40]);
  return packet[6] === IPPROTO_HOPOPTS && packet[24] === 0xff;
}

/** Settles when the daemon says that it runs; throws with its own words when it does not. */
async function ready(daemon: ChildProcess): Promise<void> {
  const exited = once(daemon, 'exit').then(([status]) => {
    throw new Error(`the daemon ended with status ${status} before it was ready`);
  });
  const [report] = (await Promise.race([once(daemon, 'message'), exited])) as [{ type: string; message?: string }];
  exited.catch(() => {});
  if (report.type !== 'ready') throw new Error(`the daemon did not start: ${report.message}`);
}

async function end(daemon: ChildProcess | undefined): Promise<number | null> {
  if (daemon === undefined) return null;
  if (daemon.exitCode === null && daemon.signalCode === null) {
    const exited = once(daemon, 'exit');
    daemon.kill('SIGTERM');
    await exited;
  }
  return daemon.exitCode;
}

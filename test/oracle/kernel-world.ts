// SPDX-License-Identifier: Apache-2.0
// A director made of the kernel's own IPVS, inside User Mode Linux: a namespace with the world's devices, addresses and
// neighbours, and packet sockets at the far ends. Sending a frame runs it through the kernel before the call returns
// (one CPU, veth), so what came out of it can be read at once.

import { execFileSync, spawnSync } from 'node:child_process';
import { setOffloads } from '../../src/linux/ethtool.ts';
import { createNamespace, inNamespace, removeNamespace } from '../../src/linux/netns.ts';
import { PollSet } from '../../src/linux/poll.ts';
import { addAddress } from '../../src/linux/route/address.ts';
import { changeLink, createVeth, getLink } from '../../src/linux/route/link.ts';
import { setNeighbour } from '../../src/linux/route/neighbour.ts';
import { addRoute } from '../../src/linux/route/route.ts';
import { openRouteSocket } from '../../src/linux/route/route-socket.ts';
import { writeSysctl } from '../../src/linux/sysctl.ts';
import type { Address, Family } from '../../src/packet/address.ts';
import { addressBytes, hex } from '../support/frames.ts';
import { macBytes } from '../support/raw-frame.ts';
import { FrameSocket } from '../support/veth-lab.ts';
import { LocalTaps } from './local-taps.ts';
import type { Emission } from './outcome.ts';
import type { MarkRule } from './scenario.ts';
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

/** The namespace of the far ends, shared by all worlds. */
const FAR = 'far';

const SETTINGS: Readonly<Record<string, string>> = {
  'net.ipv4.ip_forward': '1',
  'net.ipv6.conf.all.forwarding': '1',
  'net.ipv6.conf.all.accept_dad': '0',
  'net.ipv6.conf.default.accept_dad': '0',
  'net.ipv4.conf.all.rp_filter': '0',
  'net.ipv4.conf.default.rp_filter': '0',
  'net.ipv4.icmp_ratelimit': '0',
  'net.ipv6.icmp.ratelimit': '0',
  'net.ipv6.auto_flowlabels': '0',
  // Nobody hears of fragments that wait in vain.
  'net.ipv4.ipfrag_time': '3600',
  'net.ipv6.ip6frag_time': '3600',
};

const ETH_P_ARP = 0x0806;
const ARP_REPLY = 2;
const PATIENCE_MS = 1000;
/** Of the far ends, which take everything. */
const FAR_MTU = 9000;
const IPPROTO_ICMPV6 = 58;
const IPPROTO_HOPOPTS = 0;
const DISCOVERY: readonly number[] = [133, 134, 135, 136];

/** Once, before the first world. */
export function prepareFarEnd(): void {
  createNamespace(FAR);
  inNamespace(FAR, () => {
    for (const scope of ['all', 'default']) writeSysctl(`net.ipv6.conf.${scope}.disable_ipv6`, '1');
  });
  // One limit for all namespaces of this kernel.
  writeSysctl('net.ipv4.icmp_msgs_per_sec', '100000000');
  writeSysctl('net.ipv4.icmp_msgs_burst', '100000000');
}

export interface KernelWorldOptions {
  readonly mtus?: Mtus | undefined;
  /** Tells what the network stack is given, and lets it not refuse that. */
  readonly isTapped?: boolean | undefined;
}

export class KernelWorld {
  readonly name: string;
  readonly #sockets: Readonly<Record<Side, FrameSocket>>;
  readonly #polls = new PollSet(1);

  readonly #taps: LocalTaps | undefined;

  constructor(name: string, { mtus = MTUS, isTapped = false }: KernelWorldOptions = {}) {
    this.name = name;
    createNamespace(name);
    this.#taps = inNamespace(name, () => {
      this.#furnish(mtus);
      if (!isTapped) return undefined;
      muteStack();
      return new LocalTaps();
    });
    this.#sockets = inNamespace(FAR, () => ({ front: this.#open('front'), back: this.#open('back') }));
    this.#polls.add(this.#sockets.front.fd);
  }

  /** Sends an IP packet in and returns what leaves. */
  exchange(side: Side, packet: Uint8Array): Emission[] {
    this.#sockets[side].send(frameInto(side, packet));
    return this.#follow();
  }

  /** Has the kernel answer a question of our own, which it does in turn: what leaves before that is of the packet. */
  #follow(): Emission[] {
    const { front, back } = this.#sockets;
    const emissions: Emission[] = [];
    front.send(QUESTION);
    for (;;) {
      const frame = front.receive();
      if (frame === undefined) this.#polls.wait(PATIENCE_MS);
      else if (isArpReply(frame)) break;
      else if (!isHousekeeping(frame)) emissions.push({ side: 'front', frame: hex(frame) });
    }
    for (let frame = back.receive(); frame !== undefined; frame = back.receive()) {
      if (!isHousekeeping(frame)) emissions.push({ side: 'back', frame: hex(frame) });
    }
    return this.#taps === undefined ? emissions : [...emissions, ...this.#taps.take()];
  }

  /** Runs the real ipvsadm. */
  ipvsadm(args: readonly string[], input = ''): { status: number; output: string } {
    const { status, stdout, stderr, error, signal } = inNamespace(this.name, () =>
      spawnSync('ipvsadm', args, { input, encoding: 'utf8' }),
    );
    if (error !== undefined || status === null) {
      throw new Error(`ipvsadm ${args.join(' ')}: ${signal ?? error?.message}`);
    }
    return { status, output: stdout + stderr };
  }

  sysctl(name: string, value: number): void {
    inNamespace(this.name, () => writeSysctl(`net.ipv4.vs.${name}`, value));
  }

  mark(rules: readonly MarkRule[]): void {
    // This kernel's nf_tables knows no IP.
    for (const { family, protocol, virtual, virtualPort, mark } of rules) {
      const match = ['-d', virtual, '-p', protocol, '--dport', String(virtualPort)];
      const args = ['-t', 'mangle', '-A', 'PREROUTING', ...match, '-j', 'MARK', '--set-mark', String(mark)];
      const program = family === 4 ? 'iptables-legacy' : 'ip6tables-legacy';
      inNamespace(this.name, () => execFileSync(program, args));
    }
  }

  close(): void {
    for (const socket of Object.values(this.#sockets)) socket.close();
    this.#taps?.close();
    removeNamespace(this.name);
  }

  #furnish(mtus: Mtus): void {
    for (const [name, value] of Object.entries(SETTINGS)) writeSysctl(name, value);
    const socket = openRouteSocket();
    try {
      changeLink(socket, 'lo', { up: true });
      for (const side of SIDE_NAMES) {
        const far = { name: this.#far(side), namespace: FAR, mtu: FAR_MTU };
        createVeth(socket, { name: side, mac: SIDES[side].mac, mtu: mtus[side] }, far);
        // Checksums that are left to the device would not be in the frames.
        setOffloads(side, { txChecksum: false });
        writeSysctl(`net.ipv4.conf.${side}.rp_filter`, '0');
        changeLink(socket, side, { up: true });
      }
      for (const family of FAMILIES) {
        for (const address of ownAddresses(family)) {
          addAddress(socket, 'lo', address as Address, family === 4 ? 32 : 128, { nodad: true });
        }
        for (const side of SIDE_NAMES) {
          addAddress(socket, side, SIDES[side].address[family] as Address, PREFIX[family], { nodad: true });
        }
        setNeighbour(socket, 'front', ROUTER.address[family] as Address, ROUTER.mac);
        for (let i = 1; i <= SERVERS; i++)
          setNeighbour(socket, 'back', serverAddress(i, family) as Address, serverMac(i));
        const destination = (family === 4 ? '0.0.0.0' : '::') as Address;
        addRoute(socket, { destination, prefixLength: 0, gateway: ROUTER.address[family] as Address, device: 'front' });
      }
    } finally {
      socket.close();
    }
  }

  #open(side: Side): FrameSocket {
    const socket = openRouteSocket();
    try {
      changeLink(socket, this.#far(side), { up: true });
      const { index } = getLink(socket, this.#far(side));
      return new FrameSocket({ name: this.#far(side), index, mac: '' });
    } finally {
      socket.close();
    }
  }

  #far(side: Side): string {
    return `${this.name}-${side}`;
  }
}

/**
 * The stack's own refusals, of what is for servers on the director itself, would count as those servers' answers, as they would
 * in life. The director's side has no stack.
 */
function muteStack(): void {
  const rules = (family: Family, refusals: readonly string[]): string =>
    [
      '*mangle',
      ...ownAddresses(family).flatMap((address) =>
        refusals.map((refusal) => `-A OUTPUT -s ${address} ${refusal} -j DROP`),
      ),
      'COMMIT',
      '',
    ].join('\n');
  const ipv4 = ['-p tcp', '-p icmp --icmp-type port-unreachable', '-p icmp --icmp-type protocol-unreachable'];
  const ipv6 = ['-p tcp', '-p icmpv6 --icmpv6-type port-unreachable'];
  execFileSync('iptables-legacy-restore', ['--noflush'], { input: rules(4, ipv4) });
  execFileSync('ip6tables-legacy-restore', ['--noflush'], { input: rules(6, ipv6) });
}

/** An ARP request of the router for the director's address on its side (RFC 826). */
const QUESTION: Uint8Array = Uint8Array.from([
  ...macBytes(SIDES.front.mac),
  ...macBytes(ROUTER.mac),
  ...[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1],
  ...macBytes(ROUTER.mac),
  ...addressBytes(ROUTER.address[4]),
  ...[0, 0, 0, 0, 0, 0],
  ...addressBytes(SIDES.front.address[4]),
]);

function isArpReply(frame: Uint8Array): boolean {
  return typeOf(frame) === ETH_P_ARP && frame[21] === ARP_REPLY;
}

function typeOf(frame: Uint8Array): number {
  return (frame[12] << 8) | frame[13];
}

/** ARP, neighbour and router discovery, and reports to groups. */
function isHousekeeping(frame: Uint8Array): boolean {
  if (typeOf(frame) === ETH_P_ARP) return true;
  const packet = frame.subarray(14);
  if (packet[0] >>> 4 !== 6) return false;
  if (packet[6] === IPPROTO_ICMPV6) return DISCOVERY.includes(packet[40]);
  return packet[6] === IPPROTO_HOPOPTS && packet[24] === 0xff;
}

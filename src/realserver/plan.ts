// SPDX-License-Identifier: Apache-2.0
// What has to be done for a real server, in order. Pure; steps.ts does it, script.ts prints it as a shell script, both
// undo it in reverse. The kernel's rules behind it:
//
// - IPv4 addresses belong to the machine: unless told otherwise it answers ARP for one on any device (Documentation/
//   networking/ip-sysctl.rst). arp_ignore 1: only for addresses of the device that was asked. arp_announce 2: its own
//   requests never name the virtual address. The greater value of `all` and the device counts, so `all` is enough; `lo` has
//   them because every LVS howto sets them there.
// - IPv6 addresses are answered for only on the device that has them (net/ipv6/ndisc.c, ndisc_recv_ns), and other devices'
//   solicitations do not name them (ndisc_solicit), so that one on lo or on a tunnel needs no setting; nodad because the
//   director has the same address and nobody may ask for it.
// - For rp_filter too the greater value of `all` and the device counts: 2 on the device (loose: any route back will do)
//   also relaxes a strict 1 of `all`. But a device without any IPv4 address passes nothing unless both are 0
//   (net/ipv4/fib_frontend.c, __fib_validate_source), so that each that IPv4 comes out of has the virtual addresses.

import { type Address, addressFamily, type Family } from '../packet/address.ts';
import type { Setup, Tunnel, TunnelType } from './setup.ts';

/** The kernel's kinds of tunnel devices. */
export type TunnelKind = 'ipip' | 'sit' | 'ip6tnl' | 'gre' | 'ip6gre';

export type Step =
  | { readonly kind: 'sysctl'; readonly name: string; readonly value: string }
  /** Where rp_filter is strict, it becomes loose. */
  | { readonly kind: 'loosen'; readonly device: string }
  | { readonly kind: 'address'; readonly device: string; readonly address: Address }
  /** The device that the kernel brings along for tunnels of nobody in particular. */
  | { readonly kind: 'fallback'; readonly device: string; readonly tunnel: TunnelKind }
  | TunnelStep
  | { readonly kind: 'up'; readonly device: string }
  /** A UDP port that takes GUE. */
  | { readonly kind: 'gue'; readonly family: Family; readonly port: number }
  | DecapsulateStep;

/** A tunnel device to be made, since what is needed the fallback device cannot. */
export interface TunnelStep {
  readonly kind: 'tunnel';
  readonly device: string;
  readonly tunnel: TunnelKind;
  readonly local: Address;
  readonly checksum: boolean;
}

/** The XDP program on a device. */
export interface DecapsulateStep {
  readonly kind: 'decapsulate';
  readonly device: string;
  readonly tunnels: readonly TunnelType[];
  readonly guePort: number;
  readonly virtual: readonly Address[];
  /** None: all addresses of the machine. */
  readonly local: readonly Address[];
}

/** Why a set-up is impossible, in words for the person who asked for it. */
export class SetupError extends Error {
  readonly code = 'BALLAST_REALSERVER';
}

const FALLBACKS: Readonly<Record<TunnelKind, string>> = {
  ipip: 'tunl0',
  sit: 'sit0',
  ip6tnl: 'ip6tnl0',
  gre: 'gre0',
  ip6gre: 'ip6gre0',
};

/** The steps of one set-up, each once. Throws a {@link SetupError}. */
export function planSteps(setup: Setup): Step[] {
  const { virtual, tunnel } = setup;
  const steps: Step[] = [];
  const families = FAMILIES.filter((family) => virtual.some((address) => addressFamily(address) === family));
  if (families.includes(4)) {
    // Before the address is there, or others would hear of it.
    for (const device of new Set(['all', 'lo', ...(setup.device === undefined ? [] : [setup.device])])) {
      steps.push({ kind: 'sysctl', name: ipv4Setting(device, 'arp_ignore'), value: '1' });
      steps.push({ kind: 'sysctl', name: ipv4Setting(device, 'arp_announce'), value: '2' });
    }
  }
  const exits = tunnel === undefined ? NO_EXITS : addTunnel(steps, setup, tunnel, families);
  for (const address of virtual) {
    const family = addressFamily(address);
    const first = setup.device ?? exits[family][0] ?? 'lo';
    const devices = family === 4 ? new Set([first, ...exits[4]]) : [first];
    for (const device of devices) steps.push({ kind: 'address', device, address });
  }
  return steps;
}

/** Names a step among others: two of the same key are one, whatever else they say. */
export function stepKey(step: Step): string {
  switch (step.kind) {
    case 'sysctl':
      return `sysctl ${step.name}`;
    case 'address':
      return `address ${step.device} ${step.address}`;
    case 'gue':
      return `gue ${step.family} ${step.port}`;
    default:
      return `${step.kind} ${step.device}`;
  }
}

/** Prefix length of one address. */
export function hostBits(address: Address): number {
  return addressFamily(address) === 4 ? 32 : 128;
}

const FAMILIES: readonly Family[] = [4, 6];

/** Tunnel devices that packets of each family come out of. */
type Exits = Readonly<Record<Family, readonly string[]>>;

const NO_EXITS: Exits = { 4: [], 6: [] };

/** Adds what takes the tunnels apart. */
function addTunnel(steps: Step[], setup: Setup, tunnel: Tunnel, inner: readonly Family[]): Exits {
  if (tunnel.by === 'xdp') {
    const { device, type, port, local } = tunnel;
    if (inner.includes(4)) steps.push({ kind: 'loosen', device });
    steps.push({ kind: 'decapsulate', device, tunnels: [type], guePort: port, virtual: setup.virtual, local });
    return NO_EXITS;
  }
  const outer = tunnel.local.length === 0 ? inner : FAMILIES.filter((family) => tunnel.local.some(isOf(family)));
  const exits: Record<Family, string[]> = { 4: [], 6: [] };
  for (const outerFamily of outer) {
    for (const innerFamily of inner) {
      // Without --rip each family is expected in its own.
      if (tunnel.local.length === 0 && innerFamily !== outerFamily && tunnel.type !== 'gre') continue;
      const step = deviceStep(tunnel, outerFamily, innerFamily);
      const { device } = step;
      const isNew = !exits[4].includes(device) && !exits[6].includes(device);
      exits[innerFamily].push(device);
      if (!isNew) continue;
      steps.push(step);
      if (innerFamily === 4) steps.push({ kind: 'loosen', device });
      steps.push({ kind: 'up', device });
    }
    if (tunnel.type === 'gue') steps.push({ kind: 'gue', family: outerFamily, port: tunnel.port });
  }
  return exits;
}

function deviceStep(tunnel: Tunnel, outer: Family, inner: Family): TunnelStep | Extract<Step, { kind: 'fallback' }> {
  const local = tunnel.local.find(isOf(outer));
  if (tunnel.type === 'gre') {
    const kind = outer === 4 ? 'gre' : 'ip6gre';
    if (!tunnel.checksum) return { kind: 'fallback', device: FALLBACKS[kind], tunnel: kind };
    if (local === undefined) {
      throw new SetupError(
        `GRE with checksums needs a device of its own: name this server's address with --rip ADDRESS (IPv${outer})`,
      );
    }
    return { kind: 'tunnel', device: outer === 4 ? 'lvs-gre4' : 'lvs-gre6', tunnel: kind, local, checksum: true };
  }
  if (outer === 4) {
    const kind = inner === 4 ? 'ipip' : 'sit';
    return { kind: 'fallback', device: FALLBACKS[kind], tunnel: kind };
  }
  if (inner === 6) return { kind: 'fallback', device: FALLBACKS.ip6tnl, tunnel: 'ip6tnl' };
  // ip6tnl0 takes IPv6 alone (net/ipv6/ip6_tunnel.c, ip6_fb_tnl_dev_init).
  if (local === undefined) throw new TypeError('IPv4 in IPv6 is planned only with a local address');
  return { kind: 'tunnel', device: 'lvs-4in6', tunnel: 'ip6tnl', local, checksum: false };
}

function isOf(family: Family): (address: Address) => boolean {
  return (address) => addressFamily(address) === family;
}

/** With slashes: a device's name may have dots. */
function ipv4Setting(device: string, name: string): string {
  return `net/ipv4/conf/${device}/${name}`;
}

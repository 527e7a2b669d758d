// SPDX-License-Identifier: Apache-2.0
// Does single steps in the calling thread's network namespace, and undoes them: what `look` found before is what `undo`
// brings back. Called by reconcile.ts, which knows the order.

import { UnsupportedError } from '../linux/errno.ts';
import { FouSocket } from '../linux/fou.ts';
import type { NetlinkSocket } from '../linux/netlink.ts';
import { addAddress, deleteAddress, listAddresses } from '../linux/route/address.ts';
import { changeLink, deleteLink, findLink, getLink, listLinks } from '../linux/route/link.ts';
import { IFF_LOOPBACK, IFF_NOARP, type Link } from '../linux/route/link-message.ts';
import { openRouteSocket } from '../linux/route/route-socket.ts';
import { createTunnel, findFallbackTunnel } from '../linux/route/tunnel.ts';
import { attachXdp, type DeviceProgram, detachXdp, findXdp } from '../linux/route/xdp.ts';
import { readSysctl, writeSysctl } from '../linux/sysctl.ts';
import type { Address } from '../packet/address.ts';
import { loadDecapsulator } from './decapsulator.ts';
import { type DecapsulateStep, hostBits, SetupError, type Step } from './plan.ts';

/** What was there before a step: a setting's value, whether a thing was there, the program that was attached last. */
export type Before = string | boolean | DeviceProgram;

const ARPHRD_ETHER = 1;

export class StepKernel {
  readonly #socket: NetlinkSocket = openRouteSocket();

  /** What the step would change. Throws a {@link SetupError} when the step is senseless here. */
  look(step: Step): Before {
    switch (step.kind) {
      case 'sysctl':
        return readSysctl(step.name);
      case 'loosen':
        return readSysctl(reversePath(step.device));
      case 'address':
        this.#checkHolder(step.device, step.address);
        return this.#hasAddress(step.device, step.address);
      case 'fallback':
      case 'tunnel':
        return findLink(this.#socket, step.device) !== undefined;
      case 'up':
        return getLink(this.#socket, step.device).up;
      case 'gue':
        return withFou((fou) => fou.has(step));
      case 'decapsulate':
        return this.#lookXdp(step.device);
    }
  }

  /** Does the step; nothing happens when it is done already. Returns what `undo` needs now. */
  do(step: Step, before: Before): Before {
    switch (step.kind) {
      case 'sysctl':
        if (readSysctl(step.name) !== step.value) writeSysctl(step.name, step.value);
        return before;
      case 'loosen':
        loosen(step.device);
        return before;
      case 'address':
        if (!this.#hasAddress(step.device, step.address)) {
          addAddress(this.#socket, step.device, step.address, hostBits(step.address), { nodad: true });
        }
        return before;
      case 'fallback':
        if (findFallbackTunnel(this.#socket, step.device, step.tunnel)) return before;
        throw new UnsupportedError(`device ${step.device}`, `load the module for '${step.tunnel}', or use --decap xdp`);
      case 'tunnel':
        if (findLink(this.#socket, step.device) === undefined) {
          createTunnel(this.#socket, { ...step, name: step.device, kind: step.tunnel });
        }
        return before;
      case 'up':
        changeLink(this.#socket, step.device, { up: true });
        return before;
      case 'gue':
        withFou((fou) => {
          if (!fou.has(step)) fou.add(step);
        });
        return before;
      case 'decapsulate':
        return this.#attach(step, before);
    }
  }

  /** Brings back what was before; says what it had to leave as it is. */
  undo(step: Step, before: Before): string | undefined {
    switch (step.kind) {
      case 'sysctl':
        return undoSysctl(step.name, step.value, before);
      case 'loosen':
        return undoSysctl(reversePath(step.device), LOOSE, before);
      case 'address':
        if (before === true || findLink(this.#socket, step.device) === undefined) return undefined;
        if (!this.#hasAddress(step.device, step.address)) return undefined;
        deleteAddress(this.#socket, step.device, step.address, hostBits(step.address));
        return undefined;
      case 'fallback':
        // The device stays as long as its module, as it does for everybody.
        return undefined;
      case 'tunnel':
        if (before === false && findLink(this.#socket, step.device)) deleteLink(this.#socket, step.device);
        return undefined;
      case 'up':
        if (before === false && findLink(this.#socket, step.device)?.up) {
          changeLink(this.#socket, step.device, { up: false });
        }
        return undefined;
      case 'gue':
        if (before === false) withFou((fou) => fou.remove(step));
        return undefined;
      case 'decapsulate':
        return this.#detach(step.device, before);
    }
  }

  /** The devices that tunnels may come in by. */
  ethernetDevices(): Link[] {
    return listLinks(this.#socket).filter((link) => link.up && link.type === ARPHRD_ETHER && isArping(link));
  }

  /** Whether the kernel can take apart what `steps` describe. Has it load modules. */
  canDecapsulate(steps: readonly Step[]): boolean {
    try {
      return steps.every((step) => {
        if (step.kind === 'gue') return withFou(() => true);
        if (step.kind !== 'fallback' && step.kind !== 'tunnel') return true;
        return findFallbackTunnel(this.#socket, FALLBACK_OF[step.tunnel], step.tunnel);
      });
    } catch (error) {
      if (error instanceof UnsupportedError) return false;
      throw error;
    }
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #hasAddress(device: string, address: Address): boolean {
    return listAddresses(this.#socket, device).some((one) => one.address === address);
  }

  /** An IPv6 address on a device that asks and answers for addresses would be answered for, by many at once. */
  #checkHolder(device: string, address: Address): void {
    const link = findLink(this.#socket, device);
    if (link === undefined) throw new SetupError(`there is no device '${device}'`);
    if (address.includes(':') && isArping(link)) {
      throw new SetupError(
        `'${device}' answers neighbour solicitations for its addresses, so ${address} must not be there: use lo or a dummy device`,
      );
    }
  }

  #lookXdp(device: string): Before {
    if (findLink(this.#socket, device) === undefined) throw new SetupError(`there is no device '${device}'`);
    const present = findXdp(this.#socket, device);
    if (present === undefined) return false;
    const who = 'perhaps a director of Ballast, which no real server can be at once';
    throw new SetupError(`'${device}' has an XDP program already (number ${present.id}): ${who}`);
  }

  #attach(step: DecapsulateStep, before: Before): Before {
    const { device, tunnels, guePort, virtual } = step;
    const local = step.local.length > 0 ? step.local : this.#ownAddresses(virtual);
    const program = loadDecapsulator({ tunnels, guePort, virtual, local });
    try {
      return attachXdp(this.#socket, device, program.fd, typeof before === 'object' ? before : undefined);
    } finally {
      program.close();
    }
  }

  #detach(device: string, before: Before): string | undefined {
    if (typeof before !== 'object' || findLink(this.#socket, device) === undefined) return undefined;
    if (detachXdp(this.#socket, device, before)) return undefined;
    const present = findXdp(this.#socket, device);
    return present === undefined ? undefined : `'${device}' has another XDP program by now: left alone`;
  }

  /** Where tunnels may end: all addresses of the machine but the virtual ones and those of loopback. */
  #ownAddresses(virtual: readonly Address[]): Address[] {
    const loopback = new Set(
      listLinks(this.#socket)
        .filter((link) => (link.flags & IFF_LOOPBACK) !== 0)
        .map((link) => link.index),
    );
    return listAddresses(this.#socket)
      .filter((one) => !loopback.has(one.interfaceIndex) && !virtual.includes(one.address))
      .map((one) => one.address);
  }
}

const FALLBACK_OF = { ipip: 'tunl0', sit: 'sit0', ip6tnl: 'ip6tnl0', gre: 'gre0', ip6gre: 'ip6gre0' } as const;

function isArping(link: Link): boolean {
  return (link.flags & (IFF_LOOPBACK | IFF_NOARP)) === 0;
}

const STRICT = 1;
const LOOSE = '2';

/** The setting of RFC 3704. */
function reversePath(device: string): string {
  return `net/ipv4/conf/${device}/rp_filter`;
}

function loosen(device: string): void {
  const [all, own] = ['all', device].map((name) => Number(readSysctl(reversePath(name))));
  if (Math.max(all, own) === STRICT) writeSysctl(reversePath(device), LOOSE);
}

function undoSysctl(name: string, value: string, before: Before): string | undefined {
  let present: string;
  try {
    present = readSysctl(name);
  } catch (error) {
    // The device is gone, and its settings with it.
    if (error instanceof UnsupportedError) return undefined;
    throw error;
  }
  if (present === before) return undefined;
  if (present !== value) return `${name} is ${present} by now, not the ${value} that was set: left alone`;
  if (typeof before === 'string') writeSysctl(name, before);
  return undefined;
}

function withFou<T>(use: (fou: FouSocket) => T): T {
  const fou = new FouSocket();
  try {
    return use(fou);
  } finally {
    fou.close();
  }
}

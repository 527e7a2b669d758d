// SPDX-License-Identifier: Apache-2.0
// XDP programs that stay on a device after the process that attached them has ended, over rtnetlink (IFLA_XDP of
// include/uapi/linux/if_link.h). They end with the device, by detachXdp, or by `ip link set dev DEVICE xdp off`. What has to
// end with its process is attached by a link instead: bpf-program.ts.

import { constants } from 'node:os';
import { BPF_PROG_GET_FD_BY_ID, BpfAttr, tryBpf } from '../bpf.ts';
import type { XdpMode } from '../bpf-program.ts';
import { errnoName, SysError } from '../errno.ts';
import { Fd } from '../fd.ts';
import { lastErrno } from '../libc.ts';
import type { NetlinkSocket } from '../netlink.ts';
import { MessageBuilder, nested, parseAttributes, u8, u32 } from '../netlink-message.ts';
import { type LinkRef, linkIndex } from './link.ts';
import { linkHeader } from './link-message.ts';
import { RTM_GETLINK } from './route-socket.ts';

const RTM_SETLINK = 19;
const IFI_LENGTH = 16;

const IFLA_XDP = 43;
const IFLA_XDP_FD = 1;
const IFLA_XDP_ATTACHED = 2;
const IFLA_XDP_FLAGS = 3;
const IFLA_XDP_PROG_ID = 4;
const IFLA_XDP_EXPECTED_FD = 8;

const XDP_ATTACHED_SKB = 2;

const XDP_FLAGS_UPDATE_IF_NOEXIST = 1 << 0;
const XDP_FLAGS_REPLACE = 1 << 4;
const MODE_FLAGS: Readonly<Record<XdpMode, number>> = { generic: 1 << 1, native: 1 << 2 };

const { ENOENT } = constants.errno;
/** Errnos that another mode would not change. */
const FINAL: ReadonlySet<string> = new Set(['EPERM', 'EBUSY', 'EEXIST', 'ENODEV']);

/** The program on a device. */
export interface DeviceProgram {
  /** The kernel's number of the program, not used again before a reboot. */
  readonly id: number;
  readonly mode: XdpMode;
}

/** The XDP program of the device, or undefined. Programs in hardware and in two modes at once count as native. */
export function findXdp(socket: NetlinkSocket, device: LinkRef): DeviceProgram | undefined {
  const request = new MessageBuilder(RTM_GETLINK, 0, linkHeader(linkIndex(socket, device)));
  return socket.get(request, `XDP program of device '${device}'`, ({ payload }) => {
    const xdp = nested(parseAttributes(payload, IFI_LENGTH), IFLA_XDP);
    const id = u32(xdp, IFLA_XDP_PROG_ID, 0);
    if (id === 0) return undefined;
    return { id, mode: u8(xdp, IFLA_XDP_ATTACHED, 0) === XDP_ATTACHED_SKB ? 'generic' : 'native' };
  });
}

/**
 * Attaches the program `fd`, in the driver when it can, else generically; in the place of `before` when given and still
 * there, without a moment between. Throws when the device has any other program.
 */
export function attachXdp(socket: NetlinkSocket, device: LinkRef, fd: number, before?: DeviceProgram): DeviceProgram {
  const index = linkIndex(socket, device);
  const what = `attach XDP program to device '${device}'`;
  const present = findXdp(socket, index);
  if (present !== undefined) {
    if (present.id !== before?.id) {
      const remedy = 'see `ip link`; `ip link set dev DEVICE xdp off` removes it';
      throw new SysError('rtnetlink', 'EBUSY', `${what}: it has another one (program ${present.id})`, remedy);
    }
    replace(socket, index, present, fd, what);
  } else {
    attachFirst(socket, index, fd, what);
  }
  const attached = findXdp(socket, index);
  if (attached === undefined) throw new SysError('rtnetlink', 'ENOENT', `${what}: it went away at once`);
  return attached;
}

/** Detaches `program`; false when the device does not have it, whatever it has instead. */
export function detachXdp(socket: NetlinkSocket, device: LinkRef, program: DeviceProgram): boolean {
  const index = linkIndex(socket, device);
  const present = findXdp(socket, index);
  if (present?.id !== program.id) return false;
  replace(socket, index, present, -1, `detach XDP program from device '${device}'`);
  return true;
}

function attachFirst(socket: NetlinkSocket, index: number, fd: number, what: string): void {
  for (const mode of ['native', 'generic'] as const) {
    try {
      const request = xdpRequest(index, fd, MODE_FLAGS[mode] | XDP_FLAGS_UPDATE_IF_NOEXIST);
      socket.request(request, what);
      return;
    } catch (error) {
      // A driver refuses native mode in many ways: none at all, unfit MTU or channels, no memory for its rings.
      if (!(error instanceof SysError) || mode === 'generic' || FINAL.has(error.errno)) throw error;
    }
  }
}

/** Puts `fd` (-1: nothing) in the place of `present`, unless that has changed meanwhile. */
function replace(socket: NetlinkSocket, index: number, present: DeviceProgram, fd: number, what: string): void {
  const expected = openProgram(present.id);
  if (expected === undefined) return;
  try {
    const flags = MODE_FLAGS[present.mode] | XDP_FLAGS_REPLACE;
    socket.request(xdpRequest(index, fd, flags, expected.number), what);
  } finally {
    expected.close();
  }
}

function xdpRequest(index: number, fd: number, flags: number, expected?: number): MessageBuilder {
  return new MessageBuilder(RTM_SETLINK, 0, linkHeader(index)).nest(IFLA_XDP, (xdp) => {
    xdp.u32(IFLA_XDP_FD, fd >>> 0).u32(IFLA_XDP_FLAGS, flags);
    if (expected !== undefined) xdp.u32(IFLA_XDP_EXPECTED_FD, expected);
  });
}

/** A descriptor of the program, or undefined when there is none of that number. */
function openProgram(id: number): Fd | undefined {
  const fd = tryBpf(BPF_PROG_GET_FD_BY_ID, new BpfAttr(16).u32(0, id));
  if (fd >= 0) return new Fd(fd);
  const errno = lastErrno();
  if (errno === ENOENT) return undefined;
  throw new SysError('bpf', errnoName(errno), `open XDP program ${id}`, 'run as root');
}

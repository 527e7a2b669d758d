// SPDX-License-Identifier: Apache-2.0
// UDP ports that take GUE, in the kernel's fou (include/uapi/linux/fou.h), over generic netlink: what `ip fou` does. What
// comes out goes on to the tunnel devices as if it had come without UDP. Ports belong to the calling thread's namespace.

import type { Family } from '../packet/address.ts';
import { SysError, UnsupportedError } from './errno.ts';
import { loadModule } from './kernel-module.ts';
import { NATIVE_LE } from './libc.ts';
import { NETLINK_GENERIC, NetlinkSocket } from './netlink.ts';
import { MessageBuilder, NetlinkFormatError, need, parseAttributes, u8 } from './netlink-message.ts';
import { kernelFamily } from './route/route-socket.ts';

//  0 command(1)  1 version(1)  2 reserved(2)                               struct genlmsghdr
const GENL_LENGTH = 4;
const GENL_ID_CTRL = 0x10;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;

const FOU_VERSION = 1;
const FOU_CMD_ADD = 1;
const FOU_CMD_DEL = 2;
const FOU_CMD_GET = 3;
const FOU_ATTR_PORT = 1;
const FOU_ATTR_AF = 2;
const FOU_ATTR_TYPE = 4;
const FOU_ENCAP_GUE = 2;

export interface GuePort {
  readonly family: Family;
  readonly port: number;
}

export class FouSocket {
  readonly #socket: NetlinkSocket;
  readonly #family: number;

  /** Throws an UnsupportedError when the kernel has no fou. */
  constructor() {
    this.#socket = new NetlinkSocket(NETLINK_GENERIC, 'genetlink');
    try {
      // Its module says of no family that it brings it, so that the kernel does not find it.
      const known = resolveFamily(this.#socket);
      if (known === undefined) loadModule('fou');
      const family = known ?? resolveFamily(this.#socket);
      if (family === undefined) throw new UnsupportedError('GUE (fou)', "load the module 'fou'");
      this.#family = family;
    } catch (error) {
      this.#socket.close();
      throw error;
    }
  }

  has(wanted: GuePort): boolean {
    const ports = this.#socket.dump(this.#request(FOU_CMD_GET), 'list ports of fou', ({ payload }) => {
      const attributes = parseAttributes(payload, GENL_LENGTH);
      const port = attributes.get(FOU_ATTR_PORT);
      return {
        type: u8(attributes, FOU_ATTR_TYPE, 0),
        family: u8(attributes, FOU_ATTR_AF, 0),
        port: port === undefined ? 0 : need(port, 2, 'port').getUint16(0),
      };
    });
    const { family, port } = wanted;
    return ports.some((p) => p.type === FOU_ENCAP_GUE && p.family === kernelFamily(family) && p.port === port);
  }

  add(wanted: GuePort): void {
    const request = this.#named(FOU_CMD_ADD, wanted).u8(FOU_ATTR_TYPE, FOU_ENCAP_GUE);
    try {
      this.#socket.request(request, `have UDP port ${wanted.port} take GUE over IPv${wanted.family}`);
    } catch (error) {
      if (!(error instanceof SysError) || error.errno !== 'EADDRINUSE') throw error;
      throw new SysError(error.syscall, error.errno, error.context, 'another program has this port');
    }
  }

  /** False when the port did not take GUE. */
  remove(wanted: GuePort): boolean {
    try {
      this.#socket.request(this.#named(FOU_CMD_DEL, wanted), `remove GUE port ${wanted.port}`);
      return true;
    } catch (error) {
      if (error instanceof SysError && (error.errno === 'EINVAL' || error.errno === 'ENOENT')) return false;
      throw error;
    }
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #request(command: number): MessageBuilder {
    return new MessageBuilder(this.#family, 0, Uint8Array.of(command, FOU_VERSION, 0, 0));
  }

  #named(command: number, { family, port }: GuePort): MessageBuilder {
    const request = this.#request(command).bytes(FOU_ATTR_PORT, Uint8Array.of(port >> 8, port & 255));
    return request.u8(FOU_ATTR_AF, kernelFamily(family));
  }
}

function resolveFamily(socket: NetlinkSocket): number | undefined {
  const request = new MessageBuilder(GENL_ID_CTRL, 0, Uint8Array.of(CTRL_CMD_GETFAMILY, 1, 0, 0));
  try {
    return socket.get(request.text(CTRL_ATTR_FAMILY_NAME, 'fou'), 'family fou', ({ payload }) => {
      const id = parseAttributes(payload, GENL_LENGTH).get(CTRL_ATTR_FAMILY_ID);
      if (id === undefined) throw new NetlinkFormatError('the family fou has no number');
      return need(id, 2, 'family').getUint16(0, NATIVE_LE);
    });
  } catch (error) {
    if (!(error instanceof SysError) || error.errno !== 'ENOENT') throw error;
    return undefined;
  }
}

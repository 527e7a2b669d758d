// SPDX-License-Identifier: Apache-2.0
// AF_XDP sockets: raw frames of one queue of one device, through rings in shared memory. A UMEM is the memory that all
// frames of all sockets live in. The kernel lets sockets of one device share a registration of it; each device makes its
// own registration of the same memory, so that one may run with zero-copy and another without, and frames still travel
// from device to device without being moved. Called by dataplane/engine/af-xdp-link.ts. See af-xdp-ring.ts for the rings.

import { constants } from 'node:os';
import { CompletionRing, FillRing, type RingOffsets, RxRing, TxRing } from './af-xdp-ring.ts';
import { SysError, UnsupportedError } from './errno.ts';
import { Fd } from './fd.ts';
import { check, lastErrno, libc, NATIVE_LE } from './libc.ts';
import { Mapping } from './memory.ts';

const AF_XDP = 44;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SO_BUSY_POLL = 46;
const SO_PREFER_BUSY_POLL = 69;
const SO_BUSY_POLL_BUDGET = 70;
const SOL_XDP = 283;
const XDP_MMAP_OFFSETS = 1;
const XDP_RX_RING = 2;
const XDP_TX_RING = 3;
const XDP_UMEM_REG = 4;
const XDP_UMEM_FILL_RING = 5;
const XDP_UMEM_COMPLETION_RING = 6;
const XDP_STATISTICS = 7;
const XDP_OPTIONS = 8;
const XDP_MAX_TX_SKB_BUDGET = 9;
const XDP_OPTIONS_ZEROCOPY = 1;

const XDP_SHARED_UMEM = 1;
const XDP_COPY = 2;
const XDP_USE_NEED_WAKEUP = 8;

const XDP_PGOFF_RX_RING = 0;
const XDP_PGOFF_TX_RING = 0x80000000;
const XDP_UMEM_PGOFF_FILL_RING = 0x100000000;
const XDP_UMEM_PGOFF_COMPLETION_RING = 0x180000000;

const MSG_DONTWAIT = 0x40;
const DESCRIPTOR_SIZE = 16;
const ADDRESS_SIZE = 8;

/** Bytes of the sender's skbs that may be under way: 4096 frames of 2 KiB with their headers. */
const SEND_BUFFER = 16 << 20;

/** How long to wait for a queue that another socket is leaving. */
const BUSY_PATIENCE_MS = 1000;
const BUSY_STEP_MS = 5;
const $sleep = new Int32Array(new SharedArrayBuffer(4));

const { EAFNOSUPPORT, EAGAIN, EBUSY, EINVAL, EINTR, ENOBUFS, ENOPROTOOPT, EPERM } = constants.errno;

const $socket = libc.func('int socket(int family, int type, int protocol)');
const $bind = libc.func('int bind(int fd, const void *address, unsigned int length)');
const $setsockopt = libc.func('int setsockopt(int fd, int level, int name, const void *value, unsigned int length)');
const $getsockopt = libc.func('int getsockopt(int fd, int level, int name, void *value, unsigned int *length)');
const $send = libc.func('intptr_t send(int fd, const void *data, size_t length, int flags)');
const $recv = libc.func('intptr_t recv(int fd, void *data, size_t length, int flags)');

export interface UmemOptions {
  /** Number of frames; all together less than 2 GiB. */
  readonly frames: number;
  readonly frameSize: number;
  readonly hugePages?: boolean;
}

/** The memory of all frames. Outlives every socket that was made with it. */
export class Umem {
  readonly frames: number;
  readonly frameSize: number;
  readonly mapping: Mapping;

  constructor(options: UmemOptions) {
    const bytes = options.frames * options.frameSize;
    if (bytes >= 2 ** 31) throw new RangeError(`frames take less than 2 GiB, not ${bytes} bytes`);
    this.frames = options.frames;
    this.frameSize = options.frameSize;
    this.mapping = Mapping.anonymous(bytes, { hugePages: options.hugePages ?? false });
  }

  get buffer(): ArrayBuffer {
    return this.mapping.buffer;
  }

  close(): void {
    this.mapping.close();
  }
}

export interface BusyPollOptions {
  /** How long a call into the socket drives the driver before it gives up. */
  readonly microseconds: number;
  /** Most packets of one round of the driver. */
  readonly budget: number;
}

export interface XdpSocketOptions {
  readonly device: string;
  readonly ifindex: number;
  readonly queue: number;
  /** Entries of each ring, a power of two. */
  readonly ringSize: number;
  /** Without it the socket only receives. */
  readonly transmit: boolean;
  /** A socket of the same device whose registration of the UMEM this one uses. */
  readonly sibling?: XdpSocket;
  /** Never try zero-copy: needed with generic XDP. */
  readonly forceCopy?: boolean;
  readonly busyPoll?: BusyPollOptions;
}

/** What the kernel counted against a socket. */
export interface XdpStatistics {
  /** Frames lost for other reasons than those below. */
  readonly rxDropped: number;
  readonly rxInvalidDescriptors: number;
  readonly txInvalidDescriptors: number;
  /** Packets that found no room in the receive ring. */
  readonly rxRingFull: number;
  /** Packets that found no empty frame. */
  readonly fillRingEmpty: number;
}

/** Answers of {@link XdpSocket.kick}. */
export const KICK_DONE = 0;
/** More waits: call again. */
export const KICK_AGAIN = 1;
/** The device takes nothing now. */
export const KICK_STUCK = 2;

/** One queue of one device. */
export class XdpSocket {
  readonly queue: number;
  readonly zeroCopy: boolean;
  readonly rx: RxRing;
  /** Absent on a socket that only receives. */
  readonly tx: TxRing | undefined;
  readonly fill: FillRing;
  readonly completion: CompletionRing;
  readonly #fd: Fd;
  readonly #mappings: Mapping[] = [];

  constructor(umem: Umem, options: XdpSocketOptions) {
    const context = `AF_XDP on ${options.device} queue ${options.queue}`;
    this.queue = options.queue;
    this.#fd = openSocket(context);
    try {
      const { ringSize } = options;
      if (options.sibling === undefined) register(this.fd, umem, context);
      setOption(this.fd, SOL_XDP, XDP_UMEM_FILL_RING, ringSize, context);
      setOption(this.fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, ringSize, context);
      setOption(this.fd, SOL_XDP, XDP_RX_RING, ringSize, context);
      if (options.transmit) setOption(this.fd, SOL_XDP, XDP_TX_RING, ringSize, context);
      const at = ringOffsets(this.fd, context);
      const map = (offsets: RingOffsets, entrySize: number, offset: number): Mapping => {
        const mapping = Mapping.shared(this.fd, offsets.table + ringSize * entrySize, context, {
          offset,
          populate: true,
        });
        this.#mappings.push(mapping);
        return mapping;
      };
      this.fill = new FillRing(map(at[2], ADDRESS_SIZE, XDP_UMEM_PGOFF_FILL_RING), at[2], ringSize);
      this.completion = new CompletionRing(map(at[3], ADDRESS_SIZE, XDP_UMEM_PGOFF_COMPLETION_RING), at[3], ringSize);
      this.rx = new RxRing(map(at[0], DESCRIPTOR_SIZE, XDP_PGOFF_RX_RING), at[0], ringSize);
      this.tx = options.transmit
        ? new TxRing(map(at[1], DESCRIPTOR_SIZE, XDP_PGOFF_TX_RING), at[1], ringSize)
        : undefined;
      tune(this.fd, options);
      bind(this.fd, options, context);
      this.zeroCopy =
        (getOption(this.fd, XDP_OPTIONS, 4, context).getUint32(0, NATIVE_LE) & XDP_OPTIONS_ZEROCOPY) !== 0;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get fd(): number {
    return this.#fd.number;
  }

  /** Has the kernel send what was submitted: in copy mode at most one budget of packets. Allocates nothing. */
  kick(): number {
    if ($send(this.#fd.number, null, 0, MSG_DONTWAIT) >= 0) return KICK_DONE;
    const errno = lastErrno();
    // EBUSY: the device dropped one packet and the rest waits. EAGAIN: the budget is used up, or no room.
    if (errno === EAGAIN || errno === EBUSY || errno === EINTR) return KICK_AGAIN;
    return KICK_STUCK;
  }

  /** Lets the driver look for empty frames, or, with busy polling, work through what has arrived. */
  wakeReceiver(): void {
    $recv(this.#fd.number, null, 0, MSG_DONTWAIT);
  }

  statistics(): XdpStatistics {
    const view = getOption(this.fd, XDP_STATISTICS, 48, `AF_XDP queue ${this.queue}`);
    const counter = (i: number): number => Number(view.getBigUint64(i * 8, NATIVE_LE));
    return {
      rxDropped: counter(0),
      rxInvalidDescriptors: counter(1),
      txInvalidDescriptors: counter(2),
      rxRingFull: counter(3),
      fillRingEmpty: counter(4),
    };
  }

  /** Afterwards no method of the socket or its rings may be called. */
  close(): void {
    this.#fd.close();
    for (const mapping of this.#mappings.splice(0)) mapping.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function openSocket(context: string): Fd {
  const fd = $socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd === -1 && lastErrno() === EAFNOSUPPORT) {
    throw new UnsupportedError('AF_XDP', 'it needs CONFIG_XDP_SOCKETS, or choose another link');
  }
  return new Fd(check(fd, 'socket', context, remedy));
}

//  0 address(8)  8 length(8)  16 frame size(4)  20 headroom(4)  24 flags(4)              struct xdp_umem_reg
function register(fd: number, umem: Umem, context: string): void {
  const view = new DataView(new ArrayBuffer(32));
  view.setBigUint64(0, umem.mapping.address, NATIVE_LE);
  view.setBigUint64(8, BigInt(umem.mapping.length), NATIVE_LE);
  view.setUint32(16, umem.frameSize, NATIVE_LE);
  const value = new Uint8Array(view.buffer);
  check($setsockopt(fd, SOL_XDP, XDP_UMEM_REG, value, value.byteLength), 'setsockopt', `UMEM, ${context}`, remedy);
}

//  0 family(2)  2 flags(2)  4 ifindex(4)  8 queue(4)  12 descriptor of the sibling(4)     struct sockaddr_xdp
function bind(fd: number, options: XdpSocketOptions, context: string): void {
  // A sibling's flags hold for all sockets of the registration; the kernel refuses others beside it.
  const own = XDP_USE_NEED_WAKEUP | (options.forceCopy ? XDP_COPY : 0);
  const view = new DataView(new ArrayBuffer(16));
  view.setUint16(0, AF_XDP, NATIVE_LE);
  view.setUint16(2, options.sibling === undefined ? own : XDP_SHARED_UMEM, NATIVE_LE);
  view.setUint32(4, options.ifindex, NATIVE_LE);
  view.setUint32(8, options.queue, NATIVE_LE);
  view.setUint32(12, options.sibling?.fd ?? 0, NATIVE_LE);
  const address = new Uint8Array(view.buffer);
  let result: number = $bind(fd, address, address.byteLength);
  // The kernel frees the queue of a closed socket some milliseconds after the close.
  for (let waited = 0; result !== 0 && lastErrno() === EBUSY && waited < BUSY_PATIENCE_MS; waited += BUSY_STEP_MS) {
    Atomics.wait($sleep, 0, 0, BUSY_STEP_MS);
    result = $bind(fd, address, address.byteLength);
  }
  check(result, 'bind', context, remedy);
}

/** What older kernels may refuse without harm. */
function tune(fd: number, options: XdpSocketOptions): void {
  tryOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER);
  // Since 6.17: packets that one call sends in copy mode, 32 without it.
  if (options.transmit) tryOption(fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, options.ringSize);
  if (options.busyPoll === undefined) return;
  tryOption(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, 1);
  tryOption(fd, SOL_SOCKET, SO_BUSY_POLL, options.busyPoll.microseconds);
  tryOption(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, options.busyPoll.budget);
}

//  rx, tx, fill, completion: each 0 producer(8)  8 consumer(8)  16 table(8)  24 flags(8)  struct xdp_mmap_offsets
function ringOffsets(fd: number, context: string): RingOffsets[] {
  const view = getOption(fd, XDP_MMAP_OFFSETS, 128, context);
  const field = (i: number): number => Number(view.getBigUint64(i * 8, NATIVE_LE));
  return [0, 4, 8, 12].map((i) => ({
    producer: field(i),
    consumer: field(i + 1),
    table: field(i + 2),
    flags: field(i + 3),
  }));
}

function setOption(fd: number, level: number, name: number, value: number, context: string): void {
  check($setsockopt(fd, level, name, new Int32Array([value]), 4), 'setsockopt', `option ${name}, ${context}`, remedy);
}

function tryOption(fd: number, level: number, name: number, value: number): void {
  $setsockopt(fd, level, name, new Int32Array([value]), 4);
}

function getOption(fd: number, name: number, size: number, context: string): DataView {
  const value = new Uint8Array(new ArrayBuffer(size));
  check(
    $getsockopt(fd, SOL_XDP, name, value, new Uint32Array([size])),
    'getsockopt',
    `option ${name}, ${context}`,
    remedy,
  );
  return new DataView(value.buffer);
}

function remedy(errno: number): string | undefined {
  if (errno === EPERM) return 'run as root, or grant CAP_NET_RAW and CAP_NET_ADMIN';
  if (errno === ENOBUFS) return 'raise the limit of locked memory (ulimit -l), or grant CAP_IPC_LOCK';
  if (errno === EBUSY) return 'another program has an AF_XDP socket on this queue';
  if (errno === EINVAL || errno === ENOPROTOOPT) return 'no such queue, or the kernel is older than 5.10';
  return undefined;
}

/** Whether opening failed because the device has no queue of that number. */
export function isMissingQueue(error: unknown): boolean {
  return error instanceof SysError && error.syscall === 'bind' && error.errno === 'EINVAL';
}

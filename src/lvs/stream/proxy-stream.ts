// SPDX-License-Identifier: Apache-2.0
// Puts a PROXY header before the data that a client sends over TCP, without ending the connection: the server reads the
// header and then the client's bytes. Called for every segment of a connection of such a service. Pure: the caller has
// the header's bytes, sends the packet made here, and keeps the words.
//
// The header is a segment of its own, made by the director, at the client's first sequence number ("first", its initial
// one plus one); all that the client sends behind it is shifted by the header's length. So no segment of the client's
// becomes longer, and neither MSS nor MTU matters. There is no timer: as long as the server has not acknowledged it, the
// header goes out with what the client sends at `first`, since that is sent again until it is acknowledged:
//
// - A segment without data at `first`, as the last of the handshake, or at `first - 1`, as a keepalive or a zero window's
//   probe, is *replaced* by the header, which carries its acknowledgment, window and options. So if the header is lost,
//   the server is still in SYN-RECEIVED and sends its SYN again; the client acknowledges that, which is the next header.
//   Nothing hangs when server and client both wait for the server's first word.
// - Data or a FIN at `first`: the header goes first, then the segment. Once only it goes alone, when a header has just
//   gone in place of an acknowledgment; each retransmission brings the header again.
// - Later data does not bring it: the client has unacknowledged data at `first` then, and sends that again.
// - Lost, doubled or reordered, header and data have fixed places in the stream, and servers put them together as ever.
//
// Acknowledgments below the header's end become `first`: the client has had nothing acknowledged. SACK blocks in the header
// are cut off, and as long as the header is missing also the first byte behind it: otherwise the client would be told
// that its first segment has arrived, and never send it again, and the header with it.
//
// A reset must have the very number that the server waits for (RFC 5961 §3.2): one at `first` gets the number that the
// server acknowledged last, which is what it answers to. Data in a SYN (RFC 7413) is taken out; the client sends it
// again when the server acknowledges the SYN alone. Bytes that a client sends before `first` and into it, which would
// reach the server where the header stands, are dropped: nobody but the director may write a header.
//
// The window is passed as it is. While the header is unacknowledged it promises as many bytes too much as the header has;
// a server that is that full lets the rest fall and the client sends it again. A server that opens with no window at all,
// and speaks first, is not served: it cannot take a header.
// hot path
//
//   0 first   1 header's length, flags   2 highest acknowledgment of the server's, as it sent it

import { checksum, fold, sumBytes } from '../../packet/checksum.ts';
import { ETH_HLEN } from '../../packet/ethernet.ts';
import { IPPROTO_TCP, IPV4_SRC } from '../../packet/ipv4.ts';
import { IPV6_SRC } from '../../packet/ipv6.ts';
import type { Headers } from '../../packet/parse.ts';
import { setLength, splice } from '../../packet/splice.ts';
import {
  TCP_ACK,
  TCP_ACK_FLAG,
  TCP_CHECKSUM,
  TCP_CWR,
  TCP_FIN,
  TCP_FLAGS,
  TCP_HLEN,
  TCP_PSH,
  TCP_RST,
  TCP_SEQ,
  TCP_SYN,
  TCP_URG,
  TCP_URGENT,
} from '../../packet/tcp.ts';
import {
  mendTcpChecksum,
  nextOption,
  replaceWord,
  sackBlocks,
  TCPOPT_NOP,
  TCPOPT_SACK,
  tcpDataStart,
} from '../../packet/tcp-options.ts';
import type { FrameMemory } from '../frame-memory.ts';

/** Words that a connection's state takes. */
export const PROXY_STREAM_WORDS = 3;

const FIRST = 0;
const STATE = 1;
const ACKNOWLEDGED = 2;

const LENGTH_MASK = 0xff;
/** A header went in place of an acknowledgment, and no data at `first` has followed. */
const SENT = 0x100;
/** The server is so far that no number can be taken for one before the header any more. */
const FAR = 0x200;

/** How far the server must be for that; a window is at most 2^30 (RFC 7323 §2.3), half of what is comparable less. */
const FAR_BYTES = 0x40000000;

/** What {@link proxyRequest} says: the segment goes on, perhaps changed. */
export const PROXY_PASS = 0;
/** A packet with the header goes on before the segment. */
export const PROXY_HEADER_FIRST = 1;
/** A packet with the header goes on in place of the segment. */
export const PROXY_HEADER_ONLY = 2;
/** The segment is dropped: it claims the header's place, or its header lies. */
export const PROXY_DROP = 3;

/** Begins a connection with the initial sequence number of the client's SYN. A header has at most 107 bytes. */
export function openProxyStream(words: Int32Array, at: number, initial: number, headerLength: number): void {
  words[at + FIRST] = (initial + 1) | 0;
  words[at + STATE] = headerLength & LENGTH_MASK;
  words[at + ACKNOWLEDGED] = (initial + 1) | 0;
}

/** Whether the server has the header, so that from here on every segment is only shifted. */
export function isHeaderAcknowledged(words: Int32Array, at: number): boolean {
  const length = words[at + STATE] & LENGTH_MASK;
  return (words[at + STATE] & FAR) !== 0 || ((words[at + ACKNOWLEDGED] - words[at + FIRST]) | 0) >= length;
}

/** The client's number for what the server calls `sequence`; also for what ICMP errors quote. */
export function proxyUnshift(words: Int32Array, at: number, sequence: number): number {
  const state = words[at + STATE];
  const length = state & LENGTH_MASK;
  const distance = (sequence - words[at + FIRST]) | 0;
  if ((state & FAR) !== 0 || distance > length) return (sequence - length) | 0;
  return distance < 0 ? sequence : words[at + FIRST];
}

/** Shifts a client's segment in place and says what else is to be done. */
export function proxyRequest(frames: FrameMemory, headers: Headers, words: Int32Array, at: number): number {
  const { view } = frames;
  const { transport, end } = headers;
  const flags = view.getUint8(transport + TCP_FLAGS);
  const data = tcpDataStart(view, headers);
  if (data === -1) return PROXY_DROP;
  if ((flags & TCP_SYN) !== 0) {
    // Data in a SYN: shorter needs no room, so this cannot be refused.
    if (end > data) splice(view, frames.bytes, headers, data, end - data, frames.bytes, 0, end);
    return PROXY_PASS;
  }

  const state = words[at + STATE];
  const length = state & LENGTH_MASK;
  const sequence = view.getInt32(transport + TCP_SEQ);
  if (isHeaderAcknowledged(words, at)) {
    setSequence(view, transport, sequence + length);
    return PROXY_PASS;
  }
  const distance = (sequence - words[at + FIRST]) | 0;
  if ((flags & TCP_RST) !== 0) {
    if (distance > 0) setSequence(view, transport, sequence + length);
    else if (distance === 0) setSequence(view, transport, words[at + ACKNOWLEDGED]);
    return PROXY_PASS;
  }

  const covers = end - data + (flags & TCP_FIN);
  if (distance >= 0) setSequence(view, transport, sequence + length);
  else if (distance + covers > 0) return PROXY_DROP;
  if (distance > 0 || distance < -1 || (flags & TCP_ACK_FLAG) === 0) return PROXY_PASS;
  if (distance < 0 || covers === 0) {
    words[at + STATE] = state | SENT;
    return PROXY_HEADER_ONLY;
  }
  words[at + STATE] = state & ~SENT;
  return (state & SENT) === 0 ? PROXY_HEADER_FIRST : PROXY_PASS;
}

/** Translates a server's segment back, in place, and takes note of what it acknowledges. */
export function proxyReply(view: DataView, headers: Headers, words: Int32Array, at: number): void {
  const transport = headers.transport;
  const flags = view.getUint8(transport + TCP_FLAGS);
  if ((flags & TCP_ACK_FLAG) === 0) return;
  const acknowledged = view.getInt32(transport + TCP_ACK);
  // A reset acknowledges what it answers to, received or not (RFC 9293 §3.5.2).
  if ((flags & TCP_RST) === 0 && ((acknowledged - words[at + ACKNOWLEDGED]) | 0) > 0) {
    words[at + ACKNOWLEDGED] = acknowledged;
    if (((acknowledged - words[at + FIRST]) | 0) >= FAR_BYTES) words[at + STATE] |= FAR;
  }
  const mapped = proxyUnshift(words, at, acknowledged);
  const difference = replaceWord(view, transport, transport + TCP_ACK, mapped);
  mendTcpChecksum(view, transport, difference + unshiftSack(view, headers, words, at, acknowledged));
}

/**
 * Writes the packet with the header to `to`, as a frame of its own: Ethernet, IP and TCP header of the client's segment
 * in `headers`, which {@link proxyRequest} has seen, then the header. `to` may be where that frame is, in place of it.
 * Returns the frame's length; 0 when it does not fit before `limit`, or when the segment is damaged, which must not
 * become a valid packet.
 */
export function writeHeaderSegment(
  frames: FrameMemory,
  headers: Headers,
  words: Int32Array,
  at: number,
  header: Uint8Array,
  to: number,
  limit: number,
  $made: Headers,
): number {
  const { view, bytes } = frames;
  const { ip, transport, family } = headers;
  const from = ip - ETH_HLEN;
  const data = tcpDataStart(view, headers);
  const length = words[at + STATE] & LENGTH_MASK;
  if (data === -1 || to + data - from + length > limit) return 0;
  if (fold(tcpSum(view, headers)) !== 0xffff) return 0;

  bytes.copyWithin(to, from, data);
  $made.family = family;
  $made.protocol = IPPROTO_TCP;
  $made.ip = to + ETH_HLEN;
  $made.transport = to + transport - from;
  $made.end = to + data - from + length;
  const payload = to + data - from;
  for (let i = 0; i < length; i++) bytes[payload + i] = header[i];
  setLength(view, $made);

  const tcp = $made.transport;
  const flags = view.getUint8(tcp + TCP_FLAGS);
  view.setInt32(tcp + TCP_SEQ, words[at + FIRST]);
  // What the client's segment alone may say: its end, its urgent data, its answer to congestion.
  view.setUint8(tcp + TCP_FLAGS, (flags & ~(TCP_FIN | TCP_URG | TCP_CWR)) | TCP_PSH);
  view.setUint16(tcp + TCP_URGENT, 0);
  view.setUint16(tcp + TCP_CHECKSUM, 0);
  view.setUint16(tcp + TCP_CHECKSUM, checksum(view, tcp, 0, tcpSum(view, $made)));
  return $made.end - to;
}

/** Sum over pseudo-header and segment. */
function tcpSum(view: DataView, headers: Headers): number {
  const { ip, transport, end } = headers;
  const isIpv4 = headers.family === 4;
  const addresses = ip + (isIpv4 ? IPV4_SRC : IPV6_SRC);
  const pseudo = sumBytes(view, addresses, isIpv4 ? 8 : 32, IPPROTO_TCP + end - transport);
  return sumBytes(view, transport, end - transport, pseudo);
}

function setSequence(view: DataView, transport: number, sequence: number): void {
  mendTcpChecksum(view, transport, replaceWord(view, transport, transport + TCP_SEQ, sequence | 0));
}

/** Translates SACK blocks and takes out those of which nothing is left; returns the checksum's difference. */
function unshiftSack(view: DataView, headers: Headers, words: Int32Array, at: number, acknowledged: number): number {
  const transport = headers.transport;
  const end = tcpDataStart(view, headers);
  const state = words[at + STATE];
  const length = state & LENGTH_MASK;
  const isFar = (state & FAR) !== 0;
  const isMissing = !isFar && ((acknowledged - words[at + FIRST]) | 0) < length;
  const least = (words[at + FIRST] + length + (isMissing ? 1 : 0)) | 0;
  let difference = 0;
  let option = nextOption(view, transport + TCP_HLEN, end);
  while (option < end) {
    const size = view.getUint8(option + 1);
    const blocks = view.getUint8(option) === TCPOPT_SACK ? sackBlocks(size) : 0;
    let kept = option + 2;
    for (let i = 0; i < blocks; i++) {
      const left = view.getInt32(option + 2 + i * 8);
      const right = view.getInt32(option + 6 + i * 8);
      if (!isFar && ((right - least) | 0) <= 0) continue;
      const start = !isFar && ((left - least) | 0) < 0 ? least : left;
      difference += replaceWord(view, transport, kept, (start - length) | 0);
      difference += replaceWord(view, transport, kept + 4, (right - length) | 0);
      kept += 8;
    }
    if (blocks > 0 && kept < option + size) difference += shortenOption(view, transport, option, kept);
    option = nextOption(view, option + size, end);
  }
  return difference;
}

/** Makes the SACK option at `option` end at `end`, with NOPs behind; without a block all of it becomes NOPs. */
function shortenOption(view: DataView, transport: number, option: number, end: number): number {
  const behind = option + view.getUint8(option + 1);
  const from = end === option + 2 ? option : end;
  let difference = 0;
  if (from === end) difference += replaceByte(view, transport, option + 1, end - option);
  for (let i = from; i < behind; i++) difference += replaceByte(view, transport, i, TCPOPT_NOP);
  return difference;
}

function replaceByte(view: DataView, transport: number, at: number, to: number): number {
  const from = view.getUint8(at);
  view.setUint8(at, to);
  return ((at - transport) & 1) === 0 ? (~(from << 8) & 0xffff) + (to << 8) : (~from & 0xffff) + to;
}

// SPDX-License-Identifier: Apache-2.0
// Reads the tables of iptables-legacy in the calling thread's namespace, by getsockopt as iptables itself does. Only
// tables that are there already: asking for another one would make it (xt_find_table_lock).

import { readFileSync } from 'node:fs';
import { NATIVE_LE } from '../libc.ts';
import { bytesOf, NetlinkFormatError } from '../netlink-message.ts';
import { AF_INET, AF_INET6, getSocketOption, openSocket, SOCK_DGRAM } from '../socket.ts';
import { NFPROTO_IPV4, NFPROTO_IPV6 } from './nfnetlink.ts';
import { clearCounters, parseXtTable, type XtTable, type XtTableInfo } from './xt-table.ts';

const SOL_IP = 0;
const SOL_IPV6 = 41;
const IPT_SO_GET_INFO = 64;
const IPT_SO_GET_ENTRIES = 65;

//  0 name(32)  32 valid hooks(4)  36 entries(5 × 4)  56 underflows(5 × 4)  76 rules(4)  80 size(4)       ipt_getinfo
const INFO_SIZE = 84;
//  0 name(32)  32 size(4)  40 entries                                     struct ipt_get_entries
const ENTRIES_AT = 40;
const HOOKS = 5;

/** More than any table that could be walked packet by packet. */
const MAX_TABLE_BYTES = 64 << 20;

/** A table, or what is wrong with it. */
export interface XtReading {
  readonly family: number;
  readonly name: string;
  readonly table: XtTable | undefined;
  readonly problem: string;
  /** The table's bytes without its counters: equal as long as no rule changes. */
  readonly image: Uint8Array;
}

/** Tables whose chains packets meet before IPVS. Throws SysError. */
export function readXtTables(): XtReading[] {
  return [
    ...readFamily(NFPROTO_IPV4, 'ip_tables_names', AF_INET, SOL_IP),
    ...readFamily(NFPROTO_IPV6, 'ip6_tables_names', AF_INET6, SOL_IPV6),
  ];
}

function readFamily(family: number, file: string, socketFamily: number, level: number): XtReading[] {
  const names = tableNames(file);
  if (names.length === 0) return [];
  const socket = openSocket(socketFamily, SOCK_DGRAM, 0, 'iptables');
  try {
    return names.map((name) => {
      try {
        const { info, entries } = readTable(socket.number, level, name);
        const table = parseXtTable(family, name, info, entries);
        clearCounters(family, entries);
        return { family, name, table, problem: '', image: bytesOf(entries) };
      } catch (error) {
        if (!(error instanceof NetlinkFormatError)) throw error;
        return { family, name, table: undefined, problem: error.message, image: new Uint8Array(0) };
      }
    });
  } finally {
    socket.close();
  }
}

/** Absent when the kernel has no iptables, or not this family. */
function tableNames(file: string): string[] {
  try {
    const text = readFileSync(`/proc/thread-self/net/${file}`, 'utf8');
    return text.split('\n').filter((name) => name !== '');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'EACCES') return [];
    throw error;
  }
}

function readTable(fd: number, level: number, name: string): { info: XtTableInfo; entries: DataView } {
  // EAGAIN: the table was replaced between the two questions and has another size now.
  for (let attempt = 1; ; attempt++) {
    const question = new Uint8Array(INFO_SIZE);
    question.set(Buffer.from(name.slice(0, 31), 'latin1'));
    const info = new DataView(getSocketOption(fd, level, IPT_SO_GET_INFO, question, `table '${name}'`).buffer);
    const size = info.getUint32(80, NATIVE_LE);
    if (size > MAX_TABLE_BYTES) throw new NetlinkFormatError(`table '${name}' of ${size} bytes`);
    const bytes = new Uint8Array(ENTRIES_AT + size);
    bytes.set(question.subarray(0, 32));
    new DataView(bytes.buffer).setUint32(32, size, NATIVE_LE);
    try {
      getSocketOption(fd, level, IPT_SO_GET_ENTRIES, bytes, `entries of table '${name}'`);
    } catch (error) {
      if (attempt === 4 || (error as { errno?: string }).errno !== 'EAGAIN') throw error;
      continue;
    }
    const words = (at: number): number[] =>
      Array.from({ length: HOOKS }, (_, hook) => info.getUint32(at + 4 * hook, NATIVE_LE));
    return {
      info: { validHooks: info.getUint32(32, NATIVE_LE), entries: words(36), underflows: words(56) },
      entries: new DataView(bytes.buffer, ENTRIES_AT, size),
    };
  }
}

// SPDX-License-Identifier: Apache-2.0
// Offloads of drivers by SIOCETHTOOL (include/uapi/linux/ethtool.h). They apply to devices of the calling thread's
// namespace: combine with `inNamespace` for another one.

import { UnsupportedError } from './errno.ts';
import { ifreqWith, ioctl } from './ioctl.ts';
import { NATIVE_LE } from './libc.ts';
import { AF_INET, openSocket, SOCK_DGRAM } from './socket.ts';

const SIOCETHTOOL = 0x8946;
const ETHTOOL_GSTRINGS = 0x1b;
const ETHTOOL_GSSET_INFO = 0x37;
const ETHTOOL_GFEATURES = 0x3a;
const ETHTOOL_SFEATURES = 0x3b;

const ETH_SS_FEATURES = 4;
const STRING_LENGTH = 32;

//  0 available(4)  4 requested(4)  8 active(4)  12 never changed(4)       struct ethtool_get_features_block
const GET_BLOCK = 16;
//  0 valid(4)  4 requested(4)                                             struct ethtool_set_features_block
const SET_BLOCK = 8;

/** Offloads by the name of a group, and the kernel's features that make it up (net/ethtool/common.c). */
const OFFLOADS = {
  txChecksum: ['tx-checksum-ipv4', 'tx-checksum-ip-generic', 'tx-checksum-ipv6', 'tx-checksum-sctp'],
  rxChecksum: ['rx-checksum'],
  tso: ['tx-tcp-segmentation', 'tx-tcp-ecn-segmentation', 'tx-tcp-mangleid-segmentation', 'tx-tcp6-segmentation'],
  gso: ['tx-generic-segmentation'],
  gro: ['rx-gro'],
  lro: ['rx-lro'],
} as const satisfies Record<string, readonly string[]>;

export type Offload = keyof typeof OFFLOADS;

/** State of one feature of a device. */
export interface Feature {
  readonly active: boolean;
  /** Whether anybody can switch it. */
  readonly changeable: boolean;
}

/**
 * Switches offloads and makes sure that they are: txChecksum off means that every packet leaves with a finished
 * checksum, in both families. A group that the device lacks wholly counts as off; UnsupportedError when something
 * stays as it was.
 */
export function setOffloads(device: string, offloads: Partial<Record<Offload, boolean>>): void {
  const wanted: Record<string, boolean> = {};
  const features = readFeatures(device);
  for (const [offload, enabled] of Object.entries(offloads) as [Offload, boolean][]) {
    for (const name of OFFLOADS[offload]) {
      if (features.get(name)?.changeable) wanted[name] = enabled;
    }
  }
  setFeatures(device, wanted);
  const now = readFeatures(device);
  for (const [offload, enabled] of Object.entries(offloads) as [Offload, boolean][]) {
    if (isOn(now, offload) === enabled) continue;
    const stays = enabled ? 'off' : 'on';
    throw new UnsupportedError(`switch for ${offload} of '${device}'`, `the driver keeps it ${stays}`);
  }
}

/** Whether any feature of the group is active. */
export function readOffload(device: string, offload: Offload): boolean {
  return isOn(readFeatures(device), offload);
}

/** Features of the device by the kernel's names, those of `ethtool -k`. */
export function readFeatures(device: string): ReadonlyMap<string, Feature> {
  const names = featureNames(device);
  const blocks = Math.ceil(names.length / 32);
  const answer = command(device, ETHTOOL_GFEATURES, 8 + blocks * GET_BLOCK, (view) => {
    view.setUint32(4, blocks, NATIVE_LE);
  });
  const features = new Map<string, Feature>();
  names.forEach((name, i) => {
    const block = 8 + (i >>> 5) * GET_BLOCK;
    const bit = (word: number): boolean => ((answer.getUint32(block + word, NATIVE_LE) >>> (i & 31)) & 1) === 1;
    if (name !== '') features.set(name, { active: bit(8), changeable: bit(0) && !bit(12) });
  });
  return features;
}

/** Switches features by name; those that the device can't switch are left by the kernel as they are. */
export function setFeatures(device: string, wanted: Readonly<Record<string, boolean>>): void {
  const names = featureNames(device);
  const blocks = Math.ceil(names.length / 32);
  command(device, ETHTOOL_SFEATURES, 8 + blocks * SET_BLOCK, (view) => {
    view.setUint32(4, blocks, NATIVE_LE);
    for (const [name, enabled] of Object.entries(wanted)) {
      const i = names.indexOf(name);
      if (i === -1) throw new UnsupportedError(`feature '${name}'`, 'see ethtool -k for those that it has');
      const block = 8 + (i >>> 5) * SET_BLOCK;
      const mask = 1 << (i & 31);
      view.setInt32(block, view.getInt32(block, NATIVE_LE) | mask, NATIVE_LE);
      if (enabled) view.setInt32(block + 4, view.getInt32(block + 4, NATIVE_LE) | mask, NATIVE_LE);
    }
  });
}

function isOn(features: ReadonlyMap<string, Feature>, offload: Offload): boolean {
  return OFFLOADS[offload].some((name) => features.get(name)?.active);
}

/** Names by the number of the feature's bit; '' where the kernel has a gap. */
function featureNames(device: string): string[] {
  const info = command(device, ETHTOOL_GSSET_INFO, 20, (view) => {
    view.setBigUint64(8, 1n << BigInt(ETH_SS_FEATURES), NATIVE_LE);
  });
  const count = info.getUint32(16, NATIVE_LE);
  const strings = command(device, ETHTOOL_GSTRINGS, 12 + count * STRING_LENGTH, (view) => {
    view.setUint32(4, ETH_SS_FEATURES, NATIVE_LE);
    view.setUint32(8, count, NATIVE_LE);
  });
  return Array.from({ length: count }, (_, i) => {
    const bytes = Buffer.from(strings.buffer, 12 + i * STRING_LENGTH, STRING_LENGTH);
    const end = bytes.indexOf(0);
    return bytes.subarray(0, end === -1 ? STRING_LENGTH : end).toString('latin1');
  });
}

/** Sends one command: its number, then what `fill` writes. Returns what the kernel wrote over it. */
function command(device: string, number: number, length: number, fill: (view: DataView) => void): DataView {
  const data = new Uint8Array(length);
  const view = new DataView(data.buffer);
  view.setUint32(0, number, NATIVE_LE);
  fill(view);
  const socket = openSocket(AF_INET, SOCK_DGRAM, 0, `settings of device '${device}'`);
  try {
    ioctl(socket.number, SIOCETHTOOL, ifreqWith(device, data), `settings of device '${device}'`);
  } finally {
    socket.close();
  }
  return view;
}

// SPDX-License-Identifier: Apache-2.0
// The common test language: a packet case says what is configured, which packets come in, where each goes and with which
// bytes, and what the listings show afterwards. The tables beside this file hold the cases; whoever runs them is a Stage
// (see run-case.ts). Nothing here knows how packets are moved.

/** Who sends and receives packets; addresses are in stations.ts. */
export type Station = 'client' | `server ${number}`;

export interface Delivery {
  readonly to: Station;
  /** The IP packet. */
  readonly packet: Uint8Array;
}

/** Counters of the director that a packet moves by one, when they are not what the destination says. */
export type Verdicts = readonly string[];

/**
 * What the engine does with a packet. To a station it is counted as `forward`, to the kernel (which gets it as it was)
 * as `pass`; a packet for nobody is counted under the names given.
 */
export type Expectation =
  | (Delivery & { readonly verdicts?: Verdicts /** More packets behind it. */; readonly also?: readonly Uint8Array[] })
  | {
      readonly to: 'kernel';
      readonly verdicts?: Verdicts;
      /** What it gets, when not the packet as it was. */
      readonly packets?: readonly Uint8Array[];
    }
  | { readonly to: 'nobody'; readonly verdicts: Verdicts };

/** How the packet is framed, when not as usual. */
export interface Framing {
  /** `director` unless told otherwise. */
  readonly destination?: 'director' | 'broadcast' | 'multicast' | 'another station';
  /** Bytes behind the packet. */
  readonly padding?: number;
  /** Ethernet type; that of the IP version unless told otherwise. */
  readonly type?: number;
}

export interface PacketStep {
  readonly from: Station;
  readonly packet: Uint8Array;
  readonly framing?: Framing;
  readonly expect: Expectation;
  /** Before an engine behind XDP, the program leaves the frame to the kernel and counts it so. */
  readonly atXdp?: 'passed' | 'malformed';
  /** What a kernel that gets the packet says to it. */
  readonly kernelAnswers?: Delivery;
}

/** An ipvsadm command in mid-stream. */
export interface CommandStep {
  readonly ipvsadm: string;
}

/** So many seconds pass, after which no connection of the case is left. */
export interface ExpiryStep {
  readonly expireAfterSeconds: number;
}

export type Step = PacketStep | CommandStep | ExpiryStep;

export interface PacketCase {
  /** A sentence of behaviour, unique in all tables. */
  readonly description: string;
  /** Lines as `ipvsadm -R` reads them. Ports of services and clients are this case's alone. */
  readonly configuration: readonly string[];
  readonly steps: readonly Step[];
  /** Rows of `ipvsadm -Ln --stats`, single blanks. */
  readonly counters: readonly string[];
  /** Rows of `ipvsadm -Lnc`, single blanks; times are those right after the last step. */
  readonly connections: readonly string[];
  /** Runs only without (`engine`) or only with the XDP program in front (`xdp`), where the two differ. */
  readonly only?: 'engine' | 'xdp';
}

export function isPacketStep(step: Step): step is PacketStep {
  return 'packet' in step;
}

// SPDX-License-Identifier: Apache-2.0
// The words in which everybody speaks of a director: virtual services, real servers, their counters, connections.
// Plain data, JSON-safe, the same in the director, the data planes, the API, ipvsadm and the configuration.

import type { Address, Family } from '../packet/address.ts';
import type { Prefix } from '../packet/prefix.ts';
import type { PortList } from './port-list.ts';

export type Protocol = 'tcp' | 'udp' | 'sctp';

/** How packets reach a real server; ipvsadm prints Masq, Route, Tunnel, FullNat and Local for them. */
export type ForwardingMethod = 'nat' | 'dr' | 'tun' | 'fullnat' | 'local';

/** What tells one virtual service from another. Port 0 stands for every port of the address. */
export type ServiceKey =
  | { readonly kind: 'address'; readonly protocol: Protocol; readonly address: Address; readonly port: number }
  | { readonly kind: 'fwmark'; readonly mark: number; readonly family: Family };

export type SchedulerFlag = 'flag-1' | 'flag-2' | 'flag-3';

export interface Persistence {
  /** Life of a template in seconds, 1 … 2678400. */
  readonly timeoutSeconds: number;
  /** Leading bits of the client address that count: 0 … 32 or 128. */
  readonly prefixLength: number;
  /** Persistence engine, `sip` or none. */
  readonly engine?: string;
}

/** What a user sets on a virtual service. */
export interface ServiceOptions {
  readonly scheduler: string;
  /** Scheduler flags by number; `sh-fallback` and `mh-fallback` are flag-1, `sh-port` and `mh-port` flag-2. */
  readonly schedulerFlags: readonly SchedulerFlag[];
  readonly persistence?: Persistence;
  /** One-packet scheduling (UDP): no connection is remembered. */
  readonly onePacket: boolean;
}

/** States whose timeouts a service can set for itself, by the names of `ipvsadm -Lc`. */
export type TcpStateName =
  | 'NONE'
  | 'ESTABLISHED'
  | 'SYN_SENT'
  | 'SYN_RECV'
  | 'FIN_WAIT'
  | 'TIME_WAIT'
  | 'CLOSE'
  | 'CLOSE_WAIT'
  | 'LAST_ACK'
  | 'LISTEN'
  | 'SYNACK';

export type SctpStateName =
  | 'NONE'
  | 'INIT1'
  | 'INIT'
  | 'C-SENT'
  | 'C-REPLIED'
  | 'C-WAIT'
  | 'COOKIE'
  | 'C-ECHOED'
  | 'ESTABLISHED'
  | 'S-SENT'
  | 'S-RECEIVED'
  | 'S-ACK-SENT'
  | 'REJECTED'
  | 'CLOSED';

/** Life of a service's connections by state, in seconds 1 … 2678400; what is left out follows the director's own. */
export interface StateTimeouts {
  readonly tcp?: Readonly<Partial<Record<TcpStateName, number>>>;
  readonly sctp?: Readonly<Partial<Record<SctpStateName, number>>>;
  readonly udp?: number;
}

/** What a service does better than IPVS, or otherwise, when its user says so. Not part of what ipvsadm edits. */
export interface ServiceTuning {
  readonly timeouts?: StateTimeouts;
  /** A SYN on a connection that is closing, or whose server is gone or quiesced, is scheduled anew and never dropped. */
  readonly freshSyn?: boolean;
  /** Affinity to a server ends when its weight becomes 0: expire_quiescent_template for this service alone. */
  readonly quiesceEndsAffinity?: boolean;
  /** mh gives the places of servers of weight 0 to the others; the clients of those stay where they are. */
  readonly hashSkipsQuiesced?: boolean;
  /** Seconds in which the weight of a server that was added, or came back from weight 0, rises from 1 to its own. */
  readonly slowStartSeconds?: number;
  /** Pool of the local addresses from which FULLNAT speaks to the servers; `default` when left out. */
  readonly localPool?: string;
  /** How servers with FULLNAT hear of the client's address; not at all when left out. */
  readonly clientAddress?: ClientAddress;
  /** Kind of the TCP option when that is TOA, 254 when left out. */
  readonly toaKind?: number;
  /** Routing of QUIC by connection ID, so that a client that changes its address keeps its server. UDP. */
  readonly quic?: QuicTuning;
}

/** How servers write their id into the connection IDs that they give to clients. */
export interface QuicTuning {
  /** The clear-text form of draft-ietf-quic-load-balancers, Katran's or DPVS's. */
  readonly encoding: 'quic-lb' | 'katran' | 'dpvs';
  /** quic-lb: bytes of a server id, 1 … 15; those of the first of `ids` when left out. */
  readonly serverIdLength?: number;
  /** quic-lb: bytes of the nonce, 4 and more; 4 when left out, which fits all longer ones. */
  readonly nonceLength?: number;
  /** quic-lb: configuration, 0 … 6; 0 when left out. */
  readonly configId?: number;
  /**
   * Ids by server, `192.168.1.1:443`: for quic-lb in hexadecimal, for Katran a number. DPVS's follow from the addresses.
   */
  readonly ids?: Readonly<Record<string, string>>;
}

/** A change of {@link QuicTuning}: null takes back. */
export interface QuicPatch {
  readonly encoding?: QuicTuning['encoding'];
  readonly serverIdLength?: number | null;
  readonly nonceLength?: number | null;
  readonly configId?: number | null;
  readonly ids?: Readonly<Record<string, string | null>> | null;
}

/** By TCP option 254 (TOA), or by a header of the PROXY protocol before the client's data. */
export type ClientAddress = 'toa' | 'proxy-v1' | 'proxy-v2';

/** A local address of a pool, with its ports. */
export interface LocalAddressKey {
  readonly pool: string;
  readonly address: Address;
}

export interface LocalAddressOptions {
  /** First and last port that connections get, 1025 and 65535 when left out. */
  readonly lowPort?: number;
  readonly highPort?: number;
}

export interface LocalAddressSnapshot {
  readonly address: Address;
  readonly lowPort: number;
  readonly highPort: number;
  /** Connections that have a port of it, over all servers. */
  readonly connections: number;
}

export interface LocalPoolSnapshot {
  readonly name: string;
  readonly addresses: readonly LocalAddressSnapshot[];
  /** Connections that have a port, those of addresses that were removed included. */
  readonly connections: number;
  /** Connections that were refused because no port was left for their server, or no memory. */
  readonly exhausted: number;
  readonly refused: number;
}

/** A change of some of a service's tuning: a value sets, null takes back what was set, what is left out stays. */
export interface TuningPatch {
  readonly timeouts?: {
    readonly tcp?: Readonly<Partial<Record<TcpStateName, number | null>>> | null;
    readonly sctp?: Readonly<Partial<Record<SctpStateName, number | null>>> | null;
    readonly udp?: number | null;
  } | null;
  readonly freshSyn?: boolean | null;
  readonly quiesceEndsAffinity?: boolean | null;
  readonly hashSkipsQuiesced?: boolean | null;
  readonly slowStartSeconds?: number | null;
  readonly localPool?: string | null;
  readonly clientAddress?: ClientAddress | null;
  readonly toaKind?: number | null;
  readonly quic?: QuicPatch | null;
}

/** What tells one real server of a service from another. */
export interface ServerKey {
  readonly address: Address;
  readonly port: number;
}

export type TunnelOptions =
  | { readonly type: 'ipip' }
  | { readonly type: 'gue'; readonly port: number; readonly checksum: 'none' | 'csum' | 'remcsum' }
  | { readonly type: 'gre'; readonly checksum: 'none' | 'csum' };

/** What a user sets on a real server. */
export interface ServerOptions {
  readonly method: ForwardingMethod;
  /** 0 … 2147483647; 0 means quiesced: no new connections. */
  readonly weight: number;
  /** Connections at which the server counts as overloaded, 0 for never. */
  readonly upperThreshold: number;
  /** Connections at which an overloaded server is taken back, 0 for three quarters of the upper threshold. */
  readonly lowerThreshold: number;
  /** Present when the method is `tun`. */
  readonly tunnel?: TunnelOptions;
}

/** A rule of the user's own that gives packets a firewall mark; what is left out is not looked at. */
export interface MarkRule {
  /** 1 … 4294967295. */
  readonly mark: number;
  readonly protocol?: Protocol;
  readonly source?: Prefix;
  readonly destination?: Prefix;
  readonly sourcePorts?: PortList;
  readonly destinationPorts?: PortList;
  /** Name of the device that packets come in by. */
  readonly interface?: string;
}

export interface MarkRuleSnapshot extends MarkRule {
  /** Stays with the rule, and never comes again. */
  readonly number: number;
}

/** Where a rule of the kernel's stands. */
export interface RulePlace {
  /** `nftables`, where iptables keeps its rules today too, or `iptables-legacy`. */
  readonly source: 'nftables' | 'iptables-legacy';
  /** `ip`, `ip6` or `inet`. */
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  /** nftables: its handle. iptables-legacy: its number in the chain. 0: the whole chain or table. */
  readonly number: number;
}

/** A rule of the kernel's that can mark packets. */
export interface KernelMarkRule extends RulePlace {
  /** What it does, close to nftables' words. */
  readonly text: string;
}

/** A rule of the kernel's that is left out as a whole, because the engine cannot do all that it says. */
export interface UnreadableRule extends RulePlace {
  readonly reason: string;
}

/** What the engine has made of the kernel's firewall rules. */
export interface KernelMarks {
  readonly rules: readonly KernelMarkRule[];
  readonly unreadable: readonly UnreadableRule[];
  /** Why the rules are those of an earlier reading; left out when they are not. */
  readonly problem?: string;
}

/** Totals since the start or the last zeroing; bytes count the IP packet, headers included. */
export interface Counters {
  readonly connections: number;
  readonly inPackets: number;
  readonly outPackets: number;
  readonly inBytes: number;
  readonly outBytes: number;
}

/** Smoothed rates per second, in the order of {@link Counters}. */
export interface Rates {
  readonly connections: number;
  readonly inPackets: number;
  readonly outPackets: number;
  readonly inBytes: number;
  readonly outBytes: number;
}

/** How far the drain of a server is. */
export interface DrainSnapshot {
  /** Whole seconds until connections that are left are reset, 0 from then on; left out when there is no deadline. */
  readonly secondsLeft?: number;
}

export interface ServerSnapshot extends ServerKey, ServerOptions {
  /** What new connections go by while the server starts slowly; left out when that is its weight. */
  readonly effectiveWeight?: number;
  /** Smoothed time from SYN to SYN-ACK in µs; left out unless the scheduler measures it and has done so. */
  readonly responseTimeUs?: number;
  /** Present while the server is drained. */
  readonly drain?: DrainSnapshot;
  readonly activeConnections: number;
  readonly inactiveConnections: number;
  readonly persistentConnections: number;
  readonly counters: Counters;
  readonly rates: Rates;
}

export interface ServiceSnapshot extends ServiceOptions {
  readonly key: ServiceKey;
  /** Left out when nothing is tuned. */
  readonly tuning?: ServiceTuning;
  readonly counters: Counters;
  readonly rates: Rates;
  /** In the kernel's order: the newest first. */
  readonly servers: readonly ServerSnapshot[];
}

/** Timeouts that `ipvsadm --set` changes, in seconds. */
export interface Timeouts {
  readonly tcp: number;
  readonly tcpFin: number;
  readonly udp: number;
}

/** One entry of the connection table as `ipvsadm -Lc` shows it. */
export interface ConnectionSnapshot {
  /** `ip` for the templates of a firewall-mark service. */
  readonly protocol: Protocol | 'ip';
  /** Whole seconds until the entry expires. */
  readonly expiresSeconds: number;
  /** Name of the state as listed: `ESTABLISHED`, `UDP`, `NONE` … */
  readonly state: string;
  readonly client: ServerKey;
  readonly virtual: ServerKey;
  readonly destination: ServerKey;
  readonly persistenceEngine?: { readonly name: string; readonly data: string };
}

/**
 * Errno names under which the director refuses a change; ipvsadm turns them into the kernel's texts.
 * `EOPNOTSUPP` carries a message that says which feature is missing.
 */
export type LvsErrorCode =
  | 'EEXIST'
  | 'ENOENT'
  | 'ESRCH'
  | 'EINVAL'
  | 'ERANGE'
  | 'ENOMEM'
  | 'EAFNOSUPPORT'
  | 'EOPNOTSUPP';

/** A change that the director refuses; nothing of it was applied. */
export class LvsError extends Error {
  readonly code: LvsErrorCode;

  constructor(code: LvsErrorCode, message: string) {
    super(message);
    this.name = 'LvsError';
    this.code = code;
  }
}

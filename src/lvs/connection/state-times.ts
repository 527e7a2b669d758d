// SPDX-License-Identifier: Apache-2.0
// How long a connection lives in each state: the director's own times, and those of a service that sets some for itself.

import type { StateTimeouts, Timeouts } from '../model.ts';
import { TICKS_PER_SECOND } from './layout.ts';
import { defaultSctpTimeouts, SCTP_STATE_NAMES } from './sctp-state.ts';
import { defaultTcpTimeouts, TCP_ESTABLISHED, TCP_FIN_WAIT, TCP_STATE_NAMES } from './tcp-state.ts';

const UDP_SECONDS = 300;

export class StateTimes {
  /** Ticks by state. */
  readonly tcp: Int32Array = defaultTcpTimeouts();
  readonly sctp: Int32Array = defaultSctpTimeouts();
  /** Ticks. */
  udp: number = UDP_SECONDS * TICKS_PER_SECOND;

  /** Takes the times of `base`, then those that `own` names. */
  derive(base: StateTimes, own: StateTimeouts): void {
    this.tcp.set(base.tcp);
    this.sctp.set(base.sctp);
    this.udp = own.udp === undefined ? base.udp : own.udp * TICKS_PER_SECOND;
    override(this.tcp, TCP_STATE_NAMES, own.tcp ?? {});
    override(this.sctp, SCTP_STATE_NAMES, own.sctp ?? {});
  }

  /** What `ipvsadm --set` shows. */
  get timeouts(): Timeouts {
    return {
      tcp: this.tcp[TCP_ESTABLISHED] / TICKS_PER_SECOND,
      tcpFin: this.tcp[TCP_FIN_WAIT] / TICKS_PER_SECOND,
      udp: this.udp / TICKS_PER_SECOND,
    };
  }

  /** Changes what is not 0, in seconds. */
  set timeouts({ tcp, tcpFin, udp }: Timeouts) {
    if (tcp > 0) this.tcp[TCP_ESTABLISHED] = tcp * TICKS_PER_SECOND;
    if (tcpFin > 0) this.tcp[TCP_FIN_WAIT] = tcpFin * TICKS_PER_SECOND;
    if (udp > 0) this.udp = udp * TICKS_PER_SECOND;
  }
}

function override(ticks: Int32Array, names: readonly string[], own: Readonly<Record<string, number>>): void {
  for (const [name, seconds] of Object.entries(own)) ticks[names.indexOf(name)] = seconds * TICKS_PER_SECOND;
}

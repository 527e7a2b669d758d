// SPDX-License-Identifier: Apache-2.0
// What tells the director the firewall mark of a packet that opens a connection: it sees packets before netfilter does,
// so that it applies the marks of the kernel's rules, and its user's own, by itself.

import type { Headers } from '../../packet/parse.ts';

export interface MarkClassifier {
  /** The mark that the packet of the last {@link markOf} had when the kernel would have looked for its route, unsigned. */
  readonly routingMark: number;
  /**
   * Firewall mark of the packet in `headers` that came in by the device of index `device`, unsigned; 0 for none.
   * Asked once per packet that belongs to no connection.
   */
  markOf(view: DataView, headers: Headers, device: number): number;
}

// SPDX-License-Identifier: Apache-2.0
// Firewall marks of a scenario for the director's side.

import type { MarkClassifier } from '../../src/lvs/classify/classifier.ts';
import { type Address, addressWords } from '../../src/packet/address.ts';
import type { Headers } from '../../src/packet/parse.ts';
import type { MarkRule } from './scenario.ts';

const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const;

export class ScenarioMarks implements MarkClassifier {
  readonly #rules: readonly { readonly rule: MarkRule; readonly words: readonly number[] }[];

  constructor(rules: readonly MarkRule[]) {
    this.#rules = rules.map((rule) => ({ rule, words: addressWords(rule.virtual as Address) }));
  }

  markOf(view: DataView, headers: Headers): number {
    const { family, ip, transport, protocol } = headers;
    const at = ip + (family === 4 ? 16 : 24);
    let mark = 0;
    for (const { rule, words } of this.#rules) {
      if (rule.family !== family || PROTOCOLS[rule.protocol] !== protocol) continue;
      if (view.getUint16(transport + 2) !== rule.virtualPort) continue;
      const isSame = words.every((word, i) => (family === 4 && i > 0) || view.getInt32(at + 4 * i) === word);
      if (isSame) mark = rule.mark;
    }
    return mark;
  }
}

// SPDX-License-Identifier: Apache-2.0
// The oracle about forwarding, in short: fixed random scenarios of every method in which the kernel and the director never
// differ, and the proof that it would tell. At length it is `npm run oracle -- --about forwarding --fragments`.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { MemoryLink } from '../../src/dataplane/engine/memory-link.ts';
import { OracleKernel } from './kernel.ts';
import { replay } from './replay.ts';
import { forwardScenariosOf } from './run-oracle.ts';
import type { Scenario } from './scenario.ts';
import { assertAgreement, CONVERSATION, SKIP, SYN } from './short-form.ts';
import { HARMS } from './tunnel-harm.ts';

const SEED = 7;
const CASES = 12;
const PACKETS = 40;

suite('the oracle about forwarding', { skip: SKIP }, () => {
  let kernel: OracleKernel;
  before(async () => {
    kernel = await OracleKernel.boot();
  });
  after(() => kernel.close());

  test('kernel and director agree about methods, tunnels, path MTU, ICMP errors, fragments', async () => {
    const scenarios = forwardScenariosOf(SEED, 0, CASES, PACKETS, { fragments: true });
    await assertAgreement(kernel, scenarios, CASES, PACKETS);
  });

  test('a tunnel header that is broken on purpose is found out, whatever is wrong with it', async (t) => {
    const scenario = tunnels();
    const [outcomes] = await kernel.play([scenario]);
    assert.equal((await replay(scenario, outcomes)).difference, undefined);
    const transmit = MemoryLink.prototype.transmit;
    t.after(() => {
      MemoryLink.prototype.transmit = transmit;
    });
    for (const { what, harm } of HARMS) {
      let harmed = 0;
      MemoryLink.prototype.transmit = function (this: MemoryLink, offset: number, length: number) {
        const isSent = transmit.call(this, offset, length);
        if (harm(this.sent[this.sent.length - 1].subarray(14))) harmed++;
        return isSent;
      };
      const { difference } = await replay(scenario, outcomes);
      assert.equal(difference?.what, 'frames that leave', what);
      assert.ok(harmed > 0, what);
    }
  });
});

/** Connections by every kind of tunnel, two packets of each. */
function tunnels(): Scenario {
  const kinds = [
    '',
    ' --tun-type gue --tun-port 6080',
    ' --tun-type gue --tun-port 6081 --tun-csum',
    ' --tun-type gre',
    ' --tun-type gre --tun-csum',
  ];
  const servers = kinds.map(
    (kind, i) => ({ kind: 'ipvsadm', line: `-a -t 10.0.0.1:80 -r 192.168.1.${i + 1}:80 -i${kind}` }) as const,
  );
  const packets = ['S', 'A'].flatMap((flags) =>
    Array.from({ length: kinds.length }, (_, i) => ({
      ...CONVERSATION,
      ...SYN,
      flags,
      clientPort: 2000 + i,
      tos: 0x10,
    })),
  );
  const service = { kind: 'ipvsadm', line: '-A -t 10.0.0.1:80 -s rr' } as const;
  return { name: 'tunnels', marks: [], steps: [service, ...servers, ...packets] };
}

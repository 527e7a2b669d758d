// SPDX-License-Identifier: Apache-2.0
// Rules that change while somebody follows them, in a namespace of their own.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../../test/support/eventually.ts';
import { requirements } from '../../../test/support/requirements.ts';
import { VethLab } from '../../../test/support/veth-lab.ts';
import { SysError } from '../../linux/errno.ts';
import { readKernelRules } from './kernel-rules.ts';
import { RuleFollower } from './rule-follower.ts';
import type { KernelRules } from './settle.ts';

const skip = requirements('root', 'program:ip', 'program:nft', 'program:iptables');

/** Longer than the pause between two looks at tables of iptables-legacy. */
const PATIENCE_MS = 5000;

let lab: VethLab;

before(() => {
  if (!skip) lab = new VethLab();
});
after(() => {
  if (!skip) lab.close();
});

const nft = (rules: string): void => {
  lab.run(() => execFileSync('nft', ['-f', '-'], { input: rules, stdio: 'pipe' }));
};

class Following {
  readonly told: KernelRules[] = [];
  readonly lines: string[] = [];
  readonly follower: RuleFollower;

  constructor(t: TestContext, readRules = readKernelRules) {
    const line = (level: string) => (message: string) => void this.lines.push(`${level} ${message}`);
    const log = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
    this.follower = new RuleFollower({ log, onRules: (rules) => this.told.push(rules), readRules });
    lab.run(() => this.follower.open());
    t.after(() => this.follower.stop());
  }

  get texts(): string[] {
    return this.follower.marks.rules.map(({ text }) => text);
  }

  /** Looks, inside the namespace, until `count` rule sets were told. */
  async until(count: number): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (this.told.length < count) {
      assert.ok(performance.now() < deadline, `told ${this.told.length} times: ${this.texts}`);
      await delay(10);
      lab.run(() => this.follower.look());
    }
  }
}

const MARKING = 'table ip t { chain c { type filter hook prerouting priority 0; tcp dport 80 meta mark set 7; }; }';

describe('followed rules', { skip }, () => {
  test('what stands at the start is told at once, and what nftables changes soon', async (t) => {
    nft(`flush ruleset\n${MARKING}`);
    const following = new Following(t);
    assert.equal(following.told.length, 1);
    nft('add rule ip t c tcp dport 81 meta mark set 8');
    await following.until(2);
    assert.deepEqual(following.texts, [
      'meta l4proto tcp th dport 80 meta mark set 0x7',
      'meta l4proto tcp th dport 81 meta mark set 0x8',
    ]);
    nft('flush ruleset');
    await following.until(3);
    assert.deepEqual(following.texts, []);
    assert.deepEqual(following.told[2].rules, { chains: [], prerouting: [], input: [] });
    assert.deepEqual(following.lines, new Array(3).fill('info firewall rules taken'));
  });

  test('what changes nothing is not told: counters, rules without influence', async (t) => {
    nft(`flush ruleset\n${MARKING}`);
    const following = new Following(t);
    nft('add rule ip t c counter');
    nft('add table inet other');
    await delay(300);
    lab.run(() => following.follower.look());
    assert.equal(following.told.length, 1);
  });

  test('elements of sets are followed, and those that expire', async (t) => {
    nft(`flush ruleset
      table ip t {
        set ports { type inet_service; flags timeout; elements = { 80, 81 timeout 3s }; }
        chain c { type filter hook prerouting priority 0; tcp dport @ports meta mark set 7; }
      }`);
    const following = new Following(t);
    assert.match(following.texts[0], /th dport \{ 80, 81 \}/);
    nft('add element ip t ports { 443 }');
    await following.until(2);
    assert.match(following.texts[0], /th dport \{ 80, 81, 443 \}/);
    await following.until(3);
    assert.match(following.texts[0], /th dport \{ 80, 443 \}/);
  });

  test('tables of iptables-legacy are looked at once a second', async (t) => {
    nft('flush ruleset');
    const following = new Following(t);
    assert.equal(following.told.length, 0);
    const iptables = (rule: string): void => {
      lab.run(() => execFileSync('iptables-legacy', ['-t', 'mangle', ...rule.split(' ')], { stdio: 'pipe' }));
    };
    iptables('-A PREROUTING -p tcp -j MARK --set-mark 7');
    await following.until(1);
    assert.deepEqual(following.texts, ['meta l4proto tcp meta mark set 0x7']);
    iptables('-F');
    await following.until(2);
    assert.deepEqual(following.texts, []);
  });

  test('rules that cannot be read are said once, and where', async (t) => {
    nft(`flush ruleset\n${MARKING}\nadd rule ip t c limit rate 1/second meta mark set 9`);
    const following = new Following(t);
    assert.deepEqual(following.lines, ["warn firewall rules taken, some left out: 'ballast mark list' says which"]);
    assert.deepEqual(
      following.follower.marks.unreadable.map(({ table, chain, reason }) => `${table} ${chain} ${reason}`),
      ["t c expression 'limit'"],
    );
  });

  test('rules that only drop are read as soon as somebody else gives marks', async (t) => {
    nft('flush ruleset\ntable ip t { chain c { type filter hook input priority 0; tcp dport 80 drop; }; }');
    const following = new Following(t);
    assert.equal(following.told.length, 0);
    lab.run(() => following.follower.require());
    assert.equal(following.told[0].rules.input.length, 1);
  });

  test('a reading that fails keeps the rules, says so once, and is tried again', async (t) => {
    nft(`flush ruleset\n${MARKING}`);
    let fails = false;
    const following = new Following(t, (legacy, options) => {
      if (fails) throw new SysError('nfnetlink', 'EPERM', 'list rules');
      return readKernelRules(legacy, options);
    });
    const kept = following.texts;
    fails = true;
    nft('flush ruleset');
    await eventually('the failure is known', () => {
      lab.run(() => following.follower.look());
      return following.follower.marks.problem;
    });
    assert.deepEqual([following.texts, following.told.length], [kept, 1]);
    lab.run(() => following.follower.look());
    assert.deepEqual(following.lines, [
      'info firewall rules taken',
      'error the firewall rules cannot be read: going on with what they were',
    ]);
    fails = false;
    await following.until(2);
    assert.deepEqual([following.texts, following.follower.marks.problem], [[], undefined]);
  });
});

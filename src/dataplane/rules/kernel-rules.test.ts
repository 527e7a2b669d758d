// SPDX-License-Identifier: Apache-2.0
// What becomes of rules that real programs install: which are understood, which are left out and told of, and which
// nobody need hear of. That those which are understood give the kernel's marks is tested in test/netns/marks.test.ts.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { requirements } from '../../../test/support/requirements.ts';
import { VethLab } from '../../../test/support/veth-lab.ts';
import { readXtTables } from '../../linux/netfilter/xt-reader.ts';
import { type KernelReading, readKernelRules } from './kernel-rules.ts';

const skip = requirements('root', 'program:ip', 'program:nft', 'program:iptables');

let lab: VethLab;

before(() => {
  if (!skip) lab = new VethLab();
});
after(() => {
  if (!skip) lab.close();
});

function run(program: string, ...args: readonly string[]): void {
  lab.run(() => execFileSync(program, args, { stdio: 'pipe' }));
}

function nft(rules: string): void {
  lab.run(() => execFileSync('nft', ['-f', '-'], { input: rules, stdio: 'pipe' }));
}

function read(always = false): KernelReading {
  return lab.run(() => readKernelRules(readXtTables(), { mostMs: 5000, always }));
}

/** Rules in a chain of PREROUTING with the marking rule behind them. */
function prerouting(...rules: readonly string[]): KernelReading {
  nft(`flush ruleset
    table inet t {
      set seen { type ipv4_addr; flags dynamic; size 64; }
      chain c { type filter hook prerouting priority mangle;
        ${[...rules, 'tcp dport 80 meta mark set 7'].join('\n        ')}
      }
    }`);
  return read();
}

const reasons = ({ unreadable }: KernelReading): string[] => unreadable.map(({ reason }) => reason);
const texts = ({ marking }: KernelReading): string[] => marking.map(({ text }) => text);

describe('the kernel’s rules', { skip }, () => {
  test('of nft and iptables are told by their place and by what they do', () => {
    nft('flush ruleset');
    const command =
      '-t mangle -A PREROUTING -d 192.0.2.1 -p tcp -m multiport --dports 80,8080 -j MARK --set-mark 7'.split(' ');
    run('iptables-nft', ...command);
    run('iptables-legacy', ...command);
    run('ip6tables-legacy', ...'-t mangle -A INPUT -i eth+ -j MARK --or-mark 0x10'.split(' '));
    const { marking, unreadable } = read();
    assert.deepEqual(unreadable, []);
    assert.deepEqual(marking, [
      {
        ...{ source: 'nftables', family: 'ip', table: 'mangle', chain: 'PREROUTING', number: 2 },
        text: 'meta l4proto tcp ip daddr 192.0.2.1 th dport { 80, 8080 } meta mark set 0x7',
      },
      {
        ...{ source: 'iptables-legacy', family: 'ip', table: 'mangle', chain: 'PREROUTING', number: 1 },
        text: 'ip daddr 192.0.2.1 meta l4proto tcp th dport { 80, 8080 } meta mark set 0x7',
      },
      {
        ...{ source: 'iptables-legacy', family: 'ip6', table: 'mangle', chain: 'INPUT', number: 1 },
        text: 'iifname "eth*" meta mark set meta mark & 0xffffffef ^ 0x10',
      },
    ]);
    run('iptables-legacy', '-t', 'mangle', '-F');
    run('ip6tables-legacy', '-t', 'mangle', '-F');
  });

  const LEFT_OUT: readonly [string, string][] = [
    ['limit rate 10/second meta mark set 5', "expression 'limit'"],
    ['meta mark set numgen inc mod 2', "expression 'numgen'"],
    ['meta mark set jhash ip saddr mod 4', "expression 'hash'"],
    ['meta mark set meta mark << 4', 'a mark made of bits of the packet'],
    ['fib daddr type local meta mark set 5', "expression 'fib'"],
    ['tcp option maxseg size 1460 meta mark set 5', "expression 'exthdr'"],
    ['meta cpu 0 meta mark set 5', 'meta cpu'],
    ['ct original ip saddr 10.0.0.1 meta mark set 5', 'ct ip saddr'],
    ['ct status 1 meta mark set 5', 'ct status'],
    ['ip saddr @seen meta mark set 5', "set 'seen' is changed by packets"],
    ['fib daddr type local accept', "expression 'fib'"],
    ['limit rate 10/second drop', "expression 'limit'"],
    ['ip dscp set cs1', 'a change of the packet (payload)'],
  ];
  for (const [rule, reason] of LEFT_OUT) {
    test(`'${rule}' is left out whole`, () => {
      const reading = prerouting(rule);
      assert.deepEqual(reasons(reading), [reason]);
      assert.deepEqual(texts(reading), ['meta l4proto tcp th dport 80 meta mark set 0x7']);
      const { source, family, table, chain, number } = reading.unreadable[0];
      assert.deepEqual([source, family, table, chain, typeof number], ['nftables', 'inet', 't', 'c', 'number']);
      assert.equal(reading.rules.chains.flat().length, 1, 'nothing of it is walked');
    });
  }

  const UNTOLD: readonly string[] = [
    ...['limit rate 10/second counter', 'log prefix "x"', 'fib daddr type local counter', 'meta cpu 0 log', 'counter'],
    ...['update @seen { ip saddr }', 'ct zone set 1', 'meta priority set 1:1'],
  ];
  for (const rule of UNTOLD) {
    test(`of '${rule}' nobody need hear`, () => {
      assert.deepEqual(reasons(prerouting(rule)), []);
    });
  }

  test('a rule behind the last that matters is nobody’s business, before a policy of drop it is', () => {
    const chain = (policy: string): KernelReading => {
      nft(`flush ruleset
        table inet t { chain c { type filter hook prerouting priority mangle; policy ${policy};
          tcp dport 80 meta mark set 7
          fib daddr type local accept
          limit rate 1/second accept
        }; }`);
      return read();
    };
    assert.deepEqual(reasons(chain('accept')), []);
    assert.deepEqual(reasons(chain('drop')), ["expression 'fib'", "expression 'limit'"]);
  });

  test('a jump that cannot be read is told, and what it leads to is not walked', () => {
    nft(`flush ruleset
      table inet t {
        chain marks { tcp dport 81 meta mark set 9; }
        chain idle { counter; return; }
        chain c { type filter hook prerouting priority mangle;
          limit rate 1/second jump marks
          limit rate 1/second jump idle
          tcp dport 80 meta mark set 7
        }
      }`);
    const reading = read();
    assert.deepEqual(reasons(reading), ["expression 'limit'"]);
    assert.deepEqual(
      reading.rules.prerouting.map(({ chain }) => reading.rules.chains[chain].length),
      [1],
    );
  });

  test('chains are walked by priority, of equal ones the newest first, NAT in its own place; input only before IPVS', () => {
    nft(`flush ruleset
      table inet t {
        chain late { type filter hook prerouting priority 10; meta mark set 3; }
        chain early { type filter hook prerouting priority -300; meta mark set 1; }
        chain same1 { type filter hook prerouting priority 0; meta mark set 4; }
        chain same2 { type filter hook prerouting priority 0; meta mark set 5; }
        chain in { type filter hook input priority 97; meta mark set 6; }
        chain behind { type filter hook input priority 98; meta mark set 7; }
        chain out { type filter hook output priority 0; meta mark set 8; }
      }
      table ip6 six {
        chain nat2 { type nat hook prerouting priority 50; meta mark set 10; }
        chain nat1 { type nat hook prerouting priority 20; meta mark set 9; }
        chain natin { type nat hook input priority 0; meta mark set 11; }
      }`);
    const { rules } = read();
    const marks = ({ chain }: { chain: number }): number[] =>
      rules.chains[chain].flatMap(({ steps }) => steps.map((step) => ('xor' in step ? step.xor : -1)));
    assert.deepEqual(rules.prerouting.flatMap(marks), [1, 9, 10, 5, 4, 3]);
    assert.deepEqual(rules.input.flatMap(marks), [6]);
    assert.deepEqual(rules.prerouting.map(({ ipv4, ipv6, tracked }) => [ipv4, ipv6, tracked]).slice(0, 2), [
      [true, true, false],
      [false, true, true],
    ]);
  });

  test('a dormant table is not in force', () => {
    nft(
      'flush ruleset\ntable ip t { flags dormant; chain c { type filter hook prerouting priority 0; meta mark set 7; }; }',
    );
    assert.deepEqual(read().marking, []);
  });

  test('a firewall on a machine without marks is not looked at, unless others give marks', () => {
    nft(`flush ruleset
      table inet t {
        set blocked { type ipv4_addr; flags timeout; elements = { 192.0.2.66 timeout 1h }; }
        chain c { type filter hook input priority 0; policy drop;
          ct state established,related accept
          limit rate 1/second accept
          ip saddr @blocked drop
          tcp dport 22 accept
        }
      }`);
    assert.deepEqual(read().rules, { chains: [], prerouting: [], input: [] });
    const reading = read(true);
    assert.deepEqual(reasons(reading), ["expression 'limit'"]);
    assert.equal(reading.rules.input.length, 1);
    assert.ok(reading.nextExpiryMs > 3_500_000 && reading.nextExpiryMs <= 3_600_000);
  });

  test('extensions of iptables that are not understood leave their rule out, and are told by name and number', () => {
    nft('flush ruleset');
    for (const program of ['iptables-nft', 'iptables-legacy']) {
      const add = (rule: string): void => run(program, '-t', 'mangle', '-A', 'PREROUTING', ...rule.split(' '));
      add('-p tcp -m statistic --mode random --probability 0.5 -j MARK --set-mark 5');
      add('-m addrtype --dst-type LOCAL -j ACCEPT');
      add('-p tcp -m multiport --ports 80 -j MARK --set-mark 5');
      add('-m recent --name x --set');
      add('-j TOS --set-tos 8');
      add('-p tcp --dport 80 -j MARK --set-mark 7');
      const reading = read();
      const unreadable = reading.unreadable.map(
        ({ source, chain, number, reason }) => `${source} ${chain} ${number} ${reason}`,
      );
      const expected = [
        "match 'statistic'",
        "match 'addrtype'",
        "match 'multiport' of source or destination",
        "target 'TOS'",
      ];
      assert.deepEqual(reasons(reading), expected);
      if (program === 'iptables-legacy') {
        assert.deepEqual(
          unreadable.map((text) => text.split(' ').slice(0, 3).join(' ')),
          [1, 2, 3, 5].map((n) => `iptables-legacy PREROUTING ${n}`),
        );
      }
      assert.equal(reading.marking.length, 1);
      run(program, '-t', 'mangle', '-F');
      nft('flush ruleset');
    }
  });

  test('reading makes no table of iptables-legacy', () => {
    const empty = new VethLab();
    try {
      const names = (): string =>
        empty.run(() => execFileSync('cat', ['/proc/thread-self/net/ip_tables_names'], { encoding: 'utf8' }));
      assert.deepEqual(
        empty.run(() => readXtTables()),
        [],
      );
      assert.equal(names(), '');
    } finally {
      empty.close();
    }
  });
});

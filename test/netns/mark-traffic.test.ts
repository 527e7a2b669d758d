// SPDX-License-Identifier: Apache-2.0
// Services of firewall marks under real programs in the lab's network: addresses that only policy routing makes the
// director's own, connections that outlive their rule, firewalls that drop, and rules without a destination.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, afterEach, before, describe, test } from 'node:test';
import { NatLab } from '../../src/lab/session.ts';
import { spawnInNamespace } from '../../src/linux/process-namespace.ts';
import { eventually } from '../support/eventually.ts';
import { runIn } from '../support/in-lab.ts';
import { requirements } from '../support/requirements.ts';

const skip = requirements('root', 'xdp', 'program:curl', 'program:ip', 'program:iptables', 'program:nft');

/** Nobody's address: the director knows no way there. */
const ELSEWHERE = '198.51.100.77';
const ELSEWHERE_6 = '2001:db8:77::1';

describe('services of firewall marks', { skip }, () => {
  let lab: NatLab;

  before(async () => {
    lab = await NatLab.open({ servers: 2, prefix: 'blstm', serverPorts: [80] });
    for (const family of [4, 6] as const) {
      const more = family === 6 ? ['-6'] : [];
      await lab.director.mustIpvsadm('-A', '-f', '7', ...more, '-s', 'rr');
      for (const { v4, v6 } of lab.plan.servers) {
        const address = family === 4 ? `${v4.address}:0` : `[${v6.address}]:0`;
        await lab.director.mustIpvsadm('-a', '-f', '7', ...more, '-r', address, '-m');
      }
    }
  });
  after(() => lab?.close());
  afterEach(async () => {
    await onDirector('nft', 'flush', 'ruleset');
    await untilRules(0);
  });

  async function onDirector(program: string, ...args: readonly string[]): Promise<void> {
    const { status, stderr } = await runIn(lab.plan.director.namespace, program, ...args);
    assert.equal(status, 0, `${program} ${args.join(' ')}: ${stderr}`);
  }

  /** Rules of iptables, of IPv4 and IPv6. */
  const iptables = (rule: string, program = 'iptables'): Promise<void> => onDirector(program, ...rule.split(' '));

  async function untilRules(count: number): Promise<void> {
    await eventually(`the engine has ${count} rules`, async () =>
      (await lab.director.marks()).kernel?.rules.length === count ? true : undefined,
    );
  }

  /** Who answers, or ''. */
  async function curl(host: string): Promise<string> {
    const { stdout } = await runIn(lab.plan.client.namespace, 'curl', '-s', '--max-time', '3', `http://${host}/`);
    return stdout.trim();
  }

  async function answers(host: string): Promise<Set<string>> {
    return new Set([await curl(host), await curl(host)]);
  }

  const BOTH = new Set(['hello from rs1', 'hello from rs2']);

  test('an address that policy routing by the mark delivers is served, as long as it does so', async () => {
    await iptables(`-t mangle -A PREROUTING -d 198.51.100.0/24 -p tcp --dport 80 -j MARK --set-mark 7`);
    await iptables(`-t mangle -A PREROUTING -d 2001:db8:77::/48 -p tcp -j MARK --set-mark 7`, 'ip6tables');
    await untilRules(2);
    assert.equal(await curl(ELSEWHERE), '', 'the mark alone is not enough');
    for (const family of ['-4', '-6']) {
      await onDirector('ip', family, 'rule', 'add', 'fwmark', '7', 'lookup', '100');
      await onDirector('ip', family, 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', '100');
    }
    await eventually('the route is followed', async () => ((await curl(ELSEWHERE)) === '' ? undefined : true));
    assert.deepEqual(await answers(ELSEWHERE), BOTH);
    assert.deepEqual(await answers(`[${ELSEWHERE_6}]`), BOTH);
    await iptables('-t mangle -F PREROUTING');
    await iptables('-t mangle -A PREROUTING -i client0 -p tcp --dport 80 -j MARK --set-mark 7');
    await eventually('the new rule is followed', async () => ((await curl('203.0.113.9')) === '' ? undefined : true));
    assert.deepEqual(await answers(ELSEWHERE), BOTH, 'a rule without destination is for all that is delivered');
    for (const family of ['-4', '-6']) await onDirector('ip', family, 'rule', 'del', 'fwmark', '7', 'lookup', '100');
    await eventually('the rule’s end is followed', async () => ((await curl(ELSEWHERE)) === '' ? true : undefined));
    assert.equal(await curl(`[${ELSEWHERE_6}]`), '');
    await onDirector('ip', 'route', 'flush', 'table', '100');
    await onDirector('ip', '-6', 'route', 'flush', 'table', '100');
  });

  test('a rule without destination takes every address of the director, its own ports else stay its own', async () => {
    await iptables('-t mangle -A PREROUTING -i client0 -p tcp --dport 80 -j MARK --set-mark 7');
    await untilRules(1);
    const { virtual, director } = lab.plan;
    assert.deepEqual(await answers(virtual.v4), BOTH);
    assert.deepEqual(await answers(director.clientSide.v4.address), BOTH);
    assert.equal(await curl(`${virtual.v4}:81`), '', 'refused by the director');
  });

  test('a connection goes on when its rule is gone', async (t) => {
    const { virtual, client } = lab.plan;
    await iptables(`-t mangle -A PREROUTING -d ${virtual.v4} -p tcp --dport 80 -j MARK --set-mark 7`);
    await untilRules(1);
    const script = join(import.meta.dirname, '..', 'support', 'steady-client.js');
    const child = spawnInNamespace(client.namespace, process.execPath, [script, virtual.v4, '80']);
    t.after(() => child.kill('SIGKILL'));
    assert.ok(child.stdin && child.stdout);
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    await lines.next();
    const ask = async (): Promise<string> => {
      child.stdin?.write('\n');
      return (await lines.next()).value ?? '';
    };
    const first = await ask();
    assert.ok(BOTH.has(first), first);
    await iptables(`-t mangle -F PREROUTING`);
    await untilRules(0);
    assert.equal(await ask(), first);
    assert.equal(await curl(virtual.v4), '', 'no new one comes about');
    child.stdin.end();
  });

  test('what the firewall drops is not served, also not by a rule of ballast mark', async () => {
    const { virtual, client } = lab.plan;
    await lab.director.ballast(['mark', 'add', '--mark', '7', '--destination', virtual.v4, '--protocol', 'tcp']);
    assert.deepEqual(await answers(virtual.v4), BOTH);
    await iptables(`-A INPUT -p tcp -s ${client.v4.address} --dport 80 -j REJECT`);
    await eventually('the rule is followed', async () => ((await curl(virtual.v4)) === '' ? true : undefined));
    await iptables('-F INPUT');
    await eventually('its end is followed', async () => ((await curl(virtual.v4)) === '' ? undefined : true));
    await lab.director.ballast(['mark', 'del', '--mark', '7', '--destination', virtual.v4, '--protocol', 'tcp']);
    assert.equal(await curl(virtual.v4), '');
  });

  test('rules that cannot be read are told, and the others of their chain hold', async () => {
    const { virtual } = lab.plan;
    await iptables('-t mangle -A PREROUTING -p tcp -m statistic --mode nth --every 2 --packet 0 -j MARK --set-mark 9');
    await iptables(`-t mangle -A PREROUTING -d ${virtual.v4} -p tcp --dport 80 -j MARK --set-mark 7`);
    await untilRules(1);
    const { stdout } = await lab.director.ballast(['mark', 'list']);
    assert.match(
      stdout,
      /^Rules of the kernel that are left out.*:\n {2}ip mangle PREROUTING handle \d+ {2}match 'statistic'$/m,
    );
    assert.deepEqual(await answers(virtual.v4), BOTH);
  });
});

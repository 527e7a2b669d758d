// SPDX-License-Identifier: Apache-2.0
// `ballast realserver` on a kernel with tunnel devices (User Mode Linux on a tap): it takes those by itself, curl is
// answered through each of them, and everything is back to what was before.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CASES, KernelSite, skip } from './kernel-site.ts';

describe("ballast realserver with the kernel's own devices", { skip }, () => {
  let site: KernelSite;

  before(async () => {
    site = await KernelSite.open();
  });
  after(() => site?.close());

  for (const one of CASES) {
    test(one.name, async () => {
      const { server } = site;
      const before = await server.look();
      await server.ballast('up', ...one.options);
      const status = await server.ballast('status');
      assert.match(status, one.options.includes('dr') ? /^direct routing for / : /by the kernel's devices\n$/);
      await site.assertAnswered(one);
      assert.equal(await server.ballast('up', ...one.options), status);
      assert.equal(await server.ballast('down'), 'nothing is up\n');
      assert.equal(await server.look(), before);
    });
  }

  test('where rp_filter is strict it becomes loose on the devices concerned, and strict again', async () => {
    const [, ipip] = CASES;
    const { server } = site;
    await server.must('sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=1');
    const read = async (): Promise<string> =>
      (await server.must('cat', '/proc/sys/net/ipv4/conf/tunl0/rp_filter')).trim();
    const before = await read();
    await server.ballast('up', ...ipip.options);
    assert.equal(await read(), '2');
    await site.assertAnswered(ipip);
    await server.ballast('down');
    assert.equal(await read(), before);
  });

  test('without any of it nobody answers', async () => {
    for (const one of CASES.slice(1, 2)) await site.assertSilent(one);
  });
});

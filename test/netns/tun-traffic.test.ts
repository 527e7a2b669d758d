// SPDX-License-Identifier: Apache-2.0
// Tunnels under programs that nobody here wrote, to servers in another network: a download compared byte for byte, a load
// without an error, transfers both ways.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { framesBetween, readFrames } from '../../src/lab/frame-counts.ts';
import { HOST_DEVICE, socketAddress } from '../../src/lab/plan.ts';
import { RemoteLab } from '../../src/lab/remote.ts';
import { devicesOf } from '../../src/lab/remote-path.ts';
import { inNamespace } from '../../src/linux/netns.ts';
import { bringUp } from '../../src/realserver/realserver.ts';
import type { TunnelType } from '../../src/realserver/setup.ts';
import { requirements } from '../support/requirements.ts';
import { assertDownload, assertSteadyLoad, assertTransfers, IPERF_PORT, LOAD_SECONDS } from '../support/traffic.ts';

const DOWNLOAD_BYTES = 100_000_000;
const GUE_PORT = 6080;
/** IPv6 with the tunnel whose headers are longest. */
const CASES = [
  ['ipip', 4],
  ['gue', 6],
  ['gre', 4],
] as const satisfies readonly (readonly [TunnelType, 4 | 6])[];

const skip = requirements('root', 'xdp', 'program:curl', 'program:wrk', 'program:iperf3', 'program:ip');

for (const [type, family] of CASES) {
  describe(`a tunnel of ${type}, over IPv${family}`, { skip }, () => {
    let lab: RemoteLab;

    before(async () => {
      lab = await RemoteLab.open({ servers: 2, serverRoutes: 'all', prefix: 'blstu' });
      const { servers, virtual } = lab.plan;
      const port = type === 'gue' ? GUE_PORT : 0;
      const tunnel = { type, port, checksum: false, by: 'xdp', device: HOST_DEVICE, local: [] } as const;
      for (const server of servers) {
        const setup = { virtual: [virtual.v4, virtual.v6], device: undefined, tunnel };
        inNamespace(server.namespace, () => bringUp(lab.stateFile(server), setup));
      }
      const words = ['-i', '--tun-type', type, ...(type === 'gue' ? ['--tun-port', String(port)] : [])];
      for (const [servicePort, scheduler] of [
        [virtual.port, 'rr'],
        [IPERF_PORT, 'sh'],
      ] as const) {
        const service = ['-t', socketAddress(virtual[`v${family}`], servicePort)];
        await lab.director.mustIpvsadm('-A', ...service, '-s', scheduler);
        for (const server of servers) {
          const real = socketAddress(server[`v${family}`].address, servicePort);
          await lab.director.mustIpvsadm('-a', ...service, '-r', real, ...words);
        }
      }
    });
    after(() => lab?.close());

    const url = (): string => `http://${socketAddress(lab.plan.virtual[`v${family}`], lab.plan.virtual.port)}`;

    test('a download of 100 MB arrives as it was sent, and none of it crosses the director', async () => {
      const devices = devicesOf(lab.plan);
      const before = readFrames(devices);
      const packets = async (): Promise<number> => (await lab.director.status()).totals.counters.inPackets;
      const packetsBefore = await packets();
      await assertDownload(lab.plan.client.namespace, url(), DOWNLOAD_BYTES);
      const frames = framesBetween(before, readFrames(devices));
      const forwarded = (await packets()) - packetsBefore;
      const answered = frames.rs1.sent + frames.rs2.sent;
      assert.ok(answered > DOWNLOAD_BYTES / 1500, `${answered} frames of the servers`);
      for (const count of [frames.director.received, frames.director.sent]) {
        assert.ok(count >= forwarded && count <= forwarded + 100, `${count} frames for ${forwarded} requests`);
      }
    });

    test('wrk: no socket error, no reset', async () => {
      const { client, director, servers } = lab.plan;
      const namespaces = [client, director, ...servers].map((host) => host.namespace);
      await assertSteadyLoad({ namespaces, url: `${url()}/`, seconds: LOAD_SECONDS });
    });

    test('iperf3 in both directions', async (t) => {
      const { client, servers, virtual } = lab.plan;
      const namespaces = servers.map((server) => server.namespace);
      const host = virtual[`v${family}`];
      const { up, down } = await assertTransfers(client.namespace, namespaces, host, LOAD_SECONDS);
      t.diagnostic(`${Math.round(up / 1e6)} Mbit/s up, ${Math.round(down / 1e6)} Mbit/s down`);
    });
  });
}

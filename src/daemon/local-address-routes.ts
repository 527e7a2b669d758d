// SPDX-License-Identifier: Apache-2.0
// The API's resources about the local addresses from which FULLNAT speaks to servers.

import type { Hono } from 'hono';
import type { Change, DataPlane } from '../dataplane/dataplane.ts';
import { localAddressKey, newLocalAddress } from './local-address-schemas.ts';
import { readBody, validate } from './request.ts';

/** @param apply - applies a change, and logs it. */
export function addLocalAddressRoutes(app: Hono, dataplane: DataPlane, apply: (change: Change) => Promise<void>): void {
  app.get('/v1/local-pools', async (c) => c.json({ pools: (await dataplane.snapshot()).localPools }));
  app.post('/v1/local-pools', async (c) => {
    const { pool, address, ...options } = await readBody(c, newLocalAddress);
    await apply({ type: 'add-local-address', local: { pool, address }, options });
    const location = `/v1/local-pools/${pool}/${encodeURIComponent(address)}`;
    return c.json({ pools: (await dataplane.snapshot()).localPools }, 201, { location });
  });
  app.delete('/v1/local-pools/:pool/:address', async (c) => {
    const parameters = { pool: c.req.param('pool'), address: c.req.param('address') };
    const local = validate(parameters, localAddressKey, 'the local address');
    await apply({ type: 'delete-local-address', local });
    return c.body(null, 204);
  });
}

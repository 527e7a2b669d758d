// SPDX-License-Identifier: Apache-2.0
// The API's resources about firewall marks: what gives packets their marks, and the user's own rules.

import type { Hono } from 'hono';
import type { Change, DataPlane } from '../dataplane/dataplane.ts';
import { formatMarkRule } from '../lvs/classify/mark-rules.ts';
import { LvsError, type MarkRule, type MarkRuleSnapshot } from '../lvs/model.ts';
import { markNumberText, markRule } from './mark-schemas.ts';
import { readBody, validate } from './request.ts';

/** @param apply - applies a change, and logs it. */
export function addMarkRoutes(app: Hono, dataplane: DataPlane, apply: (change: Change) => Promise<void>): void {
  const findRule = async (rule: MarkRule): Promise<MarkRuleSnapshot> => {
    const text = formatMarkRule(rule);
    const found = (await dataplane.snapshot()).marks.rules.find((known) => formatMarkRule(known) === text);
    if (found === undefined) throw new LvsError('ENOENT', 'the rule is gone already');
    return found;
  };

  app.get('/v1/marks', async (c) => c.json((await dataplane.snapshot()).marks));
  app.post('/v1/marks', async (c) => {
    const rule = await readBody(c, markRule);
    await apply({ type: 'add-mark', rule });
    const added = await findRule(rule);
    return c.json(added, 201, { location: `/v1/marks/${added.number}` });
  });
  app.delete('/v1/marks/:number', async (c) => {
    const number = validate(c.req.param('number'), markNumberText, 'the number of the rule');
    await apply({ type: 'delete-mark', rule: number });
    return c.body(null, 204);
  });
}

// SPDX-License-Identifier: Apache-2.0
// What the API accepts of rules that mark packets, as zod schemas of the model's types.

import * as z from 'zod';
import type { MarkRule } from '../lvs/model.ts';
import { type PortList, parsePortList } from '../lvs/port-list.ts';
import { type Prefix, parsePrefix } from '../packet/prefix.ts';

const MAX_MARK = 0xffffffff;
const MAX_NUMBER = 0x7fffffff;

/** Text in the canonical form that `parse` gives it. */
function canonical<T extends string>(parse: (text: string) => T | undefined, what: string): z.ZodType<T> {
  return z.string().transform((text, context): T => {
    const parsed = parse(text);
    if (parsed !== undefined) return parsed;
    context.addIssue(`not ${what}`);
    return z.NEVER;
  });
}

const prefix = canonical<Prefix>(parsePrefix, 'an address or prefix such as 192.0.2.0/24');
const ports = canonical<PortList>(parsePortList, 'a list of ports such as 80,8080-8090');

export const markRule: z.ZodType<MarkRule> = z.strictObject({
  mark: z.int().min(1).max(MAX_MARK),
  protocol: z.enum(['tcp', 'udp', 'sctp']).exactOptional(),
  source: prefix.exactOptional(),
  destination: prefix.exactOptional(),
  sourcePorts: ports.exactOptional(),
  destinationPorts: ports.exactOptional(),
  interface: z.string().exactOptional(),
});

const number = z.int().min(1).max(MAX_NUMBER);

/** A rule's number. */
export const markNumber: z.ZodType<number> = number;

/** A rule's number in a URL. */
export const markNumberText: z.ZodType<number> = z
  .string()
  .regex(/^[1-9]\d{0,9}$/, 'not a number')
  .transform(Number)
  .pipe(number);

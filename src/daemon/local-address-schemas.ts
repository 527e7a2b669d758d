// SPDX-License-Identifier: Apache-2.0
// What the API accepts of FULLNAT's local addresses, as zod schemas of the model's types.

import * as z from 'zod';
import type { LocalAddressKey, LocalAddressOptions } from '../lvs/model.ts';
import { type Address, parseAddress } from '../packet/address.ts';

const port = z.int().min(1).max(0xffff);

const address: z.ZodType<Address> = z.string().transform((text, context): Address => {
  const parsed = parseAddress(text);
  if (parsed !== undefined) return parsed;
  context.addIssue('not an IPv4 or IPv6 address');
  return z.NEVER;
});

/** Name of a pool: something that can be typed. */
export const poolName: z.ZodType<string> = z.string().regex(/^[\w.-]{1,64}$/, 'not a name of letters, digits, _ . -');

export const localAddressKey: z.ZodType<LocalAddressKey> = z.strictObject({ pool: poolName, address });

export const localAddressOptions: z.ZodType<LocalAddressOptions> = z.strictObject({
  lowPort: port.exactOptional(),
  highPort: port.exactOptional(),
});

/** An address to be added. */
export const newLocalAddress: z.ZodType<LocalAddressKey & LocalAddressOptions> = z.strictObject({
  pool: poolName,
  address,
  lowPort: port.exactOptional(),
  highPort: port.exactOptional(),
});

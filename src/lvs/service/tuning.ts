// SPDX-License-Identifier: Apache-2.0
// What a service's tuning is after a change of some of it (JSON merge patch, RFC 7396), and in its shortest form. Asked by
// the list of services, which has checked the result before it takes effect.

import type { ServiceTuning, TuningPatch } from '../model.ts';

type Fields = Readonly<Record<string, unknown>>;

/** `tuning` with what `patch` names; nulls are taken out. */
export function patchTuning(tuning: ServiceTuning, patch: TuningPatch): ServiceTuning {
  return merged(tuning as Fields, patch as Fields) as ServiceTuning;
}

/** `tuning` without what only says that something is as it would be anyway: false, no seconds, no timeouts. */
export function tidyTuning(tuning: ServiceTuning): ServiceTuning {
  return tidied(tuning as Fields) as ServiceTuning;
}

function merged(before: Fields, patch: Fields): Fields {
  const after = new Map(Object.entries(before));
  for (const [name, value] of Object.entries(patch)) {
    const old = after.get(name);
    if (isFields(value)) after.set(name, merged(isFields(old) ? old : {}, value));
    else if (value === null) after.delete(name);
    else if (value !== undefined) after.set(name, value);
  }
  return Object.fromEntries(after);
}

function tidied(fields: Fields): Fields {
  const kept = Object.entries(fields)
    .map(([name, value]) => [name, isFields(value) ? tidied(value) : value] as const)
    .filter(([, value]) => (isFields(value) ? Object.keys(value).length > 0 : Boolean(value)));
  return Object.fromEntries(kept);
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null;
}

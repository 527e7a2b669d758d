// SPDX-License-Identifier: Apache-2.0
// From what was done to what is wanted: undoes what nobody wants any more, newest first, then does what is wanted, in
// order. What a step changes is in the journal before it is done, so that a crash loses nothing. Knows no kernel: whoever
// calls brings one, and saves the journal.

import type { Before } from './kernel.ts';
import { type Step, stepKey } from './plan.ts';

/** A step that was done, and what was before. */
export interface Done {
  readonly step: Step;
  readonly before: Before;
}

/** What reconciling needs of the kernel: `StepKernel` of kernel.ts. */
export interface Doer {
  look(step: Step): Before;
  do(step: Step, before: Before): Before;
  undo(step: Step, before: Before): string | undefined;
}

export interface Outcome {
  readonly journal: readonly Done[];
  /** What had to be left as it is, in words. */
  readonly remarks: readonly string[];
}

/** `save` is called with every journal before anything happens that it does not tell. After an error all is as before. */
export function reconcile(
  wanted: readonly Step[],
  journal: readonly Done[],
  kernel: Doer,
  save: (journal: readonly Done[]) => void,
): Outcome {
  const wantedKeys = new Set(wanted.map(stepKey));
  const remarks: string[] = [];
  let now = undoAll(journal, (done) => !wantedKeys.has(stepKey(done.step)), kernel, save, remarks);
  const known = new Set(now.map((done) => stepKey(done.step)));
  try {
    for (const step of wanted) {
      const key = stepKey(step);
      const index = now.findIndex((done) => stepKey(done.step) === key);
      const before = index === -1 ? kernel.look(step) : now[index].before;
      if (index === -1) {
        now = [...now, { step, before }];
        save(now);
      }
      const after = { step, before: kernel.do(step, before) };
      now = now.map((done) => (stepKey(done.step) === key ? after : done));
      save(now);
    }
  } catch (error) {
    save(undoAll(now, (done) => !known.has(stepKey(done.step)), kernel, save, remarks));
    throw error;
  }
  return { journal: now, remarks };
}

function undoAll(
  journal: readonly Done[],
  isUnwanted: (done: Done) => boolean,
  kernel: Doer,
  save: (journal: readonly Done[]) => void,
  remarks: string[],
): readonly Done[] {
  let now = journal;
  for (const done of journal.toReversed()) {
    if (!isUnwanted(done)) continue;
    const remark = kernel.undo(done.step, done.before);
    if (remark !== undefined) remarks.push(remark);
    now = now.filter((other) => other !== done);
    save(now);
  }
  return now;
}

// SPDX-License-Identifier: Apache-2.0
// Every mistake and refusal that was captured from the real ipvsadm on a real kernel, on the real director: the same words
// and status, and what is refused leaves the table untouched.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { TestDirector } from '../support/test-director.ts';
import { asTranscript, readTranscript, run } from './transcript.ts';

/** Commands for what the director does not have yet: the synchronisation daemon. */
const NOT_YET = /-daemon/;

suite('refusals of the director', async () => {
  const { dataplane } = new TestDirector();
  for (const command of ['-A -t 10.0.0.1:80 -s rr', '-a -t 10.0.0.1:80 -r 192.168.1.10:80 -m', '-A -f 9 -s rr']) {
    await run(command.split(' '), dataplane);
  }
  for (const { line, words, transcript } of readTranscript('arguments.txt')) {
    if (NOT_YET.test(words.join(' '))) continue;
    await test(`arguments.txt:${line} ipvsadm ${words.join(' ')}`, async () => {
      const before = await run(['-Sn'], dataplane);
      const outcome = await run(words, dataplane);
      assert.equal(asTranscript(words, outcome), transcript);
      if (outcome.status !== 0) assert.deepEqual(await run(['-Sn'], dataplane), before);
    });
  }
});

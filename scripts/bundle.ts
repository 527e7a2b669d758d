// SPDX-License-Identifier: Apache-2.0
// The last step of `npm run build`: bundles what runs per packet, each entry into one file. Inside one module V8 folds
// the named offsets into the code, across modules it does not: an established packet costs half as much.

import { rolldown } from 'rolldown';

const ENTRIES: Readonly<Record<string, string>> = {
  'dist/bundle/engine-thread.js': 'dist/src/dataplane/engine/engine-thread.js',
  'dist/bundle/bench-engine.js': 'dist/bench/engine.js',
  'dist/bundle/bench-schedulers.js': 'dist/bench/schedulers.js',
};

for (const [file, input] of Object.entries(ENTRIES)) {
  const bundle = await rolldown({ input, platform: 'node', external: ['koffi'] });
  await bundle.write({ file, format: 'esm', sourcemap: true });
  await bundle.close();
}

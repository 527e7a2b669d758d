// SPDX-License-Identifier: Apache-2.0
// `npm run bench -- NAME [OPTIONS]`: loads the benchmark and hands over. Each module exports run(args), which returns the
// exit status.

const NAMES = ['engine', 'schedulers', 'http'] as const;

const [name, ...args] = process.argv.slice(2);
process.exitCode = await main();

async function main(): Promise<number> {
  switch (name) {
    case 'engine':
      // The bundle, since that is what the daemon runs (scripts/bundle.ts).
      return (await import(new URL('../bundle/bench-engine.js', import.meta.url).href)).run(args);
    case 'schedulers':
      return (await import(new URL('../bundle/bench-schedulers.js', import.meta.url).href)).run(args);
    case 'http':
      return (await import('./http.ts')).run(args);
    default:
      console.error(`usage: npm run bench -- NAME [OPTIONS]; there is: ${NAMES.join(', ')}`);
      return 2;
  }
}

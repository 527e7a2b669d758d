import { generate, type Pace } from './generate.ts';
import { OracleKernel } from './kernel.ts';
import { replay } from './replay.ts';
import { describe } from './report.ts';
import { shrink } from './shrink.ts';

const kernel = await OracleKernel.boot();
try {
  const seed = Number(process.argv[2] ?? 1),
    cases = Number(process.argv[3] ?? 4),
    pace = (process.argv[4] ?? 'short') as Pace,
    max = Number(process.argv[5] ?? 3),
    packets = Number(process.argv[6] ?? 200);
  const scenarios = Array.from({ length: cases }, (_, i) => generate(seed, i, packets, pace));
  console.time('kernel');
  const outcomes = await kernel.play(scenarios);
  console.timeEnd('kernel');
  let n = 0,
    agreed = 0,
    ambiguous = 0;
  for (const [i, scenario] of scenarios.entries()) {
    const result = await replay(scenario, outcomes[i]);
    agreed += result.packets;
    if (result.ambiguousFrom !== undefined) ambiguous++;
    if (result.difference === undefined) continue;
    n++;
    if (n > max) {
      console.log(scenario.name, result.difference.step, result.difference.what);
      continue;
    }
    console.time('shrink');
    const s = await shrink({ scenario, outcomes: outcomes[i], difference: result.difference }, (x) => kernel.play(x));
    console.timeEnd('shrink');
    console.log(describe(s));
  }
  console.log({ cases, different: n, agreed, ambiguous });
} finally {
  await kernel.close();
}

/** Random operations from a seed over the daemon itself: the most of a million of them, on several files at once. */
import { test } from 'brittle';
import { DEADLINE_MS, endsWell, exercise, SEED, startOnTwoDisks } from './helpers/fsx-sheep.js';

test('fsx on four images at once', { timeout: DEADLINE_MS }, async (t) => {
  const sheep = await startOnTwoDisks(t, 'kernel');
  const names = ['one', 'two', 'three', 'four'];
  await Promise.all(names.map((name, at) => exercise(t, sheep, { name, seed: SEED + at, operations: 225_000 })));
  await endsWell(t, sheep);
});

/** What a host remembers of layers that are on their way out. */
import { join } from 'node:path';
import { test } from 'brittle';
import { openLocal } from '../lib/coordination/local.js';
import { ERAS_MAX, FamilyWatch } from '../lib/vdi/family-watch.js';
import type { FamilyRecord } from '../lib/vdi/records.js';
import { temporaryDirectory } from './helpers/cleanup.js';
import type { Teardowns } from './helpers/scope.js';

async function watchFor(t: Teardowns): Promise<FamilyWatch> {
  const store = await openLocal(join(await temporaryDirectory(t), 'store'));
  t.teardown(() => store.close());
  return new FamilyWatch(store);
}

function family(id: number, version: number, change: Partial<FamilyRecord> = {}): FamilyRecord {
  const layers = { 1: { parent: null, limit: 0 }, 2: { parent: 1, limit: 0 } };
  return { id, version, copies: 3, nextLayer: 3, layers, images: { 16: 2 }, doomed: [], merging: [], ...change };
}

const MERGING = { merging: [{ layer: 1, child: 2 }] };

test('an era ends when a layer is being merged, and when that is over, but not when a disk confirms', async (t) => {
  const watch = await watchFor(t);
  const before = watch.era(11);
  watch.note(family(11, 2, MERGING));
  const during = watch.era(11);
  t.not(during, before);
  watch.note(family(11, 3, { ...MERGING, confirmed: { 1: [7] } }));
  t.is(watch.era(11), during);
  watch.note(family(11, 4));
  t.alike(watch.merging(11), watch.merging(12));
  t.not(watch.era(11), before, 'it knows of as little as before');
  t.not(watch.era(11), during);
});

test('a family whose era was forgotten never has one again that it had before it changed', async (t) => {
  const watch = await watchFor(t);
  const eras = new Set([watch.era(11)]);
  for (const [version, change] of [MERGING, {}].entries()) {
    watch.note(family(11, version + 1, change));
    t.absent(eras.has(watch.era(11)));
    eras.add(watch.era(11));
    for (let other = 12; other < 12 + ERAS_MAX; other++) watch.note(family(other, version + 1, change));
    t.is(watch.era(11), watch.era(1), 'it has that of all which are not remembered');
    eras.add(watch.era(11));
  }
});

import { test } from 'brittle';
import { differingIndexes } from '../lib/replication/list-difference.js';
import { HOLE, OBJECT } from '../lib/store/entry.js';
import type { ListedEntry } from '../lib/store/group-list.js';
import { Random } from './helpers/random.js';

function entry(family: number, index: number, layer: number, changes: Partial<ListedEntry> = {}): ListedEntry {
  return { family, index, layer, kind: OBJECT, modified: 1, active: false, ...changes };
}

async function* inBatches(entries: readonly ListedEntry[], size: number): AsyncGenerator<ListedEntry[]> {
  for (let start = 0; start < entries.length; start += size) yield entries.slice(start, start + size);
}

async function differences(theirs: ListedEntry[], own: ListedEntry[], insync: number | null, size = 2) {
  const found: string[] = [];
  for await (const { family, index } of differingIndexes(inBatches(theirs, size), inBatches(own, size), insync)) {
    found.push(`${family}/${index}`);
  }
  return found;
}

test('an index differs where either has an entry that the other lacks, or another kind', async (t) => {
  const theirs = [entry(1, 0, 1), entry(1, 4, 1), entry(1, 4, 2), entry(2, 0, 1), entry(2, 4, 1)];
  t.alike(await differences(theirs, theirs, 5), []);
  t.alike(await differences([], theirs, 5), ['1/0', '1/4', '2/0', '2/4']);
  t.alike(await differences(theirs, [], 5), ['1/0', '1/4', '2/0', '2/4']);
  t.alike(await differences(theirs, [entry(1, 0, 1), entry(1, 4, 2), entry(1, 8, 1), ...theirs.slice(3)], 5), [
    '1/4',
    '1/8',
  ]);
  t.alike(await differences(theirs, [entry(1, 0, 1, { kind: HOLE }), ...theirs.slice(1)], 5), ['1/0']);
});

test('an index differs that was written since the copy was in sync, or is active in it', async (t) => {
  const theirs = [entry(1, 0, 1, { modified: 4 }), entry(1, 4, 1, { modified: 5 }), entry(1, 8, 1)];
  t.alike(await differences(theirs, theirs, 5), ['1/4']);
  t.alike(await differences(theirs, theirs, null), ['1/0', '1/4', '1/8'], 'all, if it never was');
  const own = [theirs[0]!, theirs[1]!, entry(1, 8, 1, { active: true })];
  t.alike(await differences(theirs, own, 9), ['1/8']);
});

test('lists that are gone through side by side differ as they do when both are held', async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e6);
  t.comment(`seed ${seed}`);
  const random = new Random(seed);
  for (let round = 0; round < 200; round++) {
    const [theirs, own] = [randomList(random), randomList(random)];
    const insync = random.chance(0.2) ? null : random.below(4);
    const found = await differences(theirs, own, insync, 1 + random.below(5));
    t.alike(found, expected(theirs, own, insync));
  }
});

function randomList(random: Random): ListedEntry[] {
  const list: ListedEntry[] = [];
  for (let family = 1; family < 4; family++) {
    for (let index = 0; index < 12; index += 4) {
      for (let layer = 1; layer < 4; layer++) {
        if (random.chance(0.4)) continue;
        const kind = random.chance(0.9) ? OBJECT : HOLE;
        const [modified, active] = [random.below(4), random.chance(0.1)];
        list.push(entry(family, index, layer, { kind, modified, active }));
      }
    }
  }
  return list;
}

function expected(theirs: readonly ListedEntry[], own: readonly ListedEntry[], insync: number | null): string[] {
  const nameOf = ({ family, index, layer }: ListedEntry) => `${family}/${index}/${layer}`;
  const mine = new Map(own.map((each) => [nameOf(each), each]));
  const known = new Set(theirs.map(nameOf));
  const differing = theirs.filter((each) => {
    const other = mine.get(nameOf(each));
    return other?.kind !== each.kind || insync === null || each.modified >= insync || other.active;
  });
  const all = [...differing, ...own.filter((each) => !known.has(nameOf(each)))];
  all.sort((a, b) => a.family - b.family || a.index - b.index);
  return [...new Set(all.map(({ family, index }) => `${family}/${index}`))];
}

import type { ListedEntry } from '../store/group-list.js';
import type { IndexName } from '../store/to-do.js';

/** A list of a group, in the order of family, index and layer, a batch at a time. */
export type GroupEntries = AsyncIterable<readonly ListedEntry[]>;

/**
 * The indexes that may differ between two copies of a group, of which each has one list. Both are gone through side by
 * side: no more than a batch of each is held.
 *
 * An index may differ that was written since the own copy was last in sync (in epoch `insync`; null: never), one that is
 * active there, and where either has an entry that the other lacks.
 */
export async function* differingIndexes(
  theirs: GroupEntries,
  own: GroupEntries,
  insync: number | null,
): AsyncGenerator<IndexName> {
  let last: IndexName | null = null;
  const isNew = ({ family, index }: IndexName) => {
    if (last?.family === family && last.index === index) return false;
    last = { family, index };
    return true;
  };
  const others = entriesOf(own);
  let mine = await next(others);
  for await (const entry of entriesOf(theirs)) {
    for (; mine && order(mine, entry) < 0; mine = await next(others)) if (isNew(mine)) yield last!;
    let differs = true;
    if (mine && order(mine, entry) === 0) {
      differs = mine.kind !== entry.kind || insync === null || entry.modified >= insync || mine.active;
      mine = await next(others);
    }
    if (differs && isNew(entry)) yield last!;
  }
  for (; mine; mine = await next(others)) if (isNew(mine)) yield last!;
}

async function* entriesOf(list: GroupEntries): AsyncGenerator<ListedEntry> {
  for await (const entries of list) yield* entries;
}

async function next(entries: AsyncGenerator<ListedEntry>): Promise<ListedEntry | null> {
  const { done, value } = await entries.next();
  return done ? null : value;
}

function order(one: ListedEntry, other: ListedEntry): number {
  return one.family - other.family || one.index - other.index || one.layer - other.layer;
}

import { statfsSync } from 'node:fs';

/*
 * A commit of LMDB writes new pages before it gives old ones up, so on a full disk nothing could be stored any more, not
 * even that something was deleted. So its file is kept larger than it has to be: what is free within it is taken
 * first, and needs nothing of the disk.
 */

/** Bytes that are to be free within a database: many times what one commit takes. */
const SPARE_BYTES = 1024 * 1024;
/** Free on the disk, before any of it is taken for that. */
const FREE_BYTES_MIN = 8 * SPARE_BYTES;
const VALUES = 16;
/** A commit's pages can be taken again only after some more. */
const COMMITS_BEFORE_USE = 4;

/** What is needed of a database or one of its tables, whatever its keys and values are. */
export interface Table<Key, Value> {
  put(key: Key, value: Value): Promise<boolean>;
  remove(key: Key): Promise<boolean>;
  getStats(): object;
}

interface Tree {
  treeBranchPageCount: number;
  treeLeafPageCount: number;
  overflowPages: number;
}

interface Stats extends Tree {
  pageSize: number;
  lastPageNumber: number;
  free: Tree;
  root: Tree;
}

/** A key that nothing else uses for each number from 0 on, and a value of `bytes` bytes. */
export interface SpareContent<Key, Value> {
  key(number: number): Key;
  value(bytes: number): Value;
}

/** Bytes free within the file of a database with these tables, its root not counted. */
export function spareBytes(tables: readonly Pick<Table<never, never>, 'getStats'>[]): number {
  const all = tables.map((table) => table.getStats() as Stats);
  const { pageSize, lastPageNumber, free, root } = all[0]!;
  // Two pages are the file's header.
  let pages = lastPageNumber + 1 - 2;
  for (const tree of [...all, free, root]) {
    pages -= tree.treeBranchPageCount + tree.treeLeafPageCount + tree.overflowPages;
  }
  return pages * pageSize;
}

/**
 * The changes, each to be a commit of its own, that make the spare bytes; none where there are enough, or where the disk
 * of `directory` has none to give. `table` is any table of the database.
 */
export function spareChanges<Key, Value>(
  directory: string,
  table: Table<Key, Value>,
  others: readonly Pick<Table<never, never>, 'getStats'>[],
  content: SpareContent<Key, Value>,
  statfs: (directory: string) => { bavail: number; bsize: number } = statfsSync,
): (() => void)[] {
  if (spareBytes([table, ...others]) >= SPARE_BYTES / 2) return [];
  const { bavail, bsize } = statfs(directory);
  if (bavail * bsize < FREE_BYTES_MIN) return [];
  const numbers = Array.from({ length: VALUES }, (_, number) => number);
  const value = content.value(SPARE_BYTES / VALUES);
  const small = content.value(1);
  const changes = [
    () => numbers.forEach((number) => void table.put(content.key(number), value)),
    () => numbers.forEach((number) => void table.remove(content.key(number))),
  ];
  for (let commit = 0; commit < COMMITS_BEFORE_USE; commit++) changes.push(() => void table.put(content.key(0), small));
  return changes;
}

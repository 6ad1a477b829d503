import { OBJECT_BYTES } from './object-io.js';

/** One above the highest index that there can be. */
const INDEX_END = 2 ** 32;
/** Indexes that are looked for at once, and that are cut at the same time. */
const CUT_BATCH = 1024;
const CUTS_PARALLEL = 32;

export interface TruncationPort {
  /** The lowest indexes where there may be something to cut; null: the role was lost. */
  next(range: { from: number; to: number; count: number }): Promise<readonly number[] | null>;
  /** Cuts what the top layer has at the index to so many bytes; 0: removes it. False: the role was lost. */
  cut(index: number, length: number): Promise<boolean>;
}

/** See ImageObjects.truncate. False: the role was lost. */
export async function truncate(size: number, port: TruncationPort): Promise<boolean> {
  const length = size % OBJECT_BYTES;
  if (length > 0 && !(await port.cut(Math.floor(size / OBJECT_BYTES), length))) return false;
  for (let from = Math.ceil(size / OBJECT_BYTES); ; ) {
    const found = await port.next({ from, to: INDEX_END, count: CUT_BATCH });
    if (!found || !(await removeAll(found, port))) return false;
    if (found.length < CUT_BATCH) return true;
    from = found[found.length - 1]! + 1;
  }
}

async function removeAll(indexes: readonly number[], { cut }: TruncationPort): Promise<boolean> {
  const left = indexes.values();
  let isHeld = true;
  const work = async () => {
    for (const index of left) isHeld = (await cut(index, 0)) && isHeld;
  };
  await Promise.all(Array.from({ length: Math.min(CUTS_PARALLEL, indexes.length) }, work));
  return isHeld;
}

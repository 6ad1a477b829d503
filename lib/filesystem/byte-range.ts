import type { LockRange } from '../fuse/operations.js';

/** The last byte of every file: a range that ends here has no end. */
export const LAST_BYTE = Number.MAX_SAFE_INTEGER;

export function overlaps(one: LockRange, other: LockRange): boolean {
  return one.start <= other.end && other.start <= one.end;
}

/** What is left of `range` without `cut`: nothing, one piece or two. */
export function subtract<T extends LockRange>(range: T, cut: LockRange): T[] {
  if (!overlaps(range, cut)) return [range];
  const left: T[] = [];
  if (range.start < cut.start) left.push({ ...range, end: cut.start - 1 });
  if (range.end > cut.end) left.push({ ...range, start: cut.end + 1 });
  return left;
}

/** Whether the two overlap or one begins where the other ends. */
export function touches(one: LockRange, other: LockRange): boolean {
  return one.start <= other.end + 1 && other.start <= one.end + 1;
}

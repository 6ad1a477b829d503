import { type ClusterMap, groupIn } from '../cluster/cluster-map.js';
import { PULL_BLOCK_BYTES } from '../store/object-pull.js';
import type { ByteRange, FencedDisk } from './messages.js';

/** An object of which copies may differ, or that may not be on disk everywhere. */
export interface UnequalObject {
  readonly family: number;
  readonly layer: number;
  readonly index: number;
  /** Whole blocks, in their order, in which copies may differ; null: anywhere, and in their shape. */
  readonly blocks: readonly ByteRange[] | null;
}

/**
 * What may differ by the answers of the disks that were asked under this map. Where every member of a group's `acting` has
 * answered with a ring that has all of its stay, nothing differs but in the ranges of those rings: see the argument in
 * docs/replication.md.
 */
export function unequalObjects(
  map: ClusterMap,
  copies: number,
  answers: readonly FencedDisk[],
  pgOf: (family: number, index: number) => number,
): UnequalObject[] {
  const byDisk = new Map(answers.map((answer) => [answer.disk, answer]));
  const isExact = (pg: number) => {
    const { acting } = groupIn(map, copies, pg);
    return acting.length > 0 && acting.every((disk) => isWhole(map, byDisk.get(disk)));
  };
  const exact = new Map<number, boolean>();
  const ranges = rangesByIndex(answers);
  const found = new Map<string, UnequalObject>();
  for (const { active } of answers) {
    for (const { family, layer, index, isOthers } of active) {
      const key = `${family}/${layer}/${index}`;
      const pg = pgOf(family, index);
      let isKnown = exact.get(pg);
      if (isKnown === undefined) {
        isKnown = isExact(pg);
        exact.set(pg, isKnown);
      }
      const blocks = isKnown && !isOthers ? blocksOf(ranges.get(`${family}/${index}`) ?? []) : null;
      if (blocks === null || !found.has(key)) found.set(key, { family, layer, index, blocks });
    }
  }
  return [...found.values()];
}

/** Whether the disk's ring has all that its process and those before it were sent since the kernel runs that the map knows. */
function isWhole(map: ClusterMap, answer: FencedDisk | undefined): boolean {
  if (answer === undefined || !answer.ring.complete) return false;
  return answer.ring.bootId === map.hosts[map.disks[answer.disk]?.host ?? '']?.bootId;
}

function rangesByIndex(answers: readonly FencedDisk[]): Map<string, ByteRange[]> {
  const found = new Map<string, ByteRange[]>();
  for (const { ring } of answers) {
    for (const range of ring.ranges) {
      const key = `${range.family}/${range.index}`;
      const others = found.get(key);
      if (others) others.push(range);
      else found.set(key, [range]);
    }
  }
  return found;
}

/** The blocks that the ranges touch, those next to one another as one. */
export function blocksOf(ranges: readonly ByteRange[]): ByteRange[] {
  const blocks = new Set<number>();
  for (const { offset, length } of ranges) {
    const end = Math.ceil((offset + length) / PULL_BLOCK_BYTES);
    for (let block = Math.floor(offset / PULL_BLOCK_BYTES); block < end; block++) blocks.add(block);
  }
  const found: { offset: number; length: number }[] = [];
  for (const block of [...blocks].sort((a, b) => a - b)) {
    const offset = block * PULL_BLOCK_BYTES;
    const last = found.at(-1);
    if (last && last.offset + last.length === offset) last.length += PULL_BLOCK_BYTES;
    else found.push({ offset, length: PULL_BLOCK_BYTES });
  }
  return found;
}

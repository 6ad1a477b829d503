import { isUsable, MovePlan } from './move-plan.js';
import { PGS_MAX, type PlacementDisk, wantedDisk } from './placement.js';

/**
 * Where every group's data is, on a cluster of one host: one disk a group, and for some groups another disk that it is
 * being moved to. Until a move is finished the group's data is whole on its old disk and every write goes to both.
 *
 * All functions here are pure. They answer the map they were given where nothing changes, else one of the next epoch.
 */

export const MAP_FORMAT = 1;
export interface ClusterMap {
  readonly format: number;
  /** Grows by one with every change. */
  readonly epoch: number;
  /** The disk of each group. */
  readonly groups: readonly number[];
  /** By group, the disk that it is being moved to. */
  readonly moves: Readonly<Record<number, number>>;
}

export interface MapDisk extends PlacementDisk {
  /** A disk that is being removed gives its groups away; what is on a failed one cannot be moved. */
  state: 'ok' | 'removing' | 'failed';
}

export type MapErrorCode =
  | 'NO_DISK'
  | 'NO_SUCH_MOVE'
  | 'BAD_GROUPS'
  | 'EXISTS'
  | 'ABSENT'
  | 'WRONG_FORMAT'
  | 'CONTENDED';

export class MapError extends Error {
  readonly code: MapErrorCode;

  constructor(code: MapErrorCode, message: string) {
    super(message);
    this.name = 'MapError';
    this.code = code;
  }
}

/**
 * The first map of a cluster: each disk has its share of the groups by weight. The hash alone would give the fullest of
 * eight disks up to a third more than its share of a thousand groups, and once that disk is full the cluster is.
 *
 * Throws MapError NO_DISK where no disk may hold anything, and BAD_GROUPS for a number of groups out of bounds.
 */
export function initialMap(disks: readonly MapDisk[], pgs: number): ClusterMap {
  if (!Number.isInteger(pgs) || pgs < 1 || pgs > PGS_MAX) {
    throw new MapError('BAD_GROUPS', `${pgs} placement groups: from 1 to ${PGS_MAX} are possible`);
  }
  const usable = disks.filter(isUsable);
  if (usable.length === 0) throw new MapError('NO_DISK', 'no disk that data could be placed on');
  const groups = Array.from({ length: pgs }, (_, group) => wantedDisk(group, usable)!);
  const map = { format: MAP_FORMAT, epoch: 1, groups, moves: {} };
  const plan = new MovePlan(map, disks, pgs);
  plan.level();
  return { ...map, groups: groups.map((disk, group) => plan.moves[group] ?? disk) };
}

/**
 * Plans moves, so that at most `movesMax` are under way: first off the disks that are being removed, then off those
 * that hold more than their share, as others were added or sizes changed. Nothing else moves. Moves to a disk that may
 * no longer hold anything, or from one that failed, are given up.
 */
export function nextMap(map: ClusterMap, disks: readonly MapDisk[], movesMax: number): ClusterMap {
  const plan = new MovePlan(map, disks, movesMax);
  plan.leaveRemovedDisks();
  plan.level();
  if (sameMoves(plan.moves, map.moves)) return map;
  return { ...map, epoch: map.epoch + 1, moves: plan.moves };
}

/** The group's data is whole on the disk that it was moved to. Throws MapError NO_SUCH_MOVE unless it was moving. */
export function finishMove(map: ClusterMap, group: number): ClusterMap {
  const { [group]: target, ...moves } = map.moves;
  if (target === undefined) throw new MapError('NO_SUCH_MOVE', `group ${group} is not being moved`);
  return { ...map, epoch: map.epoch + 1, groups: map.groups.with(group, target), moves };
}

/** How many groups are on the disk, and how many are being moved to it. Neither: it may be taken away. */
export function useOfDisk(map: ClusterMap, disk: number): { held: number; coming: number } {
  return {
    held: map.groups.filter((holder) => holder === disk).length,
    coming: Object.values(map.moves).filter((target) => target === disk).length,
  };
}

function sameMoves(one: ClusterMap['moves'], other: ClusterMap['moves']): boolean {
  const keys = Object.keys(one).map(Number);
  return keys.length === Object.keys(other).length && keys.every((key) => one[key] === other[key]);
}

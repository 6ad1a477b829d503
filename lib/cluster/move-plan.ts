import type { ClusterMap, MapDisk } from './map.js';
import { rankedDisks, scatteredGroups } from './placement.js';

/**
 * How far from its share a disk may be before groups move to level it, so that a size that is reported a little
 * differently moves nothing.
 */
const UNEVEN_TOLERANCE = 0.02;

export function isUsable(disk: MapDisk): boolean {
  return disk.state === 'ok' && disk.weight > 0;
}

/** Which groups should be moved where, worked out step by step; `moves` has the moves of the map that go on too. */
export class MovePlan {
  readonly moves: Record<number, number> = {};
  readonly #groups: readonly number[];
  readonly #states: Map<number, MapDisk['state']>;
  readonly #usable: MapDisk[];
  /** Groups that each disk holds once the moves are done. */
  readonly #loads = new Map<number, number>();
  /** Groups that each usable disk should hold. */
  readonly #shares: Map<number, number>;
  #movesLeft: number;

  constructor(map: ClusterMap, disks: readonly MapDisk[], movesMax: number) {
    this.#groups = map.groups;
    this.#movesLeft = movesMax;
    this.#states = new Map(disks.map((disk) => [disk.number, disk.state]));
    this.#usable = disks.filter(isUsable);
    for (const [group, target] of Object.entries(map.moves)) this.#keep(Number(group), target);
    const movable = map.groups.filter((disk) => !this.#isStuck(disk)).length;
    for (let group = 0; group < map.groups.length; group++) this.#add(this.#placeOf(group), 1);
    this.#shares = sharesOf(this.#usable, movable);
  }

  /** Moves what is on disks that are being removed. */
  leaveRemovedDisks(): void {
    for (let group = 0; group < this.#groups.length && this.#movesLeft > 0; group++) {
      if (this.#states.get(this.#placeOf(group)) === 'removing') this.#move(group);
    }
  }

  /** Moves from disks that hold more than their share to those that hold less. */
  level(): void {
    if (!this.#usable.some((disk) => this.#isUneven(disk.number))) return;
    for (const group of Object.keys(this.moves).map(Number)) this.#callOff(group);
    if (this.#movesLeft <= 0) return;
    // Were they taken in order, an image in the first groups would lose a disk to stripe over.
    const order = scatteredGroups(this.#groups.length);
    for (const { number } of this.#usable) {
      // First what the hash would rather have elsewhere.
      this.#giveAway(number, order, (group) => rankedDisks(group, this.#usable)[0] !== number);
      this.#giveAway(number, order, () => true);
    }
  }

  #giveAway(disk: number, order: readonly number[], mayGo: (group: number) => boolean): void {
    for (const group of order) {
      if (this.#movesLeft <= 0 || this.#loadOf(disk) <= this.#shares.get(disk)!) return;
      if (this.#groups[group] === disk && !(group in this.moves) && mayGo(group)) this.#move(group);
    }
  }

  /** To the disk that the hash ranks first among those below their share. */
  #move(group: number): void {
    const source = this.#placeOf(group);
    const hasRoom = (disk: number) => this.#loadOf(disk) < this.#shares.get(disk)!;
    const target = rankedDisks(group, this.#usable).find(hasRoom);
    if (target === undefined) return;
    this.moves[group] = target;
    this.#movesLeft--;
    this.#add(source, -1);
    this.#add(target, 1);
  }

  #keep(group: number, target: number): void {
    if (this.#isStuck(this.#groups[group]!) || this.#states.get(target) !== 'ok') return;
    this.moves[group] = target;
    this.#movesLeft--;
  }

  /** Leaves the group where it is, if that is where there is room now. */
  #callOff(group: number): void {
    const [source, target] = [this.#groups[group]!, this.moves[group]!];
    if (this.#loadOf(source) >= (this.#shares.get(source) ?? 0)) return;
    if (this.#loadOf(target) <= this.#shares.get(target)!) return;
    delete this.moves[group];
    this.#movesLeft++;
    this.#add(target, -1);
    this.#add(source, 1);
  }

  #isUneven(disk: number): boolean {
    const share = this.#shares.get(disk)!;
    return Math.abs(this.#loadOf(disk) - share) > Math.ceil(share * UNEVEN_TOLERANCE);
  }

  /** What cannot be read cannot be moved. */
  #isStuck(disk: number): boolean {
    const state = this.#states.get(disk);
    return state === undefined || state === 'failed';
  }

  #placeOf(group: number): number {
    return this.moves[group] ?? this.#groups[group]!;
  }

  #loadOf(disk: number): number {
    return this.#loads.get(disk) ?? 0;
  }

  #add(disk: number, amount: number): void {
    this.#loads.set(disk, this.#loadOf(disk) + amount);
  }
}

/** Whole groups by weight, all of them shared out: what rounding leaves goes to the largest fractions. */
function sharesOf(disks: readonly MapDisk[], groups: number): Map<number, number> {
  const total = disks.reduce((sum, disk) => sum + disk.weight, 0);
  const exact = disks.map(({ number, weight }) => ({ number, share: (groups * weight) / total }));
  const shares = new Map(exact.map(({ number, share }) => [number, Math.floor(share)]));
  let left = groups - [...shares.values()].reduce((sum, share) => sum + share, 0);
  exact.sort((a, b) => (b.share % 1) - (a.share % 1) || a.number - b.number);
  for (const { number } of exact) {
    if (left-- <= 0) break;
    shares.set(number, shares.get(number)! + 1);
  }
  return shares;
}

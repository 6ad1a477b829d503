/** The maps of a host that is alone, with several disks: a copy of each group, wherever there is a place for it. */
import { type Assertions, test } from 'brittle';
import type { HostRecord } from '../lib/cluster/host-record.js';
import type { NextMapOptions } from '../lib/cluster/observation.js';
import { MapWorld } from './helpers/map-world.js';

const PGS = 64;
const COPIES = 3;

type RecordedDisk = HostRecord['disks'][number];

class LoneWorld extends MapWorld {
  constructor(disks: number[], options: Partial<NextMapOptions> = {}) {
    super('', { pgs: PGS, copies: [COPIES], ...options });
    this.add('a', disks);
  }

  disk(number: number, changes: Partial<RecordedDisk>): this {
    const disks = this.records[0]!.disks.map((disk) => (disk.number === number ? { ...disk, ...changes } : disk));
    return this.record('a', { disks });
  }

  addDisk(number: number): this {
    const disk = { ...this.records[0]!.disks[0]!, number };
    this.record('a', { disks: [...this.records[0]!.disks, disk] });
    return this.see('a', { disks: { ...this.seen.a!.disks, [number]: { opens: 1, openMs: 0 } } });
  }

  /** The conductor hears of it, and stores it together with the map. */
  fail(disk: number): this {
    return this.step({ type: 'disk-failed', disk, incarnation: 1 }).disk(disk, { standing: 'failed' });
  }

  get table() {
    return this.map.tables[COPIES]!;
  }

  /** The disk that has each group. */
  get holders(): number[] {
    return this.table.map(({ insync }) => insync[0]!);
  }
}

function isBalanced(t: Assertions, world: LoneWorld, disks: readonly number[]): void {
  const held = disks.map((disk) => world.table.filter(({ acting }) => acting.includes(disk)).length);
  const share = PGS / disks.length;
  t.ok(Math.min(...held) >= share - 2 && Math.max(...held) <= share + 2, `${held}, each a share of ${share}`);
  t.ok(world.table.every(({ acting, insync }) => acting.length === 1 && insync[0] === acting[0]));
}

test('next map, alone: each disk has its share, one that is removed gives all away', (t) => {
  const world = new LoneWorld([1, 2, 3, 4]);
  world.step();
  const born = world.map;
  isBalanced(t, world, [1, 2, 3, 4]);
  t.is(world.settle().map, born, 'and there is nothing to move');
  world.disk(1, { standing: 'removing' }).settle();
  isBalanced(t, world, [2, 3, 4]);
});

test('next map, alone: an added disk takes its share, and what it does not take stays as it is', (t) => {
  const world = new LoneWorld([1, 2, 3]);
  const before = world.step().table;
  world.addDisk(4).settle();
  isBalanced(t, world, [1, 2, 3, 4]);
  const taken = world.table.filter((_, pg) => world.holders[pg] === 4).length;
  const same = world.table.filter((group, pg) => group === before[pg]).length;
  t.ok(same >= PGS - taken - 2, `${taken} taken, ${same} the same`);
});

test('next map, alone: a disk that failed, is being removed or has no size gets nothing', (t) => {
  const world = new LoneWorld([1, 2, 3, 4]);
  world.disk(2, { standing: 'failed' }).disk(3, { standing: 'removing' }).disk(4, { weight: 0 }).step().settle();
  isBalanced(t, world, [1]);
  const none = new LoneWorld([1, 2]).disk(1, { standing: 'removing' }).disk(2, { weight: 0 }).step();
  t.alike(none.map.tables, {}, 'there is no table before there is a place for it');
});

test('next map, alone: a move to a disk that fails is given up', (t) => {
  const world = new LoneWorld([1, 2], { movesMax: 8 });
  const before = world.step().holders;
  world.addDisk(3).step();
  t.is(world.table.filter(({ joined }) => joined?.[3]).length, 8);
  world.fail(3);
  t.ok(world.table.every(({ acting, joined }) => !acting.includes(3) && joined === undefined));
  t.alike(world.settle().holders, before);
});

test('next map, alone: what is on a failed disk stays its own, whatever was on its way from there; the rest goes on', (t) => {
  const world = new LoneWorld([1, 2], { movesMax: 8 });
  const before = world.step().holders;
  world.addDisk(3).step();
  const failed = before[world.table.findIndex(({ joined }) => joined?.[3])]!;
  world.fail(failed).settle();
  const [lost, left] = [true, false].map((isLost) => world.table.filter((_, pg) => (before[pg] === failed) === isLost));
  t.ok(lost!.every(({ acting, insync }) => acting.length === 0 && insync.length === 1 && insync[0] === failed));
  t.ok(left!.every(({ acting, insync }) => acting.length === 1 && insync.length === 1));
  t.ok(world.holders.includes(3));
});

test('next map, alone: nothing moves while no disk may hold anything', (t) => {
  const world = new LoneWorld([1, 2]).step();
  const before = world.table;
  for (const disk of [1, 2]) world.disk(disk, { standing: 'removing' });
  t.alike(world.settle().table, before);
});

test('next map, alone: a removal that is called off moves back no more than it must', (t) => {
  const world = new LoneWorld([1, 2, 3, 4], { movesMax: 4 });
  const before = world.step().holders;
  world.disk(4, { standing: 'removing' }).step();
  // Four have moved, and four are on their way.
  world.step(...world.finished());
  world.see('a', { adopted: world.map.epoch }).step();
  const moved = world.holders.filter((disk, pg) => disk !== before[pg]).length;
  t.is(moved, 4);
  t.ok(world.table.some(({ joined }) => joined));
  world.disk(4, { standing: 'in' });
  const back = new Set<number>();
  for (let last = world.step().map; ; last = world.map) {
    for (const [pg, { joined }] of world.table.entries()) if (joined?.[4]) back.add(pg);
    world.see('a', { adopted: world.map.epoch }).step(...world.finished());
    if (world.map === last) break;
  }
  t.ok(back.size <= moved, `${back.size} were moved back`);
  t.alike(world.holders, before);
});

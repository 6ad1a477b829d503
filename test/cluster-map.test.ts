import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Assertions, test } from 'brittle';
import { type ClusterMap, finishMove, initialMap, type MapDisk, nextMap, useOfDisk } from '../lib/cluster/map.js';
import { MapKeeper } from '../lib/cluster/map-keeper.js';
import { decodeMap, encodeMap } from '../lib/cluster/map-record.js';
import { PGS_MAX } from '../lib/cluster/placement.js';
import { type Coordination, VALUE_BYTES_MAX } from '../lib/coordination/coordination.js';
import { openLocal } from '../lib/coordination/local.js';

const TB = 1e12;
const PGS = 1024;

function disk(number: number, weight = TB, state: MapDisk['state'] = 'ok'): MapDisk {
  return { number, weight, state };
}

function disks(count: number): MapDisk[] {
  return Array.from({ length: count }, (_, i) => disk(i + 1));
}

/** Plans and finishes moves until there are none, never more than `movesMax` at once. Answers the groups that moved. */
function settle(map: ClusterMap, all: MapDisk[], movesMax = 8): { map: ClusterMap; moved: number[] } {
  const moved: number[] = [];
  let now = nextMap(map, all, movesMax);
  while (Object.keys(now.moves).length > 0) {
    if (Object.keys(now.moves).length > movesMax) throw new Error('more moves than allowed');
    // The last one planned is done first: the order in which moves end is not the planner's.
    const group = Math.max(...Object.keys(now.moves).map(Number));
    moved.push(group);
    now = nextMap(finishMove(now, group), all, movesMax);
  }
  return { map: now, moved };
}

function balanced(t: Assertions, map: ClusterMap, all: MapDisk[]): void {
  const usable = all.filter((one) => one.state === 'ok');
  const total = usable.reduce((sum, one) => sum + one.weight, 0);
  for (const { number, weight } of usable) {
    const share = (map.groups.length * weight) / total;
    const { held } = useOfDisk(map, number);
    t.ok(Math.abs(held - share) <= 1 + share * 0.03, `disk ${number} has ${held}, its share is ${share | 0}`);
  }
}

const codeOf = (work: () => unknown): string | undefined => {
  try {
    work();
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code;
  }
};

test('map: the first gives each disk its share', (t) => {
  const cases = [disks(1), disks(2), disks(8), disks(24), [disk(3, TB), disk(9, 2 * TB), disk(11, 8 * TB)]];
  for (const all of cases) {
    const map = initialMap(all, PGS);
    t.is(map.epoch, 1);
    t.is(map.groups.length, PGS);
    balanced(t, map, all);
    t.is(nextMap(map, all, 8), map, 'and there is nothing to move');
  }
});

test('map: consecutive groups spread over the disks', (t) => {
  const map = initialMap(disks(4), PGS);
  for (let group = 0; group + 64 <= PGS; group += 64) {
    const held = [1, 2, 3, 4].map((number) => map.groups.slice(group, group + 64).filter((d) => d === number).length);
    if (Math.min(...held) < 4) t.fail(`groups ${group} to ${group + 63}: ${held}`);
  }
  t.pass('an image of 256 MiB is on all of them');
});

test('map: failed, removed and empty disks get nothing', (t) => {
  const all = [disk(1), disk(2, TB, 'failed'), disk(3, TB, 'removing'), disk(4, 0)];
  t.alike([...new Set(initialMap(all, PGS).groups)], [1]);
  t.is(
    codeOf(() => initialMap(all.slice(1), PGS)),
    'NO_DISK',
  );
  t.is(
    codeOf(() => initialMap([], PGS)),
    'NO_DISK',
  );
  for (const pgs of [0, -1, 1.5, Number.NaN, PGS_MAX + 1]) {
    t.is(
      codeOf(() => initialMap(all, pgs)),
      'BAD_GROUPS',
    );
  }
});

test('map: an added disk takes its share, from the others to it, and nothing else moves', (t) => {
  for (const count of [1, 3, 7]) {
    const before = initialMap(disks(count), PGS);
    const all = disks(count + 1);
    const { map, moved } = settle(before, all);
    const share = PGS / (count + 1);
    t.ok(Math.abs(moved.length - share) <= 1 + share * 0.03, `${moved.length} moved, share ${share | 0}`);
    t.is(new Set(moved).size, moved.length, 'none twice');
    t.alike([...new Set(moved.map((group) => map.groups[group]))], [count + 1]);
    const others = before.groups.filter((holder, group) => map.groups[group] !== holder);
    t.is(others.length, moved.length);
    balanced(t, map, all);
  }
});

test('map: a disk that is being removed gives all away, and nothing else moves', (t) => {
  const before = initialMap(disks(5), PGS);
  const all = disks(5).map((one) => (one.number === 2 ? disk(2, TB, 'removing') : one));
  const { map, moved } = settle(before, all);
  const held = before.groups.flatMap((holder, group) => (holder === 2 ? [group] : []));
  t.alike(
    moved.sort((a, b) => a - b),
    held,
  );
  t.alike(useOfDisk(map, 2), { held: 0, coming: 0 });
  balanced(t, map, all);
  t.is(nextMap(map, disks(5).toSpliced(1, 1), 8), map, 'taking it out changes nothing more');
});

test('map: a size that changes moves the difference, and a little change nothing', (t) => {
  const before = initialMap(disks(4), PGS);
  const little = disks(4).map((one) => (one.number === 1 ? disk(1, TB * 1.02) : one));
  t.is(nextMap(before, little, 8), before);
  const doubled = disks(4).map((one) => (one.number === 1 ? disk(1, 2 * TB) : one));
  const { map, moved } = settle(before, doubled);
  t.alike([...new Set(moved.map((group) => map.groups[group]))], [1]);
  t.ok(Math.abs(moved.length - (PGS * 2) / 5 + PGS / 4) < 10, `${moved.length} moved`);
  balanced(t, map, doubled);
});

test('map: moves off a removed disk come before those that level', (t) => {
  const before = initialMap(disks(2), PGS);
  const all = [disk(1), disk(2, TB, 'removing'), disk(3)];
  const next = nextMap(before, all, 16);
  t.is(Object.keys(next.moves).length, 16);
  t.is(next.epoch, 2);
  t.alike([...new Set(Object.keys(next.moves).map((group) => before.groups[Number(group)]))], [2]);
  balanced(t, settle(next, all, 16).map, all);
});

test('map: what is on a failed disk stays on it, and moves to or from it are given up', (t) => {
  const before = nextMap(initialMap(disks(2), PGS), disks(3), 8);
  t.is(Object.keys(before.moves).length, 8);
  const failedTarget = nextMap(before, [disk(1), disk(2), disk(3, TB, 'failed')], 8);
  t.alike(failedTarget.moves, {});
  t.alike(failedTarget.groups, before.groups);
  t.is(failedTarget.epoch, before.epoch + 1);
  const source = before.groups[Number(Object.keys(before.moves)[0])]!;
  const all = disks(3).map((one) => (one.number === source ? disk(source, TB, 'failed') : one));
  const { map } = settle(before, all);
  t.alike(
    map.groups.map((holder) => holder === source),
    before.groups.map((holder) => holder === source),
  );
  const gone = settle(
    before,
    disks(3).filter((one) => one.number !== source),
  );
  t.alike(gone.map, map, 'a disk that is not there at all is like a failed one');
});

test('map: nothing can be planned while no disk may hold anything', (t) => {
  const before = initialMap(disks(2), PGS);
  const all = [disk(1, TB, 'removing'), disk(2, TB, 'removing')];
  t.is(nextMap(before, all, 8), before);
  t.is(nextMap(before, [], 8), before);
  const halfway = nextMap(before, [disk(1), disk(2, TB, 'removing')], 8);
  t.alike(nextMap(halfway, all, 8).moves, {});
});

test('map: a removal that is called off moves back no more than it must', (t) => {
  const before = initialMap(disks(4), PGS);
  const removing = disks(4).map((one) => (one.number === 4 ? disk(4, TB, 'removing') : one));
  let map = nextMap(before, removing, 40);
  for (const group of Object.keys(map.moves).map(Number).slice(0, 20)) map = finishMove(map, group);
  const { map: after, moved } = settle(map, disks(4), 40);
  t.ok(moved.length <= 20, `${moved.length} moved back, of 20 that had been moved`);
  balanced(t, after, disks(4));
});

test('map: finishing moves the group, once', (t) => {
  const map = nextMap(initialMap(disks(1), 4), disks(2), 1);
  const [[group, target]] = Object.entries(map.moves) as [[string, number]];
  t.alike(useOfDisk(map, target), { held: 0, coming: 1 });
  const done = finishMove(map, Number(group));
  t.is(done.epoch, map.epoch + 1);
  t.is(done.groups[Number(group)], target);
  t.alike(done.moves, {});
  t.alike(useOfDisk(done, target), { held: 1, coming: 0 });
  t.is(
    codeOf(() => finishMove(done, Number(group))),
    'NO_SUCH_MOVE',
  );
});

test('map: a stored map is read back, and what is none is refused', (t) => {
  const map = nextMap(initialMap(disks(2), PGS), disks(3), 8);
  t.alike(decodeMap(encodeMap(map)), map);
  const bad: unknown[] = [
    { ...map, format: 2 },
    { ...map, format: 0 },
    { ...map, epoch: 0 },
    { ...map, more: 1 },
  ];
  bad.push({ ...map, groups: [] }, { ...map, groups: [1.5] }, { ...map, moves: { 5000: 1 } }, null, 7, []);
  bad.push({ ...map, moves: { x: 1 } }, { ...map, moves: { 1: -1 } });
  for (const value of bad) {
    const stored = Buffer.from(JSON.stringify(value));
    t.is(
      codeOf(() => decodeMap(stored)),
      'WRONG_FORMAT',
    );
  }
  t.is(
    codeOf(() => decodeMap(Buffer.from('{'))),
    'WRONG_FORMAT',
  );
});

test('map: the largest is far below what can be stored', (t) => {
  const all = Array.from({ length: 20 }, (_, i) => disk(4_000_000 + i));
  const groups = Array.from({ length: PGS_MAX }, (_, group) => all[group % 20]!.number);
  const moves = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [PGS_MAX - 1 - i, all[0]!.number]));
  const { length } = encodeMap({ format: 1, epoch: 2 ** 40, groups, moves });
  t.ok(length < VALUE_BYTES_MAX * 0.6, `${length} bytes`);
});

async function store(t: Assertions): Promise<Coordination> {
  const directory = await mkdtemp(join(tmpdir(), 'sheepdog-map-'));
  const coordination = await openLocal(directory);
  t.teardown(async () => {
    await coordination.close();
    await rm(directory, { recursive: true });
  });
  return coordination;
}

async function keeper(t: Assertions, coordination: Coordination): Promise<MapKeeper> {
  const made = new MapKeeper(coordination);
  t.teardown(() => made.close(), { order: -1 });
  await made.open();
  return made;
}

const rejection = async (work: Promise<unknown>): Promise<string | undefined> => {
  try {
    await work;
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code;
  }
};

test('map keeper: creates the map once and finds it again', async (t) => {
  const coordination = await store(t);
  const one = await keeper(t, coordination);
  t.is(
    codeOf(() => one.current),
    'ABSENT',
  );
  t.is(await rejection(one.change((map) => map)), 'ABSENT');
  const two = await keeper(t, coordination);
  const first = initialMap(disks(3), PGS);
  await one.create(first);
  t.is(await rejection(two.create(initialMap(disks(1), PGS))), 'EXISTS');
  t.alike(one.current, first);
  t.alike(two.current, first);
  t.alike(await new MapKeeper(coordination).open(), first);
});

test('map keeper: concurrent changes all count, and every listener hears every epoch in order', async (t) => {
  const coordination = await store(t);
  const keepers = [await keeper(t, coordination), await keeper(t, coordination)];
  await keepers[0]!.create(nextMap(initialMap(disks(1), 64), disks(2), 32));
  const heard = keepers.map((one) => {
    const epochs: number[] = [];
    one.onChange((map) => epochs.push(map.epoch));
    return epochs;
  });
  const groups = Object.keys(keepers[0]!.current.moves).map(Number);
  const first = keepers[0]!.current.epoch;
  await Promise.all(groups.map((group, i) => keepers[i % 2]!.change((map) => finishMove(map, group))));
  for (const one of keepers) {
    t.is(one.current.epoch, first + groups.length);
    t.alike(one.current.moves, {});
    t.is(useOfDisk(one.current, 2).held, 32);
  }
  const epochs = Array.from({ length: groups.length }, (_, i) => first + 1 + i);
  t.alike(heard, [epochs, epochs]);
});

test('map keeper: a step that changes nothing or throws stores nothing', async (t) => {
  const coordination = await store(t);
  const one = await keeper(t, coordination);
  await one.create(initialMap(disks(2), 16));
  const revision = await coordination.revision();
  t.is((await one.change((map) => nextMap(map, disks(2), 4))).epoch, 1);
  t.is(await rejection(one.change((map) => finishMove(map, 3))), 'NO_SUCH_MOVE');
  t.is(await rejection(one.change((map) => ({ ...map, epoch: map.epoch + 2 }))), 'ERR_ASSERTION');
  t.is(await coordination.revision(), revision);
});

test('map keeper: a listener that ended hears nothing', async (t) => {
  const one = await keeper(t, await store(t));
  let heard = 0;
  const end = one.onChange(() => heard++);
  await one.create(nextMap(initialMap(disks(1), 16), disks(2), 4));
  t.is(heard, 1);
  end();
  await one.change((map) => finishMove(map, Number(Object.keys(map.moves)[0])));
  t.is(heard, 1);
});

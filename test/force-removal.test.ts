import { test } from 'brittle';
import { aliveKey, evictKey } from '../lib/cluster/alive-record.js';
import { decodeClusterMap, encodeClusterMap, MAP_KEY } from '../lib/cluster/cluster-map-record.js';
import {
  bestCopies,
  type ForceRemovalError,
  type ForceRemovalErrorCode,
  giveUpHost,
  groupsOnlyOn,
  type LostGroup,
} from '../lib/cluster/force-removal.js';
import { hostKey } from '../lib/cluster/host-record.js';
import { decodeHostRecord, encodeHostRecord } from '../lib/cluster/host-records.js';
import { imagesAtRisk } from '../lib/cluster/images-at-risk.js';
import { familyOffset, groupAt } from '../lib/cluster/placement.js';
import { type RemoveByForceOptions, removeByForce } from '../lib/cluster/remove-by-force.js';
import type { Coordination, Transaction } from '../lib/coordination/coordination.js';
import { MapWorld, TTL } from './helpers/map-world.js';
import { StepClock } from './helpers/step-clock.js';
import { StoreState } from './simulation/store-state.js';

/** `a`, which is down, has the last copy; that of `b` was complete before it rebooted, and `c` came later. */
function stranded(): MapWorld {
  const world = new MapWorld('ab').step().settle();
  world.reboot('b').step().expire('a').step();
  world.add('c');
  return world.step();
}

/** A store that holds what a world shows, and a clock. */
function stored(world: MapWorld) {
  const state = new StoreState();
  const clock = new StepClock();
  const coordination = { transaction: async (it: Transaction) => state.apply(it).result } as unknown as Coordination;
  const beat = () => state.apply({ success: [{ put: aliveKey('a'), value: Buffer.from(String(clock.now)) }] });
  state.apply({ success: [{ put: MAP_KEY, value: encodeClusterMap(world.map) }] });
  for (const record of world.records) {
    state.apply({ success: [{ put: hostKey(record.id), value: encodeHostRecord(record) }] });
  }
  beat();
  const remove = (changes: Partial<RemoveByForceOptions> = {}) => {
    const choose: RemoveByForceOptions['choose'] = async (map, lost) => bestCopies(map, 'a', lost, []);
    return removeByForce({ coordination, clock, ttlMs: TTL, host: 'a', choose, ...changes });
  };
  return { state, clock, beat, remove };
}

async function codeOf(removal: Promise<unknown>): Promise<ForceRemovalErrorCode | null> {
  return removal.then(
    () => null,
    (error: ForceRemovalError) => error.code,
  );
}

test('its id and disks are banned for ever; the chosen copy restarts the group with lossy', async (t) => {
  const world = stranded();
  const { state, clock, remove } = stored(world);
  t.is(world.members, '(A)');
  const removed = remove();
  await clock.pass(TTL + 200);
  t.alike(await removed, [{ copies: 3, pg: 0 }]);
  const map = decodeClusterMap(state.get(MAP_KEY)!.value);
  const { acting, insync, ...rest } = map.tables[3]![0]!;
  t.alike(acting, insync);
  t.is(insync.length, 1);
  t.alike(rest, { since: map.epoch, lossy: map.epoch, forced: map.epoch });
  const record = decodeHostRecord(state.get(hostKey('a'))!.value);
  t.is(record.banned, true);
  t.alike(record.bannedDisks, [1]);
  t.ok(state.get(evictKey('a')), 'it renews no more');
  world.map = map;
  world.record('a', record).restart('a').step().settle();
  t.is(world.map.hosts.a!.up, false);
  t.is(world.members, 'BC');
});

test('refused unless the host has been down for a TTL', async (t) => {
  const up = stored(new MapWorld('ab').step().settle());
  t.is(await codeOf(up.remove()), 'NOT_DOWN');

  const { clock, beat, remove, state } = stored(stranded());
  let isDone = false;
  const removed = remove().then(() => {
    isDone = true;
  });
  await clock.pass(TTL - 1000);
  beat();
  await clock.pass(TTL + 200);
  t.is(isDone, false, 'it renewed meanwhile');
  await clock.pass(TTL + 200);
  await removed;
  t.ok(state.get(evictKey('a')));
});

test('nothing of it happens where the host has renewed since', async (t) => {
  const { clock, beat, remove, state } = stored(stranded());
  let asked = 0;
  const choose: RemoveByForceOptions['choose'] = async (map, lost) => {
    if (asked++ === 0) beat();
    return bestCopies(map, 'a', lost, []);
  };
  const removed = remove({ choose });
  await clock.pass(TTL + 200);
  t.is(asked, 1);
  t.absent(state.get(evictKey('a')));
  await clock.pass(2 * TTL + 400);
  await removed;
  t.is(asked, 2, 'it waits for another TTL');
});

test('no copy to restart from, a host that is unknown, a chooser that refuses: nothing is changed', async (t) => {
  const world = stranded();
  for (const [changes, code] of [
    [{ choose: async () => [] }, 'NO_COPY'],
    [{ choose: async () => [{ copies: 3, pg: 0, disk: 1 }] }, 'NO_COPY'],
    [{ host: 'x' }, 'UNKNOWN_HOST'],
  ] as const) {
    const { state, clock, remove } = stored(world);
    const { revision } = state;
    const refused = codeOf(remove(changes));
    await clock.pass(2 * TTL + 400);
    t.is(await refused, code);
    t.is(state.revision, revision);
  }
});

test('the copy that was complete last is the best, of hosts that are up; else an empty disk', (t) => {
  const { map } = stranded();
  const lost = groupsOnlyOn(map, 'a');
  const held = [2, 3].map((disk) => ({ copies: 3, pg: 0, disk, insyncEpoch: disk }));
  t.alike(bestCopies(map, 'a', lost, held), [{ copies: 3, pg: 0, disk: 3 }]);
  t.alike(bestCopies(map, 'a', lost, [{ ...held[0]!, insyncEpoch: null }]), [{ copies: 3, pg: 0, disk: 2 }]);
  t.alike(bestCopies(map, 'a', lost, [{ ...held[0]!, disk: 1 }]).length, 1, 'not its own');
  t.is(bestCopies(map, 'a', lost, []).length, 1);
});

test('what others had is kept: groups that stand still wait for the host no more', (t) => {
  const world = new MapWorld('ab').step().settle();
  world.expire('a').expire('b').step();
  t.is(world.members, '(A)(B)');
  t.alike(groupsOnlyOn(world.map, 'a'), []);
  world.map = giveUpHost(world.map, 'a', { downMs: TTL, ttlMs: TTL, chosen: [] });
  t.is(world.members, '(B)');
  world
    .record('a', { banned: true, bannedDisks: [1] })
    .reboot('b')
    .step();
  t.is(world.members, 'B');
  t.is(world.group().lossy, world.map.epoch);
});

test('nobody waits for one that is banned', (t) => {
  const world = new MapWorld('ab').step().settle();
  world.see('b', { renewedMs: TTL }).expire('a').step();
  t.is(world.members, 'AB', 'it cannot leave yet');
  world.map = giveUpHost(world.map, 'a', { downMs: TTL, ttlMs: TTL, chosen: [] });
  t.is(world.members, 'B');
  t.is(world.group().since, world.map.epoch);
  world
    .record('a', { banned: true, bannedDisks: [1] })
    .expire('b')
    .step();
  t.is(world.members, '(B)');
  t.alike(groupsOnlyOn(world.map, 'b'), [{ copies: 3, pg: 0 }], 'who gives b up as well chooses another copy');
  world.reboot('b').step();
  t.is(world.members, 'B', 'at once, as it is the last that could come back');
  t.is(world.group().lossy, world.map.epoch);
});

test('it says which images may have lost how many objects', (t) => {
  const pgs = 16;
  const lost: LostGroup[] = [
    { copies: 3, pg: 2 },
    { copies: 3, pg: 7 },
    { copies: 2, pg: 5 },
  ];
  const images = [0, 1, 5, 16, 100].flatMap((objects) => {
    return [1, 2, 3].map((copies) => ({ name: `${copies} of ${objects}`, family: objects + copies, copies, objects }));
  });
  const expected = images
    .map(({ name, family, copies, objects }) => {
      const groups = Array.from({ length: objects }, (_, index) => groupAt(familyOffset(family, pgs), index, pgs));
      return { name, objects: groups.filter((pg) => lost.some((it) => it.copies === copies && it.pg === pg)).length };
    })
    .filter(({ objects }) => objects > 0);
  const found = imagesAtRisk(lost, images, pgs);
  const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
  t.alike([...found].sort(byName), expected.sort(byName));
  t.alike(
    found.map(({ objects }) => objects),
    found.map(({ objects }) => objects).sort((a, b) => b - a),
    'those with most first',
  );
});

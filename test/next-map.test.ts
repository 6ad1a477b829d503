import { test } from 'brittle';
import type { Room } from '../lib/cluster/alive-record.js';
import { type ForceRemovalError, giveUpHost, groupsOnlyOn } from '../lib/cluster/force-removal.js';
import type { NextMapOptions, Report } from '../lib/cluster/observation.js';
import { hostsToReadmit, hostToEvict, unreachablePairs } from '../lib/cluster/unreachable.js';
import { MapWorld, TTL } from './helpers/map-world.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

function healthy(hosts = 'abc', options: Partial<NextMapOptions> = {}): MapWorld {
  return new MapWorld(hosts, options).step().settle();
}

test('next map: the same object where nothing changes, else one of the next epoch', (t) => {
  const world = healthy();
  const { map } = world;
  t.is(world.step().map, map);
  t.is(world.expire('a').step().map.epoch, map.epoch + 1);
});

test('next map: a table is born with acting = insync = the wanted disks that are up, at least one', (t) => {
  const world = new MapWorld('abc');
  for (const id of 'bc') world.see(id, { renewedMs: null });
  world.step();
  t.is(world.members, 'A');
  t.is(world.group().since, world.map.epoch);
  const none = new MapWorld('abc');
  for (const id of 'abc') none.see(id, { renewedMs: null });
  t.alike(none.step().map.tables, {}, 'not before there is one');
  t.is(new MapWorld('abc').step().members, 'ABC');
});

test('next map: a host is down when its heartbeat was unchanged for a full TTL', (t) => {
  const world = healthy();
  world.see('a', { unchangedMs: TTL - 1 });
  t.is(world.step().map.hosts.a!.up, true);
  world.see('a', { unchangedMs: TTL });
  t.is(world.step().map.hosts.a!.up, false);
});

test("next map: a down host's disks leave acting and insync at once", (t) => {
  const world = healthy();
  world.expire('a').step();
  t.is(world.members, 'BC');
  t.is(world.group().since, world.map.epoch);
});

test('next map: members leave insync only while one of those left has renewed within TTL/2', (t) => {
  const world = healthy('ab');
  world
    .see('b', { renewedMs: TTL / 2 + 1, unchangedMs: TTL / 2 + 1 })
    .expire('a')
    .step();
  t.is(world.map.hosts.a!.up, false);
  t.is(world.members, 'AB', 'writes still wait for the one that is down');
  world.see('b', { renewedMs: TTL / 2 }).step();
  t.is(world.members, 'B');
});

test('next map: a power cut, seen one expiry after another, leaves both in insync', (t) => {
  const world = healthy('ab');
  world
    .see('b', { renewedMs: TTL * 0.75, unchangedMs: TTL * 0.75 })
    .expire('a')
    .step();
  world.expire('b').step();
  t.is(world.members, '(A)(B)');
});

test('next map: a conductor that saw no renewal yet takes nobody out', (t) => {
  const world = healthy('ab');
  world.see('b', { renewedMs: null }).expire('a').step();
  t.is(world.members, 'AB');
});

test('next map: who renews with another boot id than the map has is not left as the one in sync', (t) => {
  const world = healthy('ab');
  world.see('b', { bootId: 'other' }).expire('a').step();
  t.is(world.members, 'AB');
});

test('next map: data is not replicated elsewhere until a host has been down for 10 minutes', (t) => {
  const world = healthy('abcd');
  const gone = worldMember(world);
  const spare = [...'abcd'].find((id) => !world.members.includes(id.toUpperCase()))!;
  world.expire(gone).step().settle();
  t.is(world.group().acting.length, 2);
  world
    .see(gone, { downMs: 10 * MINUTE - 1 })
    .step()
    .settle();
  t.is(world.group().acting.length, 2);
  world.see(gone, { downMs: 10 * MINUTE }).step();
  t.is(world.map.hosts[gone]!.standing, 'out');
  t.ok(world.group().acting.includes(world.diskOf(spare)));
  world.see(gone, { downMs: 0 }).step();
  t.is(world.map.hosts[gone]!.standing, 'out', 'a new conductor does not call the data back');
  world.restart(gone).step();
  t.is(world.map.hosts[gone]!.standing, 'in', 'its return does');
});

test('next map: a group with one copy to write to waits for 30 s only', (t) => {
  const world = healthy('abcd');
  const [first, second] = world.group().acting.map((disk) => String.fromCharCode(96 + disk));
  world
    .expire(first!)
    .step()
    .settle()
    .see(first!, { downMs: 5 * SECOND })
    .expire(second!)
    .step();
  t.is(world.group().acting.length, 1);
  world.see(first!, { downMs: 30 * SECOND - 1 }).step();
  t.is(world.group().acting.length, 1);
  world.see(first!, { downMs: 30 * SECOND }).step();
  t.is(world.group().acting.length, 2, 'another takes a copy');
  world.settle();
  t.is(world.group().insync.length, 2, 'and keeps it');
});

test('next map: data is replicated elsewhere when told, before any time has passed', (t) => {
  const world = healthy('abcd');
  const gone = worldMember(world);
  world.expire(gone).step().record(gone, { standing: 'out' }).step();
  t.is(world.group().acting.length, 3);
});

test('next map: a host that reboots leaves insync and recovers', (t) => {
  const world = healthy();
  world.reboot('a').step();
  t.is(world.members, 'aBC');
  t.is(world.group().since, world.map.epoch, "a member's boot id changed");
  t.is(world.group().joined![1], world.map.epoch);
  t.is(world.map.hosts.a!.bootId, 'a2');
  t.is(world.settle().members, 'ABC');
});

test('next map: a host that rebooted comes up only where nobody counts on its copy', (t) => {
  const world = healthy('ab');
  world
    .see('b', { renewedMs: TTL, unchangedMs: TTL / 2 })
    .reboot('a')
    .step();
  t.is(world.map.hosts.a!.up, false);
  t.is(world.members, 'AB');
  world.see('b', { renewedMs: 0 }).step();
  t.is(world.map.hosts.a!.up, true);
  t.is(world.members, 'aB');
});

test('next map: a worker that restarted under the same boot id stays', (t) => {
  const world = healthy();
  const { since } = world.group();
  world.restart('a').step();
  t.is(world.members, 'ABC');
  t.is(world.map.hosts.a!.incarnation, 2);
  t.is(world.group().since, since);
});

test('next map: a host that was down comes up only with a higher incarnation, while it renews, unless thrown out', (t) => {
  const world = healthy();
  world.expire('a').step().see('a', { unchangedMs: 0, renewedMs: 0 }).step();
  t.is(world.map.hosts.a!.up, false);
  world.restart('a').see('a', { renewedMs: null }).step();
  t.is(world.map.hosts.a!.up, false, 'what it wrote before it died is no sign of life');
  world.see('a', { renewedMs: 0, evicted: true }).step();
  t.is(world.map.hosts.a!.up, false);
  world.see('a', { evicted: false }).step();
  t.is(world.map.hosts.a!.up, true);
});

test('next map: a new member is in acting first, in insync only after a report of this very stay', (t) => {
  const world = healthy('ab');
  world.add('c');
  world.step();
  t.is(world.members, 'ABc');
  const joined = world.map.epoch;
  t.is(world.group().since, joined);
  const report: Report = { type: 'in-sync', copies: 3, pg: 0, disk: 3, incarnation: 1, joined };
  for (const wrong of [{ copies: 2 }, { pg: 1 }, { disk: 4 }, { incarnation: 2 }, { joined: joined - 1 }]) {
    t.is(world.step({ ...report, ...wrong }).members, 'ABc', JSON.stringify(wrong));
  }
  world.step(report);
  t.is(world.members, 'ABC');
  t.is(world.group().joined, undefined);
  t.is(world.group().since, joined, 'it received every write before');
});

test('next map: a report of an earlier stay does not count', (t) => {
  const world = healthy();
  world.reboot('a').step();
  const old = world.finished();
  world.reboot('a').step();
  t.is(world.step(...old).members, 'aBC');
});

test('next map: letting go takes two maps', (t) => {
  const world = draining();
  const { leaving, since, acting } = world.group();
  t.alike(leaving, { 1: { epoch: world.map.epoch, incarnation: 1 } });
  t.is(acting.length, 4);
  t.absent(world.group().insync.includes(1), 'out of insync only');
  t.ok(since < world.map.epoch, 'it still receives every write');
  world.see('a', { adopted: world.map.epoch - 1 }).step();
  t.ok(world.group().acting.includes(1), 'not before its heartbeat shows that it adopted the first');
  world.see('a', { adopted: world.map.epoch }).step();
  t.alike([...world.group().acting].sort(), [2, 3, 4]);
  t.is(world.group().since, world.map.epoch);
});

test('next map: one on its way out leaves when it is down', (t) => {
  const world = draining();
  world.expire('a').step();
  t.alike([...world.group().acting].sort(), [2, 3, 4]);
});

test('next map: one on its way out is put back when the last in sync died', (t) => {
  const world = draining();
  for (const id of 'bcd') world.expire(id);
  world.step();
  t.is(world.members, 'A');
  t.is(world.group().lossy, 0);
  t.is(world.group().since, world.map.epoch);
});

test('next map: one on its way out is not put back with another incarnation or boot id', (t) => {
  for (const again of ['restart', 'reboot'] as const) {
    const world = draining();
    for (const id of 'bcd') world.expire(id);
    world[again]('a').step();
    t.alike(world.group().acting, [], again);
    t.alike([...world.group().insync].sort(), [2, 3, 4]);
  }
});

test('next map: moving never lowers the number of copies', (t) => {
  const world = healthy('abc');
  world.record('a', { standing: 'draining' }).step().settle();
  t.is(world.members, 'ABC', 'nobody could take its place');
  world.add('d');
  let fewest = 3;
  for (let step = 0; step < 10; step++) {
    for (const id of 'abcd') world.see(id, { adopted: world.map.epoch });
    world.step(...world.finished());
    fewest = Math.min(fewest, world.group().insync.length);
  }
  t.is(fewest, 3);
  t.is(world.members, 'BCD');
});

test('next map: a bounded number of groups move at a time', (t) => {
  const world = healthy('abc', { pgs: 64, movesMax: 4 });
  world.add('d');
  world.step();
  const moving = () => world.map.tables[3]!.filter((group) => group.joined !== undefined).length;
  t.is(moving(), 4);
  world.step().step();
  t.is(moving(), 4);
  world.settle();
  t.ok(world.map.tables[3]!.some((group) => group.acting.includes(4)));
  t.ok(world.map.tables[3]!.every((group) => group.acting.length === 3 && group.insync.length === 3));
});

test('next map: insync is never emptied: none up, acting is empty and insync whole', (t) => {
  const world = healthy();
  for (const id of 'abc') world.expire(id);
  world.step();
  t.is(world.members, '(A)(B)(C)');
});

test('next map: members that recover leave with the last that is in sync', (t) => {
  const world = healthy('ab');
  world.reboot('b').step().expire('a').step();
  t.is(world.members, '(A)');
});

test("next map: a member with the map's boot id restarts the group at once, alone; others join", (t) => {
  const world = stopped();
  world.reboot('b').step();
  t.alike(world.group().acting, [], 'one that rebooted waits');
  world.restart('a').step();
  t.is(world.members, 'Ab');
  t.is(world.group().since, world.map.epoch);
  t.is(world.group().lossy, 0);
  world.restart('c').step();
  t.is(world.members, 'Abc', 'it joins, though it lost nothing: writes went on without it');
});

test('next map: exactly one restarts it even when all are back', (t) => {
  const world = stopped();
  for (const id of 'abc') world.restart(id);
  world.step();
  t.is(world.group().insync.length, 1);
  t.is(world.group().acting.length, 3);
});

test('next map: of members that rebooted one restarts it when all of insync are back, with lossy', (t) => {
  const world = stopped();
  world.reboot('a').reboot('b').step();
  t.alike(world.group().acting, []);
  world.reboot('c').step();
  t.is(world.group().insync.length, 1);
  t.is(world.group().acting.length, 3);
  t.is(world.group().lossy, world.map.epoch);
});

test('next map: or after 30 s', (t) => {
  const world = stopped();
  const disks = (openMs: number) => ({ disks: { 1: { opens: 1, openMs } } });
  world
    .reboot('a')
    .see('a', disks(30 * SECOND - 1))
    .step();
  t.alike(world.group().acting, []);
  world.see('a', disks(30 * SECOND)).step();
  t.is(world.members, 'A');
  t.is(world.group().lossy, world.map.epoch);
});

test('next map: a group remembers who rebooted while it stood still', (t) => {
  const world = stopped();
  world.reboot('a').step().expire('a').step().restart('a').step();
  t.alike(world.group().acting, [], 'a later restart of its worker brings nothing back');
  t.alike(world.group().rebooted, [1]);
});

test('next map: a disk that failed leaves, and comes back as one that rebooted by the word of its record', (t) => {
  const world = healthy();
  world.step({ type: 'disk-failed', disk: 1, incarnation: 7 });
  t.is(world.members, 'ABC', 'an old report says nothing');
  world.step({ type: 'disk-failed', disk: 1, incarnation: 1 });
  t.is(world.members, 'BC');
  t.is(world.map.disks[1]!.standing, 'failed');
  const failed = { ...world.records[0]!.disks[0]!, standing: 'failed' as const };
  world.record('a', { disks: [failed] }).step();
  t.is(world.members, 'BC');
  world.record('a', { disks: [{ ...failed, standing: 'in' }] }).step();
  t.is(world.members, 'aBC');
});

test('next map: a disk that failed returns as one that rebooted, so first nobody may count on it', (t) => {
  const world = healthy('ab');
  world.see('b', { renewedMs: TTL }).step({ type: 'disk-failed', disk: 1, incarnation: 1 });
  t.is(world.members, 'AB', 'nobody is known to be there who could go on without it');
  const [disk] = world.records[0]!.disks;
  world.record('a', { disks: [{ ...disk!, standing: 'in' }] }).step();
  t.is(world.map.disks[1]!.standing, 'failed', 'the word of the administrator has to wait');
  world.see('b', { renewedMs: 0 }).step();
  t.is(world.members, 'aB', 'it leaves, and joins');
  t.is(world.group().joined![1], world.map.epoch);
});

test('next map: the only copy on a failed disk stays in insync, and has lost its page cache', (t) => {
  const world = healthy('a');
  world.step({ type: 'disk-failed', disk: 1, incarnation: 1 });
  t.is(world.members, '(A)');
  world.step();
  t.is(world.group().lossy, world.map.epoch, 'it restarted as one that rebooted');
});

test('next map: a copy counts as returned only if its host reports that disk open', (t) => {
  const world = stopped();
  world.restart('a').see('a', { disks: {} }).step();
  t.alike(world.group().acting, []);
  t.is(world.map.hosts.a!.up, true);
  world.see('a', { disks: { 1: { opens: 2, openMs: 0 } } }).step();
  t.alike(world.group().acting, [], 'it vanished, so it is as one that rebooted');
});

test('next map: a disk that vanishes leaves, and returns as one that rebooted', (t) => {
  const world = healthy();
  world.see('a', { disks: {} }).step();
  t.is(world.members, 'BC');
  world.see('a', { disks: { 1: { opens: 2, openMs: 0 } } }).step();
  t.is(world.members, 'aBC');
});

test('next map: a disk that was absent before its host died returns as one that rebooted', (t) => {
  const world = healthy('ab');
  // Nobody is known to be there who could go on without it: it stays a member.
  world.see('b', { renewedMs: null }).see('a', { disks: {} }).step();
  t.is(world.members, 'AB');
  world.expire('a').expire('b').step();
  t.is(world.members, '(A)(B)');
  world
    .restart('a')
    .see('a', { disks: { 1: { opens: 2, openMs: 0 } } })
    .step();
  t.alike(world.group().acting, [], 'what it had not synced is lost');
  t.alike(world.group().rebooted, [1]);
});

test('next map: a disk that was opened fewer times than is recorded is never in sync', (t) => {
  const world = stopped();
  const disks = [{ ...world.records[0]!.disks[0]!, opens: 5, openedBy: 2 }];
  world
    .record('a', { disks })
    .restart('a')
    .see('a', { disks: { 1: { opens: 4, openMs: MINUTE } } })
    .step();
  t.is(world.map.disks[1]!.standing, 'failed');
  t.alike(world.group().acting, []);
});

test('next map: a worker that restarts with an old image of its disk serves nothing from it', (t) => {
  const world = healthy();
  const disks = [{ ...world.records[0]!.disks[0]!, opens: 5, openedBy: 2 }];
  world
    .record('a', { disks })
    .restart('a')
    .see('a', { disks: { 1: { opens: 4, openMs: 0 } } })
    .step();
  t.is(world.members, 'BC');
  t.is(world.map.hosts.a!.up, true);
});

test('next map: an old image that was opened once more is one still, until its host has said so', (t) => {
  const world = stopped();
  const disk = world.records[0]!.disks[0]!;
  world
    .record('a', { disks: [{ ...disk, opens: 5, openedBy: 2 }] })
    .restart('a')
    .see('a', { disks: { 1: { opens: 4, openMs: MINUTE } } })
    .step();
  t.is(world.map.disks[1]!.standing, 'failed');
  world.record('a', { disks: [{ ...disk, opens: 6, openedBy: 3 }] }).step();
  t.is(world.map.disks[1]!.standing, 'failed');
  t.alike(world.group().acting, []);
});

test('next map: what an earlier incarnation said of a disk does not condemn it', (t) => {
  const world = healthy();
  const disks = [{ ...world.records[0]!.disks[0]!, opens: 2, openedBy: 2 }];
  world.record('a', { disks }).step();
  t.is(world.members, 'ABC');
});

test('next map: the disks of a host that starts over and over are out, unless nobody else is in sync', (t) => {
  const world = healthy();
  world.see('a', { keptOutMs: 0 }).step();
  t.is(world.members, 'aBC', 'it is up and may be reading, so it goes in two maps');
  world.see('a', { adopted: world.map.epoch }).step();
  t.is(world.members, 'BC');
  t.is(world.map.hosts.a!.up, true);
  world.see('a', { keptOutMs: null }).step();
  t.is(world.members, 'aBC');
  const alone = healthy('a').see('a', { keptOutMs: 0 }).step();
  t.is(alone.members, 'A');
});

test('next map: a forced removal restarts with lossy from the copy that was chosen, only when down for a TTL', (t) => {
  const world = healthy('ab');
  world.reboot('b').step().expire('a').step();
  t.is(world.members, '(A)');
  const only = groupsOnlyOn(world.map, 'a');
  t.alike(only, [{ copies: 3, pg: 0 }]);
  const chosen = only.map((group) => ({ ...group, disk: 2 }));
  const refused = (downMs: number, choice: typeof chosen) => {
    try {
      giveUpHost(world.map, 'a', { downMs, ttlMs: TTL, chosen: choice });
      return null;
    } catch (error) {
      return (error as ForceRemovalError).code;
    }
  };
  t.is(refused(TTL - 1, chosen), 'NOT_DOWN');
  t.is(refused(TTL, []), 'NO_COPY');
  const map = giveUpHost(world.map, 'a', { downMs: TTL, ttlMs: TTL, chosen });
  t.alike(map.tables[3]![0], { acting: [2], insync: [2], since: map.epoch, lossy: map.epoch, forced: map.epoch });
  world.map = map;
  world.record('a', { banned: true }).restart('a').step().settle();
  t.is(world.map.hosts.a!.up, false, 'it is banned for ever');
  t.is(world.members, 'B');
});

test('next map: of two that cannot reach each other the one that more report is thrown out', (t) => {
  const { map } = healthy('abc');
  const report = (host: string, peer: string) => ({ host, incarnation: 1, peer });
  const none = new Set<string>();
  t.is(hostToEvict(map, [report('a', 'c'), report('c', 'a'), report('b', 'c'), report('c', 'b')], none), 'c');
  t.is(hostToEvict(map, [report('a', 'c'), report('c', 'a')], none), 'a', 'in a tie the lower id');
  t.is(hostToEvict(map, [{ ...report('a', 'c'), incarnation: 2 }], none), null);
  t.is(hostToEvict(map, [report('a', 'c'), report('c', 'a')], new Set(['a'])), null, 'one is going already');
});

test('next map: two hosts that cannot reach each other count while both reach the store', (t) => {
  const world = healthy('abc')
    .see('a', { unreachable: ['b', 'c'] })
    .see('c', { unreachable: ['a'] });
  const pairs = () => unreachablePairs(world.seen, TTL).map(({ host, peer }) => host + peer);
  t.alike(pairs(), ['ab', 'ac', 'ca']);
  world.see('c', { renewedMs: TTL / 2 + 1 });
  t.alike(pairs(), ['ab'], 'one that is dead is down soon');
  world.see('a', { renewedMs: null });
  t.alike(pairs(), [], 'what was there when the conductor first looked may be old');
});

test('next map: never the only in-sync member is thrown out', (t) => {
  const world = healthy('ab');
  world.reboot('b').step();
  const report = (host: string, peer: string) => {
    return { host, incarnation: world.map.hosts[host]!.incarnation, peer };
  };
  t.is(hostToEvict(world.map, [report('a', 'b'), report('b', 'a')], new Set()), 'b');
  const alone = healthy('a');
  t.is(hostToEvict(alone.map, [{ host: 'a', incarnation: 1, peer: 'x' }], new Set()), null);
});

test('next map: who was thrown out returns when it reaches all hosts that are up', (t) => {
  const { map } = healthy('abc').expire('a').step();
  const evicted = new Set(['a']);
  t.alike(hostsToReadmit(map, [{ type: 'reaches', host: 'a', peers: ['b'] }], evicted), []);
  t.alike(hostsToReadmit(map, [{ type: 'reaches', host: 'a', peers: ['b', 'c'] }], evicted), ['a']);
});

test('next map: a host that is not alone in its zone has it in the map', (t) => {
  const world = healthy('abc');
  t.is(world.map.hosts.a!.zone, undefined);
  const { epoch } = world.map;
  t.is(world.record('a', { zone: 'rack' }).step().map.hosts.a!.zone, 'rack');
  t.is(world.step().map.epoch, epoch + 1, 'and then nothing changes any more');
  t.is(world.record('a', { zone: 'a' }).step().map.hosts.a!.zone, undefined);
});

test('next map: the map says where room runs short, and a disk without any joins nothing', (t) => {
  const world = healthy('abc');
  const number = world.diskOf('a');
  const say = (room: Room) => world.see('a', { disks: { [number]: { opens: 1, openMs: 0, room } } }).step().map;
  const { since } = world.group();
  t.is(say('scarce').disks[number]!.room, 'scarce');
  t.is(say('none').disks[number]!.room, 'none');
  t.is(world.group().since, since, 'it stays what it is where it is a member');
  world.expire('a').step();
  t.is(world.map.disks[number]!.room, 'none', 'what it said last');
  world.reboot('a').step();
  world.step();
  t.is(world.group().acting.length, 2);
  t.is(say('scarce').disks[number]!.room, 'scarce');
  world.step();
  t.is(world.group().acting.length, 3);
});

test('next map: another disk takes the copy of one that has no room, and gives it back when there is ample', (t) => {
  const world = healthy('abcd');
  const [first] = world.group().acting as [number];
  const spare = [1, 2, 3, 4].find((disk) => !world.group().acting.includes(disk))!;
  const id = String.fromCharCode(96 + first);
  const say = (room: Room) => world.see(id, { disks: { [first]: { opens: 1, openMs: 0, room } } }).step();
  world.expire(id).step();
  say('none');
  world.reboot(id).step().step();
  t.alike([...world.group().acting].sort(), [1, 2, 3, 4].filter((disk) => disk !== first).sort());
  world.settle();
  t.is(world.group().insync.length, 3);
  say('scarce').settle();
  t.ok(world.group().insync.includes(spare), 'a little room calls nothing back');
  say('ample').settle();
  t.absent(world.group().acting.includes(spare));
  t.is(world.group().insync.length, 3);
});

test('next map: one that has no room any more while it joins is not waited for', (t) => {
  const world = healthy('abcd');
  const [first] = world.group().acting as [number];
  const spare = [1, 2, 3, 4].find((disk) => !world.group().acting.includes(disk))!;
  const id = String.fromCharCode(96 + first);
  const say = (room: Room) => world.see(id, { disks: { [first]: { opens: 1, openMs: 0, room } } }).step();
  world.expire(id).step().reboot(id).step();
  t.ok(world.group().joined?.[first]);
  say('none').step();
  t.ok(world.group().joined?.[spare]);
  world.step(...world.finished().filter((report) => report.type === 'in-sync' && report.disk === spare));
  t.is(world.group().insync.length, 3);
  const { epoch } = world.map;
  t.is(world.step().step().map.epoch, epoch, 'and nothing changes any more');
  say('scarce').settle();
  t.ok(world.group().insync.includes(first), 'it goes on when it has room');
  t.is(world.group().acting.length, 3);
});

function worldMember(world: MapWorld): string {
  return String.fromCharCode(96 + world.group().acting[0]!);
}

/** Four hosts, of which `a` gives its data away and was just taken out of insync. */
function draining(): MapWorld {
  const world = healthy('abc');
  world.add('d');
  world.record('a', { standing: 'draining' }).step();
  return world.step(...world.finished()).step();
}

/** Three hosts that all went down with everything in sync. */
function stopped(): MapWorld {
  const world = healthy();
  for (const id of 'abc') world.expire(id);
  return world.step();
}

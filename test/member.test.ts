/** The side of a host that has copies: each test holds one sentence of its rules against scripted events. */
import { test } from 'brittle';
import { DirectChange } from '../lib/replication/direct-change.js';
import { CHAIN, COPIES, MemberScript, mapOf, VDI, write } from './helpers/member-script.js';
import { settle } from './helpers/writer-script.js';

const DATA = Buffer.from('data');

test('a change is carried out, then answered', (t) => {
  const script = new MemberScript(mapOf(1));
  const request = script.change();
  t.is(script.notes, `run ${request}`);
  script.done(request);
  t.is(script.notes, `answer ${request}`);
  t.is(script.member.pending, 0);
});

test('a host stalls requests that it may not answer, it does not fail them', (t) => {
  const script = new MemberScript(mapOf(1));
  script.setRight(false);
  const requests = [script.read(), script.change(), script.flush()];
  t.is(script.notes, '');
  script.setRight(true);
  t.is(script.notes, requests.map((request) => `run ${request}`).join(', '));
});

test('what was carried out is held back until the host may answer again', (t) => {
  const script = new MemberScript(mapOf(1));
  const request = script.read();
  script.right = false;
  script.done(request, DATA);
  t.is(script.notes, `run ${request}`);
  t.is(script.member.pending, 1);
  script.setRight(true);
  t.is(script.notes, `answer ${request}`, 'and is not carried out again');
  t.is(script.outcomes.get(request)!.body, DATA);
});

test('an outcome is refused where another since has come before its answer', (t) => {
  const script = new MemberScript(mapOf(1));
  const [read, change] = [script.read(), script.change({ index: 4 })];
  t.is(script.notes, `run ${read}, run ${change}`);
  script.member.mapAdopted(mapOf(2, [{ since: 2, insync: [1, 2], acting: [1, 2] }]));
  script.done(read);
  script.done(change);
  t.is(script.notes, `refuse ${read} map, refuse ${change} map`);
});

test('an outcome that is held back is refused where the host loses its place meanwhile', (t) => {
  const script = new MemberScript(mapOf(1));
  const read = script.read();
  script.right = false;
  script.done(read, DATA);
  t.is(script.notes, `run ${read}`);
  script.member.mapAdopted(mapOf(2, [{ since: 2, insync: [2, 3], acting: [2, 3] }]));
  t.is(script.notes, `refuse ${read} map`);
});

test('a replica with a newer since refuses, and says which map to fetch', (t) => {
  const script = new MemberScript(mapOf(9, [{ since: 8 }]));
  for (const request of [script.change(), script.read(), script.flush()]) {
    t.alike(script.outcomes.get(request)!.refusal, { reason: 'map', epoch: 9 });
  }
});

test('with an older since, the replica fetches the map first', (t) => {
  for (const type of ['change', 'read', 'flush'] as const) {
    const script = new MemberScript(mapOf(1));
    const request = script[type]({ since: 3 });
    t.is(script.notes, 'fetch map 3', type);
    script.member.mapAdopted(mapOf(3, [{ since: 3 }]));
    t.is(script.notes, `run ${request}`, type);
  }
});

test('a read is answered only if the disk is in insync; a change if it is in acting', (t) => {
  const script = new MemberScript(mapOf(1, [{ insync: [2, 3] }]));
  const [read, change] = [script.read(), script.change()];
  t.is(script.notes, `refuse ${read} map, run ${change}`);
});

test('a change to a disk that is in insync and not in acting is refused', (t) => {
  const script = new MemberScript(mapOf(1, [{ acting: [] }]));
  const change = script.change();
  t.is(script.notes, `refuse ${change} map`);
});

test('a flush carries the highest since of its groups: one whose newest is as high is answered', (t) => {
  const script = new MemberScript(mapOf(6, [{ since: 2 }, { since: 6 }]));
  const flush = script.flush({ pgs: [0, 1], since: 6 });
  t.is(script.notes, `run ${flush}`);
  const older = script.flush({ pgs: [0, 1], since: 5 });
  t.is(script.notes, `refuse ${older} map`);
});

test('a disk that has failed, is absent or not open answers nobody until the map says more', (t) => {
  const map = mapOf(1);
  for (const [what, unfit] of Object.entries({
    failed: { ...map, disks: { ...map.disks, 1: { host: 'a', standing: 'failed' } } } as const,
    absent: { ...map, disks: { ...map.disks, 1: { host: 'a', standing: 'in', absent: true } } } as const,
    closed: map,
  })) {
    const script = new MemberScript(unfit);
    if (what === 'closed') script.disks.clear();
    script.change();
    script.read();
    script.flush();
    script.list();
    t.is(script.notes, '', what);
    t.is(script.member.pending, 4, what);
  }
});

test('of an image whose writer is not known, the writer is fetched first', (t) => {
  const script = new MemberScript(mapOf(1), null);
  const request = script.change();
  t.is(script.notes, 'fetch writer');
  script.knows({});
  t.is(script.notes, `run ${request}`);
});

test('a lower generation is refused, and the higher one is told', (t) => {
  const script = new MemberScript(mapOf(1));
  for (const request of [
    script.change({ generation: 4 }),
    script.read({ generation: 4 }),
    script.flush({ generation: 4 }),
  ]) {
    t.alike(script.outcomes.get(request)!.refusal, { reason: 'generation', generation: 5 });
  }
});

test('whoever writes with a higher generation holds it; a lower one is refused from then on', (t) => {
  const script = new MemberScript(mapOf(1));
  const newer = script.change({ generation: 6 }, { host: 'c' });
  const older = script.change({ index: 4 });
  t.is(script.notes, `run ${newer}, refuse ${older} generation`);
});

test('a read with a higher generation does not tell who holds it: the writer is fetched', (t) => {
  const script = new MemberScript(mapOf(1));
  const read = script.read({ generation: 6 });
  t.is(script.notes, 'fetch writer');
  script.knows({ generation: 6 });
  t.is(script.notes, `run ${read}`);
});

test('an older word of a writer changes nothing', (t) => {
  const script = new MemberScript(mapOf(1));
  script.knows({ generation: 4 });
  const request = script.change({ generation: 4 });
  t.is(script.notes, `refuse ${request} generation`);
});

test('a change that runs when a higher generation comes is refused at its end', (t) => {
  const script = new MemberScript(mapOf(1));
  const change = script.change();
  script.knows({ generation: 6, holder: { host: 'c', incarnation: 1 } });
  script.done(change);
  t.is(script.notes, `run ${change}, refuse ${change} generation`);
});

test('with a new incarnation of the host, generations are fetched anew', (t) => {
  const script = new MemberScript(mapOf(1));
  script.member.forgetWriters();
  script.change();
  t.is(script.notes, 'fetch writer');
});

test('a read that meets an active object while the holder is gone is refused as unequal', (t) => {
  for (const [what, hosts, holder, refused] of [
    ['the holder is up', {}, { host: 'b', incarnation: 1 }, false],
    ['the holder is down', { b: { up: false } }, { host: 'b', incarnation: 1 }, true],
    ['another incarnation of it is up', { b: { incarnation: 2 } }, { host: 'b', incarnation: 1 }, true],
    ['nobody holds it', {}, null, true],
  ] as const) {
    const script = new MemberScript(mapOf(1, [{}], hosts), { holder });
    script.active.add(0);
    const [active, retired] = [script.read(), script.read({ index: 4 })];
    t.is(script.notes, `${refused ? `refuse ${active} unequal` : `run ${active}`}, run ${retired}`, what);
  }
});

test('what waits for running changes waits for those of an own writer that were not received', async (t) => {
  const script = new MemberScript(mapOf(1));
  const object = { family: 1, layer: 1, index: 0, pg: 0, sequence: 0, outstanding: 1, touched: 0, unequal: false };
  const target = { vdi: VDI, copies: COPIES, pg: 0, disk: 1, since: 1, chain: CHAIN, index: 0, object };
  const change = new DirectChange(target, 5, 1, 0, Buffer.alloc(512));
  t.is(script.member.mayWrite(VDI, 5, 1, CHAIN.family, 0), true);
  script.member.began(change);
  const [fence, list, description] = [script.fence(), script.list(), script.describe()];
  t.is(script.notes, '');
  let isHeld = false;
  const held = script.member.hold(mapOf(2, [{ since: 2 }])).then(() => {
    isHeld = true;
  });
  await settle();
  t.is(isHeld, false);
  t.is(script.member.mayWrite(VDI, 5, 1, CHAIN.family, 0), false, 'none is begun before the map is adopted');
  script.member.ended(change);
  await held;
  t.is(script.notes, `run ${fence}, run ${list}, run ${description}`);
});

test('an own writer writes by itself only where nobody knows a higher generation, and to no index in use', (t) => {
  const script = new MemberScript(mapOf(1), null);
  const mayWrite = (index: number) => script.member.mayWrite(VDI, 5, 1, CHAIN.family, index);
  t.is(mayWrite(0), false, 'the writer is not known');
  script.knows({});
  script.change();
  t.is(mayWrite(0), false, 'it is being changed');
  t.is(mayWrite(1), true);
  script.knows({ generation: 6 });
  t.is(mayWrite(1), false, 'the role was lost');
});

test('a look at several groups is answered as a read of each of them would be', (t) => {
  const script = new MemberScript(mapOf(3, [{}, { since: 2 }, { insync: [2, 3] }, { insync: [1, 2], acting: [] }]));
  script.next({ pgs: [0, 1], since: 1 });
  t.is(script.notes, 'refuse 1 map', 'the second has changed since');
  const found = script.next({ pgs: [0, 1], since: 2 });
  t.is(script.notes, `run ${found}`);
  script.done(found, [7]);
  t.is(script.notes, `answer ${found}`);
  for (const pg of [2, 3]) {
    const refused = script.next({ pgs: [0, pg], since: 2 });
    t.is(script.notes, `refuse ${refused} map`, `disk 1 is no source of group ${pg}`);
  }
  script.next({ since: 4 });
  t.is(script.notes, 'fetch map 4');
});

test('a look at several groups is refused as unequal for an active object of one of them', (t) => {
  const script = new MemberScript(mapOf(1, [{}], { b: { up: false } }));
  script.active.add(1);
  const [clean, unequal] = [script.next({ pgs: [0, 2] }), script.next({ pgs: [0, 1] })];
  t.is(script.notes, `run ${clean}, refuse ${unequal} unequal`);
});

test('a look with a lower generation is refused, with a higher one the writer is fetched', (t) => {
  const script = new MemberScript(mapOf(1));
  const lower = script.next({ generation: 4 });
  t.is(script.notes, `refuse ${lower} generation`);
  script.next({ generation: 6 });
  t.is(script.notes, 'fetch writer');
});

test('whoever looks at a disk that fails meanwhile is told to look elsewhere', (t) => {
  const script = new MemberScript(mapOf(1));
  const [read, next] = [script.read(), script.next()];
  t.is(script.notes, `run ${read}, run ${next}`);
  script.member.diskFailed(1);
  t.is(script.notes, `refuse ${read} changed, refuse ${next} changed`);
});

test('a read that runs when the holder goes is refused at its end, where its object is active', (t) => {
  const script = new MemberScript(mapOf(1));
  script.active.add(0);
  const read = script.read();
  script.member.mapAdopted(mapOf(2, [{}], { b: { up: false } }));
  script.done(read);
  t.is(script.notes, `run ${read}, refuse ${read} unequal`);
});

test('what nobody holds that was handed over clean is read as it is', (t) => {
  const script = new MemberScript(mapOf(1), { holder: null, clean: true });
  script.active.add(0);
  t.is(script.read(), 1);
  t.is(script.notes, 'run 1');
});

test('any write, discard or hole for an index on the to-do list pulls it first', (t) => {
  for (const change of [
    write(0, 512),
    { kind: 'discard', offset: 0, length: 512 },
    { kind: 'cut', length: 0 },
  ] as const) {
    const script = new MemberScript(mapOf(1));
    script.toDo.add(0);
    const request = script.change({ change });
    t.is(script.notes, 'pull 0', change.kind);
    script.pulled(0);
    t.is(script.notes, `run ${request}`, change.kind);
  }
});

test('an index is pulled once, however many changes wait for it; others go on', (t) => {
  const script = new MemberScript(mapOf(1));
  script.toDo.add(0);
  const [first, second] = [script.change(), script.change({ change: write(512, 512) })];
  const other = script.change({ index: 4 });
  t.is(script.notes, `pull 0, run ${other}`);
  script.pulled(0);
  t.is(script.notes, `run ${first}, run ${second}`);
});

test('an index that is still on the list when its pull ends is pulled again', (t) => {
  const script = new MemberScript(mapOf(1));
  script.toDo.add(0);
  script.change();
  script.member.pulled(1, CHAIN.family, 0);
  t.is(script.notes, 'pull 0, pull 0');
});

test('changes that overlap are carried out in the order of their arrival, others together', (t) => {
  const script = new MemberScript(mapOf(1));
  const first = script.change({ change: write(0, 1024) });
  const overlapping = script.change({ change: write(512, 1024) });
  const behind = script.change({ change: write(1024, 512) });
  const apart = script.change({ change: write(4096, 512) });
  t.is(script.notes, `run ${first}, run ${apart}`);
  script.done(first);
  t.is(script.notes, `answer ${first}, run ${overlapping}`);
  script.done(overlapping);
  t.is(script.notes, `answer ${overlapping}, run ${behind}`);
});

test('a cut, an allocation and an equalizing overlap with every change of their index', (t) => {
  for (const change of [
    { kind: 'cut', length: 512 },
    { kind: 'allocate', end: 512 },
    { kind: 'inspect', layer: 1, blocks: null },
    {
      ...({ kind: 'equal', eras: [], layer: 1, shape: { kind: 'nothing' } } as const),
      ...{ within: { offset: 0, length: 512 }, blocks: [] },
    },
  ] as const) {
    const script = new MemberScript(mapOf(1));
    const first = script.change({ change: write(65536, 512) });
    const whole = script.change({ change });
    const after = script.change({ change: write(0, 512) });
    t.is(script.notes, `run ${first}`, change.kind);
    script.done(first);
    t.is(script.notes, `answer ${first}, run ${whole}`, change.kind);
    script.done(whole);
    t.is(script.notes, `answer ${whole}, run ${after}`, change.kind);
  }
});

test('a change that is sent again under a new since waits for what came before it', (t) => {
  const script = new MemberScript(mapOf(1));
  const first = script.change();
  script.member.mapAdopted(mapOf(2, [{ since: 2 }]));
  const again = script.change({ since: 2 });
  t.is(script.notes, `run ${first}`);
  script.done(first);
  t.is(script.notes, `refuse ${first} map, run ${again}`);
});

test('a fence is answered behind the changes of the image that were accepted', (t) => {
  const script = new MemberScript(mapOf(1));
  script.member.writerKnown(8, { generation: 1, holder: { host: 'b', incarnation: 1 }, clean: false });
  const [change, waiting] = [script.change(), script.change()];
  const other = script.change({ vdi: 8, index: 4, generation: 1 });
  const fence = script.fence();
  t.is(script.notes, `run ${change}, run ${other}`);
  script.done(change);
  t.is(script.notes, `refuse ${change} generation, refuse ${waiting} generation, run ${fence}`);
  script.done(fence);
  t.is(script.notes, `answer ${fence}`, "another image's change is not waited for");
});

test('who reads an image whose writer is no more on record is sent to find out', (t) => {
  const script = new MemberScript(mapOf(1));
  const read = script.read({ generation: 6 });
  t.is(script.notes, 'fetch writer');
  script.member.writerKnown(VDI, null);
  t.is(script.notes, `fetch writer, refuse ${read} generation`);
  t.alike(script.outcomes.get(read)?.refusal, { reason: 'generation', generation: 7 });

  const late = script.read({ generation: 5 });
  t.is(script.notes, `fetch writer, refuse ${late} generation`, 'perhaps there is one by now');
  script.knows({ generation: 6 });
  const again = script.read({ generation: 6 });
  t.is(script.notes, `run ${again}`);
});

test('a fence is never refused for its epoch: the older side fetches the map, then answers', (t) => {
  const newer = new MemberScript(mapOf(9, [{ since: 9 }]));
  const fence = newer.fence({ epoch: 1 });
  t.is(newer.notes, `run ${fence}`);
  const older = new MemberScript(mapOf(1));
  const again = older.fence({ epoch: 3 });
  t.is(older.notes, 'fetch map 3');
  older.member.mapAdopted(mapOf(3));
  t.is(older.notes, `run ${again}`);
});

test('a fence of an older generation is refused; one of an unknown image is answered', (t) => {
  const script = new MemberScript(mapOf(1));
  const older = script.fence({ generation: 4 });
  const unknown = script.fence({ vdi: 8, generation: 1 });
  t.is(script.notes, `refuse ${older} generation, run ${unknown}`);
});

test('a host answers fences while it may not answer reads and writes', (t) => {
  const script = new MemberScript(mapOf(1));
  script.setRight(false);
  const fence = script.fence();
  script.done(fence);
  t.is(script.notes, `run ${fence}, answer ${fence}`);
});

test("a host answers another's fence while its own is under way: the higher generation stays", (t) => {
  const script = new MemberScript(mapOf(1));
  const [own, others] = [script.fence({ generation: 6 }, { host: 'a', session: 0 }), script.fence({ generation: 7 })];
  t.is(script.notes, `run ${own}, run ${others}`);
  script.done(own);
  script.done(others);
  t.is(script.notes, `refuse ${own} generation, answer ${others}`);
});

test('a list is answered behind the changes of its group that were accepted', (t) => {
  const script = new MemberScript(mapOf(1));
  const [change, apart] = [script.change(), script.change({ pg: 1, index: 1 })];
  const list = script.list();
  t.is(script.notes, `run ${change}, run ${apart}`);
  script.done(change);
  t.is(script.notes, `answer ${change}, run ${list}`);
});

test('a description is made behind the changes of its index that were accepted', (t) => {
  const script = new MemberScript(mapOf(1));
  const [change, apart] = [script.change(), script.change({ index: 4 })];
  const describe = script.describe();
  t.is(script.notes, `run ${change}, run ${apart}`);
  script.done(change);
  t.is(script.notes, `answer ${change}, run ${describe}`);
});

test("whoever is asked for its list adopts the asker's map first; if its own is newer, the asker asks again", (t) => {
  const script = new MemberScript(mapOf(4, [{ since: 4 }]));
  const [newer, older] = [script.list({ epoch: 5 }), script.list({ epoch: 3 })];
  t.is(script.notes, `fetch map 5, refuse ${older} map`);
  script.member.mapAdopted(mapOf(5, [{ since: 4 }]));
  t.is(script.notes, `run ${newer}`);
});

test('only in-sync members may be recovered from', (t) => {
  const script = new MemberScript(mapOf(1, [{ insync: [2, 3] }]));
  const [list, describe] = [script.list(), script.describe()];
  t.is(script.notes, `refuse ${list} map, refuse ${describe} map`);
});

test('nobody recovers from a host that may not answer', (t) => {
  const script = new MemberScript(mapOf(1));
  script.setRight(false);
  const [list, describe] = [script.list(), script.describe()];
  t.is(script.notes, '');
  script.setRight(true);
  t.is(script.notes, `run ${list}, run ${describe}`);
  script.right = false;
  script.done(list);
  t.is(script.notes, '');
});

test('a retirement of an older epoch or generation is refused', (t) => {
  const script = new MemberScript(mapOf(3, [{ since: 3 }]));
  const retire = script.retire({ epoch: 3 });
  script.done(retire);
  t.is(script.notes, `run ${retire}, answer ${retire}`);
  const [older, lower] = [script.retire({ epoch: 2 }), script.retire({ epoch: 3, generation: 4 })];
  t.is(script.notes, `refuse ${older} map, refuse ${lower} generation`);
  script.disks.clear();
  const closed = script.retire({ epoch: 3 });
  t.is(script.notes, `refuse ${closed} map`, 'and one for a disk that is not open');
});

test('a late message of a session that is closed is dropped', (t) => {
  const script = new MemberScript(mapOf(1));
  script.member.sessionOpened('b', 2);
  script.change({}, { session: 1 });
  t.is(script.notes, '');
  t.is(script.member.pending, 0);
});

test('what came by an older session and was not begun is dropped with it', (t) => {
  const script = new MemberScript(mapOf(1));
  script.setRight(false);
  script.change();
  const kept = script.change({ index: 4 }, { host: 'c' });
  script.member.sessionOpened('b', 2);
  t.is(script.member.pending, 1);
  script.setRight(true);
  t.is(script.notes, `run ${kept}`, "another host's is not touched");
});

test('what came by older sessions ends before the first request of a new one', (t) => {
  const script = new MemberScript(mapOf(1));
  const [first, second] = [script.change(), script.change({ index: 4 })];
  script.member.sessionOpened('b', 2);
  const fresh = script.change({ index: 8 }, { session: 2 });
  t.is(script.notes, `run ${first}, run ${second}`);
  script.done(first);
  t.is(script.notes, '', 'and is not answered');
  script.done(second);
  t.is(script.notes, `run ${fresh}`);
  script.done(fresh);
  t.is(script.notes, `answer ${fresh} by 2`);
});

test('what is left of several sessions ends before the first request of the newest', (t) => {
  const script = new MemberScript(mapOf(1));
  const first = script.change();
  script.member.sessionOpened('b', 2);
  script.change({ index: 4 }, { session: 2 });
  script.member.sessionOpened('b', 3);
  const fresh = script.change({ index: 8 }, { session: 3 });
  t.is(script.notes, `run ${first}`);
  script.done(first);
  t.is(script.notes, `run ${fresh}`);
});

test('a disk that failed holds nobody up: neither what overlaps, nor a fence, nor a newer session', (t) => {
  const script = new MemberScript(mapOf(1));
  const [change, list] = [script.change(), script.list({ pg: 1 })];
  script.member.sessionOpened('b', 2);
  const [fence, fresh] = [script.fence(), script.change({ index: 4, generation: 6 }, { session: 2 })];
  t.is(script.notes, `run ${change}, run ${list}`);
  const tickets = [change, list].map((request) => script.running.get(request)!);
  script.member.diskFailed(1);
  t.is(script.notes, `run ${fence}, run ${fresh}, refuse ${list} changed`);
  for (const ticket of tickets) script.member.executed(ticket, {});
  t.is(script.notes, '', "what comes of it later is nobody's");
});

test('before a map is adopted, changes of the groups that it changes end, and none is begun', async (t) => {
  const script = new MemberScript(mapOf(1));
  const [change, other] = [script.change(), script.change({ pg: 1, index: 1 })];
  let drained = false;
  const next = mapOf(2, [{ since: 2 }]);
  const holding = script.member.hold(next).then(() => {
    drained = true;
  });
  const [late, free] = [script.change({ index: 4 }), script.change({ pg: 1, index: 5 })];
  t.is(script.notes, `run ${change}, run ${other}, run ${free}`);
  await Promise.resolve();
  t.absent(drained);
  script.done(change);
  await holding;
  t.is(script.notes, `answer ${change}`);
  script.member.mapAdopted(next);
  t.is(script.notes, `refuse ${late} map`);
});

test('a request of which a disk that failed told nothing is never answered, and holds nothing up', (t) => {
  const script = new MemberScript(mapOf(1));
  const [lost, behind] = [script.change(), script.change()];
  t.is(script.notes, `run ${lost}`);
  script.member.abandoned(script.running.get(lost)!);
  t.is(script.notes, `run ${behind}`);
  t.absent(script.outcomes.has(lost));
});

test('what overlaps an outcome that is held back goes on as soon as that is answered', (t) => {
  const script = new MemberScript(mapOf(1));
  const [first, second] = [script.change(), script.change()];
  script.right = false;
  script.done(first);
  t.is(script.notes, `run ${first}`);
  script.setRight(true);
  t.is(script.notes, `answer ${first}, run ${second}`);
});

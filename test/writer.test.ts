/** The holder of a writer role: each test holds one sentence of its rules against members that answer by hand. */
import { test } from 'brittle';
import type { MapGroup } from '../lib/cluster/cluster-map.js';
import { ACTIVE_OBJECTS_HIGH, ACTIVE_OBJECTS_MAX, CHANGES_MAX } from '../lib/replication/writer.js';
import { CHAIN, mapOf, write } from './helpers/member-script.js';
import { Settled, settle, WriterScript } from './helpers/writer-script.js';

/** One group, which every index of these tests that is a multiple of 4 belongs to. */
function group(epoch: number, fields: Partial<MapGroup>) {
  return mapOf(epoch, [{ since: epoch, ...fields }]);
}

test('a write goes to all of acting, in sync or not, with since, generation and sequence', (t) => {
  const script = new WriterScript(group(4, { acting: [1, 2, 4], insync: [1] }));
  script.change(0);
  script.change(4);
  t.is(script.notes, 'change 0 to 1, change 0 to 2, change 0 to 4, change 4 to 1, change 4 to 2, change 4 to 4');
  t.alike(
    script.changes.map(({ since, generation, sequence }) => [since, generation, sequence]),
    [0, 0, 0, 1, 1, 1].map((sequence) => [4, 5, sequence]),
  );
});

test('a write is done when every member of acting has answered', async (t) => {
  const script = new WriterScript(mapOf(1));
  const change = script.change(0);
  await script.answer(1);
  await script.answer(3);
  t.ok(change.isPending);
  await script.answer(2);
  t.alike([...(await change.promise)!.keys()].sort(), [1, 2, 3]);
});

test('after a change of since a write goes again to all of the new acting, and only answers to that count', async (t) => {
  const script = new WriterScript(mapOf(1));
  const change = script.change(0);
  await script.answer(1);
  const old = script.sent.splice(0);
  t.is(script.notes, 'change 0 to 1, change 0 to 2, change 0 to 3');
  script.writer.mapAdopted(group(2, { acting: [1, 2, 4], insync: [1, 2] }));
  t.is(script.notes, 'change 0 to 1, change 0 to 2, change 0 to 4');
  t.alike(
    script.changes.map(({ since, sequence }) => [since, sequence]),
    [1, 2, 4].map(() => [2, 0]),
    'with the sequence that it had',
  );
  for (const request of old) script.reply(request);
  await script.answer(1);
  await script.answer(4);
  t.ok(change.isPending, 'the answer of disk 2 was given under the old since');
  await script.answer(2);
  t.alike([...(await change.promise)!.keys()].sort(), [1, 2, 4]);
});

test('a map that changes other groups sends nothing again', (t) => {
  const script = new WriterScript(mapOf(1));
  script.change(0);
  script.flush();
  script.sent.length = 0;
  script.writer.mapAdopted(mapOf(2, [{}, { since: 2 }]));
  t.alike(script.sent, []);
});

test('a member that does not answer holds the write up until it is out of the map', async (t) => {
  const script = new WriterScript(mapOf(1));
  const change = script.change(0);
  await script.answer(1);
  await script.answer(2);
  t.ok(change.isPending);
  script.writer.mapAdopted(group(2, { acting: [1, 2], insync: [1, 2] }));
  await script.answer(1);
  await script.answer(2);
  t.absent(change.isPending);
});

test('what a member has not answered goes again to it by a new session, as the request that it was', async (t) => {
  const script = new WriterScript(mapOf(1));
  const change = script.change(0);
  const before = script.changes.find(({ disk }) => disk === 2)!;
  await script.answer(1);
  t.is(script.notes, 'change 0 to 1, change 0 to 2, change 0 to 3');
  script.writer.linkOpened('a');
  t.is(script.notes, '', 'it has answered all');
  script.writer.linkOpened('b');
  t.is(script.notes, 'change 0 to 2');
  t.is(script.sent.at(-1), before);
  await script.answer();
  t.absent(change.isPending);
});

test('a flush and a retirement go again by a new session too, until they are answered', async (t) => {
  const script = new WriterScript(mapOf(1));
  await script.changed(0);
  await script.flushed();
  script.writer.retire();
  await script.changed(4);
  script.flush();
  t.ok(script.notes);
  script.writer.linkOpened('b');
  t.is(script.notes, 'retire 0 at 2, flush 0 of 2 since 1');
  for (const request of script.sent.filter(({ disk }) => disk === 2)) script.reply(request);
  script.writer.linkOpened('b');
  t.is(script.notes, '');
});

test('with nobody in acting a write stalls; it goes on when the group restarts', async (t) => {
  const script = new WriterScript(group(2, { acting: [] }));
  const [change, flush] = [script.change(0), script.flush()];
  await settle();
  t.is(script.notes, '');
  t.ok(change.isPending && flush.isPending);
  script.writer.mapAdopted(group(3, { acting: [2], insync: [2] }));
  t.is(script.notes, 'change 0 to 2, flush 0 of 2 since 3');
  await script.answer();
  t.absent(change.isPending || flush.isPending);
});

test('after a fence no flush ends before every group of which nothing was heard has restarted, or is flushed', async (t) => {
  const stopped = mapOf(2, [{}, {}, { since: 2, acting: [] }]);
  t.is(await new WriterScript(stopped).flush().promise, true, 'what was given clean has nothing there');
  const script = new WriterScript(stopped, [2]);
  const flush = script.flush();
  await settle();
  t.ok(flush.isPending);
  t.alike(script.writer.unflushed, { epoch: 2, pgs: [2] });
  script.writer.mapAdopted(mapOf(3, [{}, {}, { since: 3, acting: [2], insync: [2] }]));
  await script.answer();
  t.is(flush.value, true);
});

test('a write under way stalls when its group stops, whoever had answered', async (t) => {
  const script = new WriterScript(mapOf(1));
  const change = script.change(0);
  await script.answer(1);
  await script.answer(2);
  const [last] = script.sent;
  script.writer.mapAdopted(group(2, { acting: [] }));
  script.reply(last!);
  await settle();
  t.ok(change.isPending);
  script.writer.mapAdopted(group(3, { acting: [3], insync: [3] }));
  await script.answer(3);
  t.absent(change.isPending);
});

test('a refusal for the map fetches it; one for the generation ends the role', async (t) => {
  const script = new WriterScript(mapOf(1));
  const change = script.change(0);
  t.ok(script.notes);
  script.reply(script.sent[0]!, { reason: 'map', epoch: 3 });
  t.is(script.notes, 'fetch map 3');
  script.reply(script.sent[1]!, { reason: 'generation', generation: 6 });
  t.is(script.notes, 'fenced 6');
  await settle();
  t.ok(change.isPending, 'nothing is acknowledged around a refusal');
});

test('done is the sequence below which every write was answered by all of acting', async (t) => {
  const script = new WriterScript(mapOf(1));
  t.is(script.writer.done, 0);
  const [first, second] = [script.change(0), script.change(4)];
  for (const request of script.changes.filter(({ index }) => index === 4)) script.reply(request);
  await second.promise;
  t.is(script.writer.done, 0, 'the first is not done');
  t.ok(first.isPending);
  for (const request of script.changes.filter(({ index }) => index === 0)) script.reply(request);
  t.is(script.writer.done, 2);
  script.change(8);
  t.is(script.changes.at(-1)!.done, 2, 'each write carries it');
});

test('a write that goes again under a new since counts as not done', async (t) => {
  const script = new WriterScript(mapOf(1));
  script.change(0);
  await script.answer(1);
  await script.answer(2);
  script.writer.mapAdopted(group(2, {}));
  t.is(script.writer.done, 0);
  await script.answer();
  t.is(script.writer.done, 1);
});

test('a flush asks each disk once, for its groups that were written, with the highest since of them', async (t) => {
  const script = new WriterScript(mapOf(6, [{ since: 2 }, { since: 6, acting: [1, 4], insync: [1] }, { since: 3 }]));
  await script.changed(0);
  await script.changed(1);
  t.ok(script.notes);
  script.flush();
  t.is(script.notes, 'flush 0,1 of 1 since 6, flush 0 of 2 since 2, flush 0 of 3 since 2, flush 1 of 4 since 6');
});

test('a flush is done when every disk of every group has answered', async (t) => {
  const script = new WriterScript(mapOf(1, [{}, { acting: [1, 4], insync: [1] }]));
  await script.changed(0);
  await script.changed(1);
  const flush = script.flush();
  for (const disk of [1, 2, 3]) await script.answer(disk);
  t.ok(flush.isPending);
  await script.answer(4);
  t.is(flush.value, true);
});

test('a flush of what is flushed asks nobody; a write makes the next one ask again', async (t) => {
  const script = new WriterScript(mapOf(1));
  await script.changed(0);
  await script.flushed();
  t.ok(script.notes);
  t.is(await script.flush().promise, true);
  t.is(script.notes, '');
  await script.changed(0);
  script.flush();
  t.ok(script.notes.endsWith('flush 0 of 1 since 1, flush 0 of 2 since 1, flush 0 of 3 since 1'));
});

test('a write that is done while a flush is under way is for the next flush', async (t) => {
  const script = new WriterScript(mapOf(1));
  await script.changed(0);
  const flush = script.flush();
  await script.changed(4);
  await script.answer(null, 'flush');
  t.is(flush.value, true);
  t.ok(script.notes);
  script.flush();
  t.ok(script.notes.startsWith('flush 0 of 1'));
});

test('a write that was sent before a flush and is done after it is for the next flush', async (t) => {
  const script = new WriterScript(mapOf(1));
  const change = script.change(0);
  const flush = script.flush();
  await script.answer(null, 'flush');
  t.is(flush.value, true, 'it waits for what was acknowledged only');
  await script.answer();
  t.absent(change.isPending);
  t.ok(script.notes);
  script.flush();
  t.ok(script.notes.startsWith('flush 0 of 1'));
});

test('only groups whose since changed repeat a flush', async (t) => {
  const script = new WriterScript(mapOf(1));
  await script.changed(0);
  await script.changed(1);
  const flush = script.flush();
  t.ok(script.notes);
  script.writer.mapAdopted(mapOf(2, [{ since: 2, acting: [1, 2], insync: [1, 2] }]));
  t.is(script.notes, 'flush 0 of 1 since 2, flush 0 of 2 since 2');
  for (const request of script.flushes.filter(({ since }) => since === 1)) script.reply(request);
  await settle();
  t.ok(flush.isPending, 'the older answers say nothing of the group that changed');
  await script.answer();
  t.is(flush.value, true);
});

test('a flush that is refused for one of its groups asks for all of them again', async (t) => {
  for (const isMapFirst of [false, true]) {
    const script = new WriterScript(mapOf(1));
    await script.changed(0);
    await script.changed(1);
    const flush = script.flush();
    const asked = script.flushes.find(({ disk }) => disk === 2)!;
    script.sent.splice(script.sent.indexOf(asked), 1);
    const refuse = () => script.reply(asked, { reason: 'map', epoch: 2 });
    const adopt = () => script.writer.mapAdopted(mapOf(2, [{ since: 2 }]));
    for (const step of isMapFirst ? [adopt, refuse] : [refuse, adopt]) step();
    await script.answer();
    await script.answer();
    t.is(flush.value, true, isMapFirst ? 'the map came first' : 'the refusal came first');
  }
});

test('a new member of a group that was flushed has to flush too', async (t) => {
  const script = new WriterScript(mapOf(1));
  await script.changed(0);
  await script.flushed();
  t.ok(script.notes);
  script.writer.mapAdopted(group(2, { acting: [1, 2, 4], insync: [1, 2] }));
  script.flush();
  t.is(script.notes, 'flush 0 of 1 since 2, flush 0 of 2 since 2, flush 0 of 4 since 2');
});

test('an object is retired at all of acting when a flush that began after its last write has ended', async (t) => {
  const script = new WriterScript(mapOf(3));
  await script.changed(0);
  await script.changed(0);
  script.writer.retire();
  t.absent(script.notes.includes('retire'), 'not before a flush');
  await script.flushed();
  t.ok(script.notes);
  script.writer.retire();
  t.is(script.notes, 'retire 0 at 1, retire 0 at 2, retire 0 at 3');
  const [{ epoch, generation, objects }] = script.retirements as [never];
  t.alike([epoch, generation], [3, 5]);
  t.alike(objects, [{ family: 1, pg: 0, index: 0, layer: 1, sequence: 1 }], 'up to the last write');
  script.writer.retire();
  t.is(script.notes, '', 'once');
});

test('an object is not retired when a write to it was sent, or was unanswered, since the flush began', async (t) => {
  const unanswered = new WriterScript(mapOf(1));
  unanswered.change(0);
  await unanswered.flushed();
  await unanswered.answer();
  unanswered.writer.retire();
  t.alike(unanswered.retirements, [], 'unanswered');
  const sent = new WriterScript(mapOf(1));
  await sent.changed(0);
  const flush = sent.flush();
  await sent.changed(0);
  await sent.answer(null, 'flush');
  t.is(flush.value, true);
  sent.writer.retire();
  t.alike(sent.retirements, [], 'sent');
});

test('objects that were written to lately are left for another time', async (t) => {
  const script = new WriterScript(mapOf(1));
  await script.changed(0);
  await script.changed(4);
  const { sequence } = script.writer;
  await script.changed(4);
  await script.flushed();
  t.ok(script.notes);
  t.is(script.writer.retire(sequence), true, 'there is one left');
  t.alike(script.notes, 'retire 0 at 1, retire 0 at 2, retire 0 at 3');
  t.is(script.writer.retire(script.writer.sequence), false);
  t.alike(script.notes, 'retire 4 at 1, retire 4 at 2, retire 4 at 3');
});

test('a flush that all of acting answered under an older since retires nothing', async (t) => {
  const script = new WriterScript(mapOf(1));
  await script.changed(0);
  await script.flushed();
  script.writer.mapAdopted(group(2, {}));
  script.writer.retire();
  t.alike(script.retirements, []);
  await script.flushed();
  script.writer.retire();
  t.is(script.retirements.length, 3);
});

test('objects are retired in batches, each at the disks of its group', async (t) => {
  const script = new WriterScript(mapOf(1, [{}, { acting: [4], insync: [4] }]));
  for (let at = 0; at < 300; at++) await script.changed(at * 4);
  await script.changed(1);
  await script.flushed();
  script.writer.retire();
  const at = (disk: number) =>
    script.retirements.filter((each) => each.disk === disk).map(({ objects }) => objects.length);
  t.alike(at(1), [256, 44]);
  t.alike(at(4), [1]);
});

test('from three quarters of the bound on, objects are flushed and retired', async (t) => {
  const script = new WriterScript(mapOf(1));
  for (let at = 0; at < ACTIVE_OBJECTS_HIGH - 1; at++) await script.changed(at * 4);
  t.is(script.flushes.length, 0);
  const last = script.change((ACTIVE_OBJECTS_HIGH - 1) * 4);
  t.is(script.flushes.length, 3);
  await script.answer();
  t.absent(last.isPending);
  await settle();
  t.is(retired(script, 1), ACTIVE_OBJECTS_HIGH - 1, 'all but what was under way when the flush began');
});

test('a write that would make one object more than the bound waits until others are retired', async (t) => {
  const script = new WriterScript(mapOf(1));
  const count = await fill(script, ACTIVE_OBJECTS_MAX);
  const [one, more, known] = [script.change(count * 4), script.change(count * 4 + 4), script.change(0)];
  t.alike(changed(script, 1), [0], 'a write to one that is active does not wait');
  await script.answer(null, 'change');
  t.absent(known.isPending);
  t.ok(one.isPending && more.isPending);
  await script.answer(null, 'flush');
  await script.answer(null, 'flush');
  t.ok(retired(script, 1) > 0);
  t.alike(changed(script, 1), [count * 4, count * 4 + 4], 'in their order');
  await script.answer(null, 'change');
  t.absent(one.isPending || more.isPending);
});

test('what a fence found is retired as of older generations, when it was made equal and flushed after that', async (t) => {
  const script = new WriterScript(mapOf(1));
  script.writer.inherit(1, 1, 8, true);
  t.absent(script.writer.isClean);
  await script.flushed();
  script.writer.retire();
  t.alike(script.retirements, [], 'flushed, and not equal');
  script.writer.equalized(1, 8);
  script.writer.retire();
  t.alike(script.retirements, [], 'equal, and not flushed since');
  await script.flushed();
  script.writer.retire();
  t.alike(script.retirements[0]?.objects, [{ family: 1, pg: 0, index: 8, layer: 1, sequence: -1 }]);
  script.heard();
  t.ok(script.writer.isClean);
});

test('a write waits for its index to be equal, and what is retired then covers it', async (t) => {
  const script = new WriterScript(mapOf(1));
  script.writer.inherit(1, 1, 8, true);
  script.writer.inherit(1, 2, 8, true);
  const held = script.change(8);
  await script.changed(4);
  t.is(script.notes, 'change 4 to 1, change 4 to 2, change 4 to 3');
  script.writer.equalized(2, 8);
  t.is(script.notes, '', 'its other layer is not equal yet');
  script.writer.equalized(1, 8);
  t.is(script.notes, 'change 8 to 1, change 8 to 2, change 8 to 3');
  await script.answer(null, 'change');
  t.absent(held.isPending);
  await script.flushed();
  script.writer.retire();
  t.is(script.retirements[0]?.objects.find(({ layer, index }) => layer === 1 && index === 8)?.sequence, 1);
});

test('what turns out not to be equal waits for what is being written there', async (t) => {
  const script = new WriterScript(mapOf(1));
  const [other, written] = [script.change(4), script.change(8)];
  script.writer.inherit(1, 1, 8, true);
  let isIdle = false;
  void script.writer.idle(8).then(() => {
    isIdle = true;
  });
  const requests = script.sent.splice(0);
  for (const request of requests) if ('index' in request && request.index === 4) script.reply(request);
  await other.promise;
  t.absent(isIdle);
  for (const request of requests) if ('index' in request && request.index === 8) script.reply(request);
  await written.promise;
  await Promise.resolve();
  t.ok(isIdle);
});

test('what a fence found that is equal, and may not be on disk, is retired by the next flush', async (t) => {
  const script = new WriterScript(mapOf(1));
  script.writer.inherit(1, 1, 8, false);
  t.absent(script.writer.isClean);
  const write = script.change(8);
  t.is(script.notes, 'change 8 to 1, change 8 to 2, change 8 to 3', 'nothing waits for it');
  await script.answer(null, 'change');
  t.absent(write.isPending);
  await script.flushed();
  script.writer.retire();
  t.is(script.retirements[0]?.objects.length, 1);
});

test('after a fence nothing older is done before the caller says so', async (t) => {
  const script = new WriterScript(mapOf(1), []);
  await script.changed(0);
  void script.change(0);
  t.alike(script.writer.progress, { done: 1, olderDone: false });
  script.writer.settleOlder();
  void script.change(4);
  const { done, olderDone } = script.changes.at(-1)!;
  t.alike({ done, olderDone }, { done: 1, olderDone: true });
});

test('with nothing but unequal objects, a write that waits for room waits, and what makes them equal does not', async (t) => {
  const script = new WriterScript(mapOf(1));
  for (let at = 0; at < ACTIVE_OBJECTS_MAX; at++) script.writer.inherit(1, 1, at * 4, true);
  const held = script.change(ACTIVE_OBJECTS_MAX * 4);
  await script.answer(null, 'flush');
  await script.answer(null, 'flush');
  const shape = { kind: 'nothing' } as const;
  const within = { offset: 0, length: 512 };
  const equal = script.change(0, { kind: 'equal', eras: [], layer: 1, shape, within, blocks: [] });
  await script.answer(null, 'change');
  t.absent(equal.isPending);
  t.ok(held.isPending);
  script.writer.equalized(1, 0);
  for (let round = 0; round < 4; round++) await script.answer(null, 'flush');
  await script.answer(null, 'change');
  t.absent(held.isPending);
});

test('a write that waits for room goes on although all were written to during the flush', async (t) => {
  const script = new WriterScript(mapOf(1));
  const count = await fill(script, ACTIVE_OBJECTS_MAX);
  const held = script.change(count * 4);
  for (let at = 0; at < count; at++) await script.changed(at * 4);
  for (let round = 0; round < 4; round++) await script.answer(null, 'flush');
  await script.answer(null, 'change');
  t.absent(held.isPending);
});

test('nothing is clean before it is flushed and retired', async (t) => {
  const script = new WriterScript(mapOf(1));
  t.ok(script.writer.isClean);
  const change = script.change(0);
  t.absent(script.writer.isClean);
  await script.answer();
  await change.promise;
  t.absent(script.writer.isClean);
  await script.flushed();
  t.absent(script.writer.isClean);
  script.writer.retire();
  t.absent(script.writer.isClean, 'nobody has heard of it');
  script.heard();
  t.ok(script.writer.isClean);
});

test('changes and retirements that are done wake who waits for the writer to settle, and flushes do not', async (t) => {
  const script = new WriterScript(mapOf(1));
  script.change(0);
  const untilChanged = new Settled(script.writer.settles());
  await script.answer(1);
  t.ok(untilChanged.isPending, 'others have not answered');
  await script.flushed();
  t.ok(untilChanged.isPending);
  await script.answer();
  t.absent(untilChanged.isPending);
  const untilRetired = new Settled(script.writer.settles());
  await script.flushed();
  script.writer.retire();
  await settle();
  t.ok(untilRetired.isPending);
  script.heard();
  await settle();
  t.absent(untilRetired.isPending);
  const untilStopped = new Settled(script.writer.settles());
  script.writer.stop();
  await settle();
  t.absent(untilStopped.isPending);
});

test('looking at an index asks all of acting, makes nothing active and leaves nothing to flush', async (t) => {
  const script = new WriterScript(mapOf(1));
  const look = script.writer.look(CHAIN, 0, { kind: 'inspect', layer: 1, blocks: null });
  t.is(script.notes, 'change 0 to 1, change 0 to 2, change 0 to 3');
  await script.answer();
  t.is((await look)!.size, 3);
  t.ok(script.writer.isClean);
  t.is(await script.flush().promise, true);
  t.is(script.notes, '');
});

test('looking at one disk ends with nothing when that is no member any more', async (t) => {
  const script = new WriterScript(mapOf(1));
  const look = script.writer.look(CHAIN, 0, { kind: 'extract', layer: 1, ranges: [] }, 3);
  t.is(script.notes, 'change 0 to 3');
  script.writer.mapAdopted(group(2, { acting: [1, 2], insync: [1, 2] }));
  t.is(await look, null);
  t.is(script.notes, '');
});

test('a stopped writer ends what is under way undone, begins nothing, and hears no answer', async (t) => {
  const script = new WriterScript(mapOf(1));
  const [change, flush] = [script.change(0), script.flush()];
  const sent = script.sent.splice(0);
  script.writer.stop();
  for (const request of sent) script.reply(request);
  t.is(await change.promise, null);
  t.is(await flush.promise, false);
  t.is(await script.change(4).promise, null);
  t.is(await script.flush().promise, false);
  t.is(await script.writer.look(CHAIN, 0, { kind: 'inspect', layer: 1, blocks: null }), null);
  script.writer.mapAdopted(group(2, {}));
  script.writer.linkOpened('b');
  t.alike(script.sent, []);
});

test('a closed writer begins no change, ends what is under way, and goes on when it is opened again', async (t) => {
  const script = new WriterScript(mapOf(1));
  const before = script.change(0);
  script.writer.close();
  t.is(await script.change(4).promise, null);
  await script.answer();
  t.absent(before.isPending);
  await script.flushed();
  script.writer.retire();
  script.heard();
  t.ok(script.writer.isClean);
  script.writer.reopen();
  await script.changed(4);
  t.pass();
});

test('of what was acknowledged, it is known which groups no flush has covered', async (t) => {
  const script = new WriterScript(mapOf(3));
  t.alike(script.writer.unflushed, { epoch: 3, pgs: [] });
  await script.changed(0);
  await script.changed(1);
  t.alike(script.writer.unflushed.pgs, [0, 1]);
  const flush = script.flush();
  await script.changed(1);
  await script.answer(null, 'flush');
  t.is(flush.value, true);
  t.alike(script.writer.unflushed.pgs, [1], 'written to since the flush began');
  script.writer.mapAdopted(group(4, {}));
  t.alike(script.writer.unflushed, { epoch: 4, pgs: [1] }, 'a new member does not undo what is flushed');
});

/** Makes so many objects active, with the flushes that this brings about unanswered. Answers how many there are. */
test('so many changes are on their way, and more are held until there are fewer', async (t) => {
  const script = new WriterScript(mapOf(1));
  for (let at = 0; at < CHANGES_MAX; at++) script.change(0, write(at * 512, 512));
  script.notes;
  script.change(0, write(CHANGES_MAX * 512, 512));
  t.is(script.notes, '', 'it is held');
  const shape = { kind: 'nothing' } as const;
  const within = { offset: 0, length: 512 };
  script.change(4, { kind: 'equal', eras: [], layer: 1, shape, within, blocks: [] });
  t.is(script.notes, 'change 4 to 1, change 4 to 2, change 4 to 3', 'what makes copies equal goes ahead');
  for (const request of script.sent.splice(0, 3)) script.reply(request);
  await settle();
  t.is(script.notes, '');
  for (const request of script.sent.splice(0, 3)) script.reply(request);
  await settle();
  t.is(script.notes, 'change 0 to 1, change 0 to 2, change 0 to 3');
});

async function fill(script: WriterScript, count: number): Promise<number> {
  for (let at = 0; at < count; at++) await script.changed(at * 4);
  return count;
}

/** Indexes that the disk was sent changes of and has not answered. */
function changed(script: WriterScript, disk: number): number[] {
  return script.changes.filter((each) => each.disk === disk).map(({ index }) => index);
}

/** Objects of which the disk was told that they are retired. */
function retired(script: WriterScript, disk: number): number {
  return script.retirements.filter((each) => each.disk === disk).reduce((sum, { objects }) => sum + objects.length, 0);
}

import { test } from 'brittle';
import { PullQueue } from '../lib/replication/pull-queue.js';
import { PullMeter } from '../lib/replication/recovery-progress.js';
import { StepClock } from './helpers/step-clock.js';

const SECOND = 1000;

/** A queue for 1,000 bytes a second, and who has had a turn. */
function script() {
  const clock = new StepClock();
  const state = { clock, busy: false, turns: [] as string[] };
  const queue = new PullQueue({ clock, bytesPerSecond: 1000, isBusy: () => state.busy });
  const enter = (name: string, rank = 0, signal = new AbortController().signal) =>
    void queue.enter(rank, signal).then((granted) => state.turns.push(granted ? name : `${name} refused`));
  const turns = async () => {
    await new Promise((wake) => setImmediate(wake));
    return state.turns.splice(0).join(' ');
  };
  return { ...state, state, queue, enter, turns };
}

test('four pulls at a time, the first group first', async (t) => {
  const { queue, enter, turns } = script();
  for (const name of ['a', 'b', 'c', 'd']) enter(name, 2);
  enter('e', 2);
  enter('f', 1);
  enter('g', 1);
  t.is(await turns(), 'a b c d');
  queue.leave(0);
  t.is(await turns(), 'f');
  queue.leave(0);
  queue.leave(0);
  t.is(await turns(), 'g e');
  t.is(queue.waiting, 0);
});

test('one at a time while guests have requests', async (t) => {
  const { state, queue, enter, turns } = script();
  state.busy = true;
  for (const name of ['a', 'b', 'c']) enter(name);
  t.is(await turns(), 'a');
  queue.leave(0);
  t.is(await turns(), 'b');
  state.busy = false;
  enter('d');
  t.is(await turns(), 'c d');
});

test('no more bytes a second than are allowed', async (t) => {
  const { clock, queue, enter, turns } = script();
  enter('a');
  t.is(await turns(), 'a');
  queue.leave(3000);
  enter('b');
  await clock.pass(2 * SECOND);
  t.is(await turns(), '');
  await clock.pass(2 * SECOND);
  t.is(await turns(), 'b');
  queue.leave(0);
  enter('c');
  t.is(await turns(), 'c', 'what was not used for a while is not saved up, and nothing is owed');
});

test('who gives up, or is left at the end, has no turn', async (t) => {
  const { queue, enter, turns } = script();
  for (const name of ['a', 'b', 'c', 'd']) enter(name);
  const stop = new AbortController();
  enter('e', 0, stop.signal);
  enter('f');
  stop.abort();
  enter('g', 0, stop.signal);
  t.is(await turns(), 'a b c d e refused g refused');
  queue.close();
  t.is(await turns(), 'f refused');
});

test('progress says what is left, how fast it goes, and how long it takes', async (t) => {
  const clock = new StepClock();
  const meter = new PullMeter(clock);
  const progress = (unlisted: number, left: number) => meter.progress(7, 3, unlisted, left);
  t.alike(progress(3, 0), {
    ...{ disk: 7, groups: 3, groupsUnlisted: 3, indexesLeft: 0, indexesDone: 0, bytesDone: 0 },
    ...{ bytesPerSecond: 0, secondsLeft: null },
  });
  for (let count = 0; count < 20; count++) {
    meter.pulled(500);
    await clock.pass(SECOND);
  }
  const { bytesPerSecond, secondsLeft, indexesDone, bytesDone } = progress(0, 45);
  t.is(indexesDone, 20);
  t.is(bytesDone, 10_000);
  t.ok(bytesPerSecond >= 450 && bytesPerSecond <= 500, `${bytesPerSecond} bytes/s`);
  t.ok(secondsLeft! >= 45 && secondsLeft! <= 50, `${secondsLeft} s`);
  t.is(progress(1, 45).secondsLeft, null, 'nobody knows what the others lack');
  await clock.pass(20 * SECOND);
  t.is(progress(0, 45).bytesPerSecond, 0);
  t.is(progress(0, 45).secondsLeft, null);
  t.is(progress(0, 0).secondsLeft, 0);
});

import { test } from 'brittle';
import { Random } from './helpers/random.js';
import { HostClock } from './simulation/host-clock.js';
import { ProcessScope } from './simulation/process-scope.js';
import { Scheduler } from './simulation/scheduler.js';

function worldOf(seed = 1): { scheduler: Scheduler; random: Random; scope: ProcessScope } {
  const scheduler = new Scheduler();
  const random = new Random(seed);
  return { scheduler, random, scope: new ProcessScope(scheduler, random, 'one') };
}

test('events happen by time, those of one moment as they were asked for', async (t) => {
  const seed = Date.now() >>> 0;
  t.comment(`seed ${seed}`);
  const random = new Random(seed);
  const scheduler = new Scheduler();
  const wanted: { at: number; order: number }[] = [];
  const seen: { at: number; order: number }[] = [];
  for (let order = 0; order < 5000; order++) {
    const at = random.below(300) / 2;
    const cancel = scheduler.at(at, () => seen.push({ at: scheduler.nowMs, order }));
    if (random.chance(0.6)) {
      cancel();
      cancel();
    } else wanted.push({ at, order });
  }
  t.is(scheduler.pending, wanted.length);
  wanted.sort((a, b) => a.at - b.at || a.order - b.order);
  t.is(await scheduler.run(), 'idle');
  t.alike(seen, wanted);
  t.is(scheduler.pending, 0);
  t.is(scheduler.events, wanted.length);
});

test('what promises make ready runs before the next event, and at its time', async (t) => {
  const scheduler = new Scheduler();
  const seen: string[] = [];
  const work = async (name: string) => {
    for (let step = 0; step < 20; step++) await null;
    await new Promise<void>((resolve) => process.nextTick(resolve));
    seen.push(`${name} ${scheduler.nowMs}`);
    await new Promise<void>((resolve) => scheduler.after(10, resolve));
    for (let step = 0; step < 20; step++) await null;
    seen.push(`${name} ${scheduler.nowMs}`);
  };
  for (const at of [1, 2, 2, 3]) scheduler.at(at, () => void work(`from ${at}`));
  await scheduler.run();
  t.alike(seen, ['from 1 1', 'from 2 2', 'from 2 2', 'from 3 3', 'from 1 11', 'from 2 12', 'from 2 12', 'from 3 13']);
});

test('a run ends at its limits, and the next goes on from there', async (t) => {
  const scheduler = new Scheduler();
  let ticks = 0;
  const tick = () => {
    ticks++;
    scheduler.after(10, tick);
  };
  scheduler.after(10, tick);
  t.is(await scheduler.run({ untilMs: 35 }), 'time');
  t.alike([ticks, scheduler.nowMs], [3, 35]);
  t.is(await scheduler.run({ untilMs: 40 }), 'time');
  t.alike([ticks, scheduler.nowMs], [4, 40], 'the moment itself is part of it');
  t.is(await scheduler.run({ eventsMax: 2500 }), 'events');
  t.is(ticks, 2504);
  t.is(await scheduler.run({ until: () => ticks === 3000 }), 'stopped');
  t.is(ticks, 3000);
  scheduler.after(1, () => scheduler.stop());
  t.is(await scheduler.run(), 'stopped');
  t.is(ticks, 3000);
});

test('what an event throws ends the run, and settling answers as the promise does', async (t) => {
  const scheduler = new Scheduler();
  scheduler.after(1, () => {
    throw new Error('an event failed');
  });
  await t.exception(scheduler.run(), /an event failed/);
  const later = (ms: number) => new Promise<number>((resolve) => scheduler.after(ms, () => resolve(ms)));
  t.is(await scheduler.settle(later(5)), 5);
  t.is(scheduler.nowMs, 6);
  await t.exception(
    scheduler.settle(
      later(1).then(() => {
        throw new Error('a promise failed');
      }),
    ),
    /a promise failed/,
  );
  await t.exception(scheduler.settle(new Promise(() => {})), /did not come/);
});

test('trivial events are cheap', async (t) => {
  const scheduler = new Scheduler();
  const events = 100_000;
  const next = async () => {
    await null;
    scheduler.after(1, () => void next());
  };
  for (let chain = 0; chain < 100; chain++) void next();
  await null;
  const start = performance.now();
  await scheduler.run({ eventsMax: events });
  const perSecond = (events / (performance.now() - start)) * 1000;
  t.comment(`${Math.round(perSecond)} events a second`);
  t.ok(perSecond > 50_000, 'fast enough, on a machine that does other things too');
});

test('a killed process hears nothing more, and what it waits for never comes', async (t) => {
  const { scheduler, scope, random } = worldOf();
  const clock = new HostClock(scheduler).of(scope);
  const seen: string[] = [];
  scope.timer(10, () => seen.push('timer'));
  scope.arrival(10, () => seen.push('arrival'));
  clock.after(10, () => seen.push('clock'));
  void new Promise<void>((resolve) => scope.arrival(9, resolve)).then(() => seen.push('promise'));
  scope.onKill(() => seen.push('killed'));
  scheduler.at(5, () => scope.kill());
  scheduler.at(6, () => {
    scope.kill();
    scope.timer(1, () => seen.push('after its death'));
    scope.pauseFor(100);
  });
  const other = new ProcessScope(scheduler, random, 'two');
  other.timer(10, () => seen.push('the other'));
  await scheduler.run();
  t.alike(seen, ['killed', 'the other']);
  t.is(scope.alive, false);
  t.is(scheduler.nowMs, 10, 'and leaves nothing behind that time passes for');
});

test('a paused process finds all that came due in order, timers or arrivals first', async (t) => {
  const first = new Set<string>();
  for (let seed = 1; seed <= 20; seed++) {
    const { scheduler, scope } = worldOf(seed);
    const seen: string[] = [];
    const note = (what: string) => () => void seen.push(`${what} ${scheduler.nowMs}`);
    scheduler.at(5, () => scope.pauseFor(100));
    scheduler.at(6, () => scope.pauseFor(10));
    const cancel = scope.timer(14, note('cancelled'));
    scheduler.at(50, cancel);
    for (const at of [4, 10, 105]) scope.timer(at, note(`timer ${at}`));
    for (const at of [20, 30, 105]) {
      scope.arrival(at, () => {
        note(`arrival ${at}`)();
        scope.timer(0, note(`made by ${at}`));
      });
    }
    await scheduler.run();
    const timers = ['timer 10 105', 'timer 105 105'];
    const arrivals = ['arrival 20 105', 'arrival 30 105', 'arrival 105 105'];
    t.is(seen.shift(), 'timer 4 4');
    const only = (kind: string) => seen.filter((what) => what.startsWith(kind));
    t.alike(only('timer'), timers);
    t.alike(only('arrival'), arrivals);
    t.alike(only('made'), ['made by 20 105', 'made by 30 105', 'made by 105 105']);
    t.is(seen.length, 8);
    first.add(seen[0]!);
  }
  t.alike([...first].sort(), ['arrival 20 105', 'timer 10 105']);
});

test('a pause within the going on of another holds the rest again', async (t) => {
  const { scheduler, scope } = worldOf();
  const seen: string[] = [];
  scope.pauseFor(10);
  for (const name of ['a', 'b', 'c']) {
    scope.arrival(5, () => {
      seen.push(`${name} ${scheduler.nowMs}`);
      if (name === 'a') scope.pauseFor(20);
    });
  }
  await scheduler.run();
  t.alike(seen, ['a 10', 'b 30', 'c 30']);
});

test('a host has a clock of its own: its rate, its steps, its sleep', async (t) => {
  const { scheduler, scope } = worldOf();
  const clock = new HostClock(scheduler, { rate: 1.01, startMs: 1000 });
  const seen: [string, number][] = [];
  const seenBy = clock.of(scope);
  t.is(seenBy.elapsedMs(), 1000);
  const after = (name: string, ms: number) =>
    seenBy.after(ms, () => seen.push([name, Math.round(scheduler.nowMs * 100) / 100]));
  after('101', 101);
  after('202', 202);
  after('303', 303);
  const cancel = after('cancelled in its sleep', 250);
  await scheduler.run({ untilMs: 150 });
  clock.step(50);
  t.is(Math.round(seenBy.elapsedMs() * 100) / 100, 1000 + 151.5 + 50);
  clock.suspendFor(1000);
  scope.pauseFor(1000);
  await scheduler.run({ untilMs: 1160 });
  t.is(Math.round(seenBy.elapsedMs() * 100) / 100, 1000 + 1160 * 1.01 + 50, 'the clock counts the sleep');
  cancel();
  await scheduler.run();
  t.alike(seen, [
    ['101', 100],
    ['202', 1200],
    ['303', 1300],
  ]);
  t.exception(() => new HostClock(scheduler, { rate: 1.02 }));
  t.exception(() => clock.step(-1));
});

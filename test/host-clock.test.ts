import { test } from 'brittle';
import { HostClock } from '../lib/cluster/host-clock.js';

function machine() {
  const times = { monotonic: 5000, wall: 1_700_000_000_000, uptime: 80_000, looks: 0 };
  const clock = new HostClock({
    monotonicMs: () => times.monotonic,
    wallMs: () => times.wall,
    uptimeMs: () => {
      times.looks++;
      return times.uptime;
    },
  });
  const pass = (ms: number) => {
    times.monotonic += ms;
    times.wall += ms;
    times.uptime += ms;
  };
  return { times, clock, pass };
}

test('a clock counts from its making', (t) => {
  const { clock, pass } = machine();
  t.is(clock.elapsedMs(), 0);
  pass(750);
  t.is(clock.elapsedMs(), 750);
});

test('a clock counts the time that its host was suspended, at once', (t) => {
  const { clock, times, pass } = machine();
  pass(10);
  times.wall += 9000;
  times.uptime += 9000;
  t.is(clock.elapsedMs(), 9010);
  pass(10);
  t.is(clock.elapsedMs(), 9020);
});

test('a clock is told nothing by a wall clock that is set', (t) => {
  const { clock, times, pass } = machine();
  for (const step of [3_600_000, -7_200_000]) {
    times.wall += step;
    pass(100);
  }
  t.is(clock.elapsedMs(), 200);
});

test('a clock never goes back, and looks at the uptime seldom', (t) => {
  const { clock, times, pass } = machine();
  times.uptime += 50;
  pass(1500);
  t.is(clock.elapsedMs(), 1550);
  times.uptime -= 60;
  pass(1500);
  t.is(clock.elapsedMs(), 3050);
  const { looks } = times;
  for (let count = 0; count < 100; count++) {
    pass(1);
    clock.elapsedMs();
  }
  t.is(times.looks, looks);
});

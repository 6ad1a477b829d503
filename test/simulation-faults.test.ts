import { type Assertions, test } from 'brittle';
import { Random } from './helpers/random.js';
import { SimulatedStore } from './simulation/coordination-store.js';
import { CLOCK_STEP_INTERVAL_MS, CLOCK_STEP_MS_MAX } from './simulation/fault-maker.js';
import { FaultPlanner } from './simulation/fault-planner.js';
import { GENTLE_FAULTS, NO_FAULTS, ROUGH_FAULTS } from './simulation/fault-rates.js';
import { describeFault, type Fault } from './simulation/faults.js';
import { Network } from './simulation/network.js';
import { CALM_NETWORK, ROUGH_NETWORK } from './simulation/network-conditions.js';
import { ProcessScope } from './simulation/process-scope.js';
import { Scheduler } from './simulation/scheduler.js';
import { CALM_STORE, ROUGH_STORE, SLOW_STORE } from './simulation/store-conditions.js';
import { Trace } from './simulation/trace.js';
import { carryOutInWorld } from './simulation/world-faults.js';

const SEED = Number(process.env.SEED ?? Date.now()) >>> 0;
const HOSTS = ['a', 'b', 'c', 'd'];
const SPARES = ['e', 'f', 'g'];
const OUTSIDE = ['network-rough', 'store-outage', 'store-slow', 'store-rough'];

interface Planned {
  atMs: number;
  fault: Fault;
}

/** Plans an hour of faults, then calm. */
async function anHour(seed: number, refuses: (fault: Fault) => boolean = () => false) {
  const scheduler = new Scheduler();
  const trace = new Trace(scheduler);
  const planned: Planned[] = [];
  const planner = new FaultPlanner(scheduler, new Random(seed), {
    hosts: HOSTS,
    spares: SPARES,
    rates: ROUGH_FAULTS,
    trace,
    carryOut: (fault) => {
      if (refuses(fault)) return false;
      planned.push({ atMs: scheduler.nowMs, fault });
      return true;
    },
  });
  planner.start();
  await scheduler.run({ untilMs: 3_600_000 });
  planner.calm();
  if (scheduler.pending !== 0) throw new Error(`${scheduler.pending} faults are left after the calm`);
  return { planned, planner, trace };
}

/** Follows the hosts through all that is planned, and answers what each is in the end. */
function followHosts(t: Assertions, planned: Planned[]): Map<string, string> {
  const states = new Map<string, string>([
    ...HOSTS.map((host) => [host, 'up'] as const),
    ...SPARES.map((host) => [host, 'spare'] as const),
  ]);
  let fewest = HOSTS.length;
  const leaves = (host: string) => {
    if (states.get(host) !== 'up') t.fail(`${host} goes away while it is ${states.get(host)}`);
    states.set(host, 'away');
  };
  for (const { fault } of planned) {
    if (fault.kind === 'kill' || fault.kind === 'reboot') leaves(fault.host);
    else if (fault.kind === 'power-cut') fault.hosts.forEach(leaves);
    else if (fault.kind === 'remove') states.set(fault.host, 'removed');
    else if (fault.kind === 'start' || fault.kind === 'join' || fault.kind === 'force-remove') {
      const wanted = fault.kind === 'join' ? 'spare' : 'away';
      if (states.get(fault.host) !== wanted)
        t.fail(`${fault.kind} of ${fault.host}, which is ${states.get(fault.host)}`);
      states.set(fault.host, fault.kind === 'force-remove' ? 'removed' : 'up');
    } else if ('host' in fault && ['removed', 'spare'].includes(states.get(fault.host)!)) {
      // What began while the host was there ends when it ends.
      if (!['store-heal', 'disk-mend', 'uncrowd'].includes(fault.kind))
        t.fail(`${describeFault(fault)}, which is not there`);
    }
    const members = [...states.values()].filter((state) => state === 'up' || state === 'away').length;
    fewest = Math.min(fewest, members);
  }
  t.ok(fewest >= 3, `there are never fewer than ${fewest} hosts`);
  return states;
}

test('hours of rough faults have every kind, and each makes sense', async (t) => {
  t.comment(`seed ${SEED}`);
  const seen = new Set<string>();
  for (let seed = SEED; seed < SEED + 8; seed++) {
    const { planned, planner } = await anHour(seed);
    for (const kind of planner.counts.keys()) seen.add(kind);
    const states = followHosts(t, planned);
    t.not([...states.values()].includes('away'), true, 'in the calm every host is there');
    t.is(planned.at(-1)!.fault.kind, 'calm');
  }
  // Of the hosts that are away for a moment, few are forced out in that time.
  for (const kind of Object.keys(ROUGH_FAULTS)) if (kind !== 'force-remove') t.ok(seen.has(kind), kind);
});

test('whatever begins ends with the calm', async (t) => {
  for (let seed = SEED; seed < SEED + 20; seed++) {
    const { planned } = await anHour(seed);
    const cut = new Set<string>();
    const troubles = new Set<number>();
    const draining = new Set<string>();
    const store = new Set<string>();
    for (const { fault } of planned) {
      if (fault.kind === 'cut') for (const direction of fault.directions) cut.add(String(direction));
      if (fault.kind === 'heal') for (const direction of fault.directions) cut.delete(String(direction));
      if (fault.kind === 'disk' && !['swap', 'restore'].includes(fault.trouble)) troubles.add(fault.number);
      if (fault.kind === 'disk-mend') troubles.delete(fault.number);
      if (fault.kind === 'drain') draining.add(fault.host);
      if (['undrain', 'remove', 'force-remove'].includes(fault.kind)) draining.delete((fault as { host: string }).host);
      if (OUTSIDE.includes(fault.kind)) store.add(fault.kind);
      if (fault.kind === 'store-back') store.delete('store-outage');
      if (fault.kind === 'store-fast') store.delete('store-slow');
      if (fault.kind === 'store-smooth') store.delete('store-rough');
      if (fault.kind === 'network-smooth') store.delete('network-rough');
    }
    t.alike([cut.size, troubles.size, draining.size, store.size], [0, 0, 0, 0], `seed ${seed}`);
  }
});

test('clocks step by little, and seldom', async (t) => {
  const { planned } = await anHour(SEED);
  const last = new Map<string, number>();
  let steps = 0;
  for (const { atMs, fault } of planned) {
    if (fault.kind !== 'clock-step') continue;
    steps++;
    const before = last.get(fault.host) ?? Number.NEGATIVE_INFINITY;
    if (fault.ms > CLOCK_STEP_MS_MAX || atMs - before < CLOCK_STEP_INTERVAL_MS) t.fail(`${fault.ms} ms at ${atMs}`);
    last.set(fault.host, atMs);
  }
  t.ok(steps > 10);
});

test('what is refused did not happen: a host that is not empty is not removed, but brought back', async (t) => {
  const { planned, planner } = await anHour(SEED, ({ kind }) => kind === 'remove' || kind === 'kill');
  t.is(planner.counts.get('remove'), undefined);
  t.is(planner.counts.get('kill'), undefined);
  t.not([...followHosts(t, planned).values()].includes('away'), true);
});

test('nothing begins that the world does not allow, and a rate of none is none', async (t) => {
  const scheduler = new Scheduler();
  const kinds = new Set<string>();
  const options = { hosts: HOSTS, carryOut: ({ kind }: Fault) => kinds.add(kind) !== null };
  const allows = ({ kind }: Fault) => kind === 'pause';
  new FaultPlanner(scheduler, new Random(SEED), { ...options, rates: GENTLE_FAULTS, allows }).start();
  await scheduler.run({ untilMs: 3_600_000 });
  t.alike([...kinds], ['pause']);
  const idle = new Scheduler();
  new FaultPlanner(idle, new Random(SEED), { ...options, rates: NO_FAULTS }).start();
  t.is(idle.pending, 0);
});

test('the same seed plans the same, another one something else', async (t) => {
  const digests = [];
  for (const seed of [5, 5, 6]) digests.push((await anHour(seed)).trace.digest());
  t.is(digests[0], digests[1]);
  t.not(digests[0], digests[2]);
});

test('faults of the network and the store are carried out there', async (t) => {
  const scheduler = new Scheduler();
  const random = new Random(1);
  const network = new Network<string>(scheduler, random);
  const store = new SimulatedStore(scheduler, random);
  const world = { network, store };
  const carry = (fault: Fault) => carryOutInWorld(world, fault);
  const directions = [
    ['a', 'b'],
    ['c', 'a'],
  ] as const;
  t.is(carry({ kind: 'cut', directions: [...directions] }), true);
  t.alike([network.isCut('a', 'b'), network.isCut('b', 'a'), network.isCut('c', 'a')], [true, false, true]);
  carry({ kind: 'heal', directions: [directions[0]] });
  t.alike([network.isCut('a', 'b'), network.isCut('c', 'a')], [false, true]);
  carry({ kind: 'store-outage' });
  carry({ kind: 'store-slow' });
  carry({ kind: 'store-cut', host: 'a' });
  t.alike([store.available, store.isReachable('a'), store.isReachable('b')], [false, false, true]);
  t.is(store.conditions, SLOW_STORE);
  carry({ kind: 'store-back' });
  carry({ kind: 'store-fast' });
  carry({ kind: 'store-heal', host: 'a' });
  t.alike([store.available, store.isReachable('a')], [true, true]);
  t.is(store.conditions, CALM_STORE);
  carry({ kind: 'network-rough' });
  carry({ kind: 'store-rough' });
  t.alike([network.conditions, store.conditions], [ROUGH_NETWORK, ROUGH_STORE]);
  carry({ kind: 'network-smooth' });
  t.is(network.conditions, CALM_NETWORK);
  const lost: string[] = [];
  for (const host of ['a', 'b']) {
    const events = { opened: () => {}, lost: (other: string) => void lost.push(other), received: () => {} };
    network.attach(host, new ProcessScope(scheduler, random, host), events);
  }
  await scheduler.run();
  carry({ kind: 'reset', first: 'a', second: 'b' });
  await scheduler.run();
  t.alike(lost, ['b', 'a']);
  t.is(carry({ kind: 'calm' }), false, 'hosts have their part in it');
  t.is(network.isCut('c', 'a'), false);
  t.alike([network.conditions, store.conditions], [CALM_NETWORK, CALM_STORE]);
  t.is(carry({ kind: 'kill', host: 'a' }), false);
});

test('a trace keeps its last lines, in order, and counts all', async (t) => {
  const scheduler = new Scheduler();
  const printed: string[] = [];
  const trace = new Trace(scheduler, { linesMax: 3, print: (line) => printed.push(line) });
  t.is(trace.toString(), '');
  for (let at = 1; at <= 7; at++) {
    scheduler.at(at * 1.5, () => trace.note('a', `line ${at}`));
    await scheduler.run({ eventsMax: 1 });
    const wanted = Array.from({ length: Math.min(at, 3) }, (_, back) => `line ${at - back}`).reverse();
    t.alike(
      trace.lines().map((line) => line.slice(-6)),
      wanted,
    );
  }
  t.is(printed.length, 7);
  t.is(trace.count, 7);
  t.is(trace.lines()[0], '       7.500  a           line 5');
  t.ok(trace.toString().startsWith('(4 lines before these)\n'));
});

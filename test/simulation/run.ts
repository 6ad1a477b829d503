import { Random } from '../helpers/random.js';
import { Checkers } from './checkers.js';
import { carryOut, only } from './fault-carrier.js';
import { FaultPlanner } from './fault-planner.js';
import { type BegunKind, GENTLE_FAULTS, scaleRates } from './fault-rates.js';
import type { FaultKind } from './faults.js';
import { Workload } from './workload.js';
import { World } from './world.js';

/** All hosts serve within this time of the first start. */
const START_MS = 60_000;
/** In a world without faults everything is answered and whole within this time: a host that flapped is kept out for half an hour. */
const SETTLE_MS = 60 * 60_000;

/** Reading everything back and comparing it takes no longer than this. */
const CHECK_MS = 10 * 60_000;
/** The real time is looked at before each of so many events. */
const LOOKS_PER_CLOCK = 100;
/** Times of trouble, each of which ends with calm. */
const ROUNDS_MAX = 3;

/** Of whole times of trouble. */
const ROUGH_KINDS: readonly BegunKind[] = ['network-rough', 'store-rough'];

/** What happens in a simulation unless it is told otherwise. */
export const DEFAULT_KINDS: readonly BegunKind[] = [
  ...(['kill', 'reboot', 'power-cut', 'pause', 'conductor', 'cut', 'reset', 'suspend', 'clock-step'] as const),
  ...(['network-rough', 'store-outage', 'store-slow', 'store-rough', 'store-cut'] as const),
];

export interface SimulationOptions {
  seed: number;
  /** Times that a guest is given a turn. */
  steps: number;
  hosts: number;
  kinds?: readonly BegunKind[];
  print?: ((line: string) => void) | undefined;
  /** Messages are in the trace. */
  messages?: boolean;
  /** Faults come so many times as often. */
  roughness?: number;
  /** Guests whose unflushed writes may be lost end by themselves, and need not be told. */
  forgiveLosses?: boolean;
  /** Looked at between events: the run is given up when it answers true. */
  isOverdue?: () => boolean;
}

/** How a simulation ended. */
export interface Outcome {
  readonly world: World;
  /** What went wrong; null: nothing. */
  readonly failure: Error | null;
  /** It was given up, and nothing is known of it. */
  readonly overdue: boolean;
  /** How many faults of each kind there were. */
  readonly faults: ReadonlyMap<FaultKind, number>;
}

/** Runs one simulated cluster. */
export async function simulate(options: SimulationOptions): Promise<Outcome> {
  const {
    seed,
    steps,
    hosts,
    kinds = DEFAULT_KINDS,
    print,
    messages = false,
    isOverdue = () => false,
    forgiveLosses = false,
    roughness = 1,
  } = options;
  const world = new World({ seed, hosts, disksPerHost: 2, pgs: 8, copies: [3, 2], messages, ...(print && { print }) });
  const random = new Random(seed ^ 0x5bd1e995);
  let overdue = false;
  let looks = 0;
  const isOver = () => overdue || world.failure !== null;
  const runFor: RunFor = async (ms, until = () => false) => {
    const isEnding = () => {
      overdue ||= ++looks % LOOKS_PER_CLOCK === 0 && isOverdue();
      return isOver() || until();
    };
    await world.scheduler.run({ untilMs: world.scheduler.nowMs + ms, until: isEnding });
    return isOver();
  };

  await start(world, runFor);
  const workload = new Workload(world, random, forgiveLosses);
  const faults = new Map<FaultKind, number>();
  const rounds = 1 + random.below(ROUNDS_MAX);
  for (let round = 0; round < rounds && !isOver(); round++) {
    const planner = new FaultPlanner(world.scheduler, new Random(random.below(2 ** 32)), {
      hosts: world.hosts.map(({ id }) => id),
      rates: only(scaleRates(GENTLE_FAULTS, roughness * (1 + random.below(12))), kinds),
      carryOut: (fault) => carryOut(world, fault),
      trace: world.trace,
    });
    planner.start();
    // A run is short: what is to show while much else goes wrong is there from the start.
    for (const kind of ROUGH_KINDS) if (kinds.includes(kind) && random.chance(0.4)) planner.begin(kind);
    const paceMs = 2 + random.below(40);
    for (let step = 0; step < steps / rounds && !isOver(); step++) {
      workload.step();
      await runFor(random.next() * paceMs);
    }
    planner.calm();
    for (const [kind, count] of planner.counts) faults.set(kind, (faults.get(kind) ?? 0) + count);
    const reasons = () => [...workload.waitsFor, world.unhealthy].filter((reason) => reason !== null);
    await runFor(SETTLE_MS, () => reasons().length === 0);
    if (!isOver() && reasons().length > 0) world.defect('world', new Error(`stuck: ${reasons().join('; ')}`));
    if (!isOver()) await checkQuiet(world, workload, runFor);
  }
  return { world, failure: world.failure, overdue, faults };
}

/** Lets time pass; answers whether the run is over. */
type RunFor = (ms: number, until?: () => boolean) => Promise<boolean>;

async function checkQuiet(world: World, workload: Workload, runFor: RunFor): Promise<void> {
  world.trace.note('world', 'all is quiet');
  let checked = false;
  new Checkers(world, workload).check().then(
    () => {
      checked = true;
    },
    (error) => world.defect('world', error),
  );
  if (!(await runFor(CHECK_MS, () => checked)) && !checked)
    world.defect('world', new Error('stuck: the cluster is quiet, and does not answer'));
}

async function start(world: World, runFor: RunFor): Promise<void> {
  for (const host of world.hosts) host.start();
  const isReady = () => world.hosts.every(({ run }) => run?.cluster.replica.mayAnswer);
  await runFor(START_MS, isReady);
  if (!isReady() && world.failure === null) world.defect('world', new Error('the cluster did not start'));
}

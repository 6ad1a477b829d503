import { Random } from '../helpers/random.js';
import { Caretaker } from './caretaker.js';
import { Checkers } from './checkers.js';
import { carryOut, only } from './fault-carrier.js';
import { FaultPlanner } from './fault-planner.js';
import { type BegunKind, GENTLE_FAULTS, NO_FAULTS, scaleRates } from './fault-rates.js';
import type { FaultKind } from './faults.js';
import { draftRounds, type Plan, type PlannedRound, type PlannedStep } from './plan.js';
import { ADMINISTRATION_DEFAULT, Workload } from './workload.js';
import { World } from './world.js';

/** All hosts serve within this time of the first start. */
const START_MS = 60_000;
/** In a world without faults everything is answered and whole within this time: a host that flapped is kept out for half an hour. */
const SETTLE_MS = 60 * 60_000;

/** Reading everything back and comparing it takes no longer than this. */
const CHECK_MS = 10 * 60_000;
/** The real time is looked at before each of so many events. */
const LOOKS_PER_CLOCK = 100;
/** Told apart from other random numbers of the seed. */
const WORKLOAD = 0x27d4eb2f;
const IMAGES = 0x165667b1;
/** One that was removed does not join anew. */
const SPARES = ['host4', 'host5', 'host6', 'host7', 'host8', 'host9'];
const CARETAKER = 0x85ebca6b;

/** What happens in a simulation unless it is told otherwise. */
export const DEFAULT_KINDS: readonly BegunKind[] = [
  ...(['kill', 'reboot', 'power-cut', 'pause', 'conductor', 'cut', 'reset', 'suspend', 'clock-step', 'crowd'] as const),
  ...(['network-rough', 'store-outage', 'store-slow', 'store-rough', 'store-cut'] as const),
  ...(['disk', 'disk-add', 'disk-remove', 'join', 'drain', 'force-remove'] as const),
];

export interface SimulationOptions {
  /** What happens; where there is none, it follows from the options below. */
  plan?: Plan | undefined;
  seed: number;
  /** Times that a guest is given a turn. */
  steps: number;
  hosts: number;
  kinds?: readonly BegunKind[];
  /** Faults come so many times as often. */
  roughness?: number;
  /** Guests whose unflushed writes may be lost end by themselves, and need not be told. */
  forgiveLosses?: boolean;
  /** Of turns, those in which images are cloned, cut, deleted and so on; some are unless told otherwise. */
  administration?: number | undefined;
  print?: ((line: string) => void) | undefined;
  /** Messages are in the trace. */
  messages?: boolean;
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
  /** What happened: another run of it is the same. */
  readonly plan: Plan;
}

/** Runs one simulated cluster. */
export async function simulate(options: SimulationOptions): Promise<Outcome> {
  const { kinds = DEFAULT_KINDS, roughness = 1, print, messages = false, isOverdue = () => false, plan } = options;
  const { seed, hosts, forgiveLosses = false, administration = ADMINISTRATION_DEFAULT } = plan ?? options;
  const world = new World({ seed, hosts, disksPerHost: 2, pgs: 8, copies: [3, 2], messages, ...(print && { print }) });
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
  const caretaker = new Caretaker(world, new Random(seed ^ CARETAKER));
  const workload = new Workload(world, new Random(seed ^ WORKLOAD), { forgiveLosses, administration });
  if (!isOver()) await open(world, workload, runFor);
  const faults = new Map<FaultKind, number>();
  const played: PlannedRound[] = [];
  for (const round of plan?.rounds ?? draftRounds({ seed, steps: options.steps, kinds, roughness })) {
    const planner = new FaultPlanner(world.scheduler, new Random('faultSeed' in round ? round.faultSeed : 0), {
      hosts: world.hosts.map(({ id }) => id),
      spares: SPARES.filter((id) => !world.known.has(id)),
      rates: 'faultSeed' in round ? only(scaleRates(GENTLE_FAULTS, round.faultFactor), kinds) : NO_FAULTS,
      carryOut: (fault) => carryOut(world, fault),
      allows: (fault) => world.allowance.allows(fault),
      trace: world.trace,
    });
    if ('faults' in round) planner.repeat(round.faults);
    else planner.startWith(round.first);
    takeTurns(world, workload, round.steps);
    const startedMs = world.scheduler.nowMs;
    await runFor(round.ms);
    const ms = Math.min(round.ms, world.scheduler.nowMs - startedMs);
    // What goes wrong at the end of a run ends as it is, and nothing is said of it in the trace.
    if (!isOver()) planner.calm();
    played.push({ ms, steps: round.steps.filter(({ atMs }) => atMs <= ms), faults: planner.begun });
    for (const [kind, count] of planner.counts) faults.set(kind, (faults.get(kind) ?? 0) + count);
    if (!isOver()) await settle(world, workload, caretaker, runFor);
    if (isOver()) break;
  }
  const { failure } = world;
  return { world, failure, overdue, faults, plan: { seed, hosts, forgiveLosses, administration, rounds: played } };
}

/** Gives each guest its turns, from now on. */
function takeTurns({ scheduler }: World, workload: Workload, steps: readonly PlannedStep[]): void {
  const startedMs = scheduler.nowMs;
  const next = (at: number) => {
    const step = steps[at];
    if (step === undefined) return;
    scheduler.at(startedMs + step.atMs, () => {
      workload.step(step.seed);
      next(at + 1);
    });
  };
  next(0);
}

/** Waits until all is well again, and checks everything then. */
async function settle(world: World, workload: Workload, caretaker: Caretaker, runFor: RunFor): Promise<void> {
  const reasons = () => [...workload.waitsFor, world.unhealthy, caretaker.waitsFor].filter((reason) => reason !== null);
  // Asked before each event: what takes longest to find out comes last.
  const isSettled = () => world.unhealthy === null && workload.isIdle && caretaker.waitsFor === null;
  if (await runFor(SETTLE_MS, isSettled)) {
    if (world.failure === null) world.trace.note('world', `given up: ${reasons().join('; ')}`);
    return;
  }
  if (reasons().length > 0) world.defect('world', new Error(`stuck: ${reasons().join('; ')}`));
  else await checkQuiet(world, workload, runFor);
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

async function open(world: World, workload: Workload, runFor: RunFor): Promise<void> {
  let isOpen = false;
  workload.start(world.options.copies, new Random(world.options.seed ^ IMAGES)).then(
    () => {
      isOpen = true;
    },
    (error) => world.defect('world', error),
  );
  await runFor(START_MS, () => isOpen);
  if (!isOpen && world.failure === null) world.defect('world', new Error('no images could be made'));
}

async function start(world: World, runFor: RunFor): Promise<void> {
  for (const host of world.hosts) host.start();
  const isReady = () => world.hosts.every(({ run }) => run?.cluster.replica.mayAnswer);
  await runFor(START_MS, isReady);
  if (!isReady() && world.failure === null) world.defect('world', new Error('the cluster did not start'));
}

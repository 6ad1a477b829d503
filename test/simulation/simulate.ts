import { Random } from '../helpers/random.js';
import { carryOut, only } from './fault-carrier.js';
import { FaultPlanner } from './fault-planner.js';
import { type BegunKind, GENTLE_FAULTS, scaleRates } from './fault-rates.js';
import { Guest, SimulatedImage } from './guest.js';
import { World } from './world.js';

/** In a world without faults everything is answered and whole within this time: a host that flapped is kept out for half an hour. */
const SETTLE_MS = 60 * 60_000;
const KINDS: readonly BegunKind[] = [
  ...(['kill', 'pause', 'conductor', 'cut', 'reset', 'suspend', 'clock-step'] as const),
  ...(['store-outage', 'store-slow', 'store-cut'] as const),
];

export interface SimulationOptions {
  seed: number;
  steps: number;
  hosts: number;
  kinds?: readonly BegunKind[];
  print?: (line: string) => void;
}

/** Runs one simulated cluster; throws what went wrong. */
export async function simulate({ seed, steps, hosts, kinds = KINDS, print }: SimulationOptions): Promise<World> {
  const world = new World({ seed, hosts, disksPerHost: 2, pgs: 8, copies: [3, 2], ...(print && { print }) });
  const random = new Random(seed ^ 0x5bd1e995);
  for (const host of world.hosts) host.start();
  const isReady = () => world.hosts.every(({ run }) => run?.cluster.replica.mayAnswer);
  await world.scheduler.run({ untilMs: 60_000, until: isReady });
  if (!isReady()) world.defect('world', new Error('the cluster did not start'));

  const images = Array.from({ length: 4 }, (_, number) => {
    const vdi = number + 16;
    return new SimulatedImage(vdi, world.placement.copiesOf(vdi), 4);
  });
  const guests = images.flatMap((image) =>
    world.hosts.map((host, number) => new Guest(world, image, host, new Random(random.below(2 ** 32)), number > 1)),
  );
  const planner = new FaultPlanner(world.scheduler, new Random(random.below(2 ** 32)), {
    hosts: world.hosts.map(({ id }) => id),
    rates: only(scaleRates(GENTLE_FAULTS, 1 + random.below(12)), kinds),
    carryOut: (fault) => carryOut(world, fault),
    trace: world.trace,
  });
  planner.start();
  const pace = 2 + random.below(40);
  for (let step = 0; step < steps && !world.failure; step++) {
    guests[random.below(guests.length)]!.step();
    await world.scheduler.run({ untilMs: world.scheduler.nowMs + random.next() * pace });
  }
  planner.calm();
  const isSettled = () => world.failure !== null || (guests.every(({ isIdle }) => isIdle) && world.unhealthy === null);
  await world.scheduler.run({ untilMs: world.scheduler.nowMs + SETTLE_MS, until: isSettled });
  if (!isSettled()) {
    const stuck = guests.filter(({ isIdle }) => !isIdle).map(({ image, host }) => `vdi ${image.vdi} on ${host.id}`);
    world.defect('world', new Error(`stuck: ${[...stuck, world.unhealthy ?? ''].join('; ')}`));
  }
  return world;
}

const argument = (name: string, otherwise: number) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
};
const trace = process.argv.includes('--trace');
const given = process.argv.indexOf('--kinds');
const kinds = given < 0 ? KINDS : (process.argv[given + 1]!.split(',') as BegunKind[]);
const first = argument('--seed', 1);
for (let seed = first; seed < first + argument('--count', 1); seed++) {
  const started = performance.now();
  const world = await simulate({
    seed,
    steps: argument('--steps', 1000),
    hosts: argument('--hosts', 3),
    kinds,
    ...(trace && { print: (line: string) => process.stdout.write(`${line}\n`) }),
  });
  if (world.failure) {
    console.log(world.trace.lines().slice(-60).join('\n'));
    console.log(`seed ${seed}`, world.failure);
    process.exit(1);
  }
  console.log(`seed ${seed}: clean, ${Math.round(performance.now() - started)} ms, ${world.scheduler.events} events`);
}

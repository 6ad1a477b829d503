import { Random } from '../helpers/random.js';
import { Guest, SimulatedImage } from './guest.js';
import { World } from './world.js';

export interface SimulationOptions {
  seed: number;
  steps: number;
  hosts: number;
  print?: (line: string) => void;
}

/** Runs one simulated cluster; throws what went wrong. */
export async function simulate({ seed, steps, hosts, print }: SimulationOptions): Promise<World> {
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
  for (let step = 0; step < steps && !world.failure; step++) {
    guests[random.below(guests.length)]!.step();
    await world.scheduler.run({ untilMs: world.scheduler.nowMs + random.next() * 5 });
  }
  await world.scheduler.run({
    untilMs: world.scheduler.nowMs + 60_000,
    until: () => guests.every((guest) => guest.isIdle) || world.failure !== null,
  });
  if (!world.failure && guests.some((guest) => !guest.isIdle)) world.defect('world', new Error('requests are stuck'));
  return world;
}

const argument = (name: string, otherwise: number) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
};
const trace = process.argv.includes('--trace');
const first = argument('--seed', 1);
for (let seed = first; seed < first + argument('--count', 1); seed++) {
  const started = performance.now();
  const world = await simulate({
    seed,
    steps: argument('--steps', 1000),
    hosts: argument('--hosts', 3),
    ...(trace && { print: (line: string) => process.stdout.write(`${line}\n`) }),
  });
  if (world.failure) {
    console.log(world.trace.lines().slice(-60).join('\n'));
    console.log(`seed ${seed}`, world.failure);
    process.exit(1);
  }
  console.log(`seed ${seed}: clean, ${Math.round(performance.now() - started)} ms, ${world.scheduler.events} events`);
}

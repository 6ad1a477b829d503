import { World } from '../simulation/world.js';

/** All of a test, in simulated milliseconds. */
const RUN_MS = 10 * 60_000;

/** Runs `body` on a simulated cluster of three hosts that serve. */
export async function onThreeHosts(body: (world: World) => Promise<void>): Promise<void> {
  const world = new World({ seed: 1, hosts: 3, disksPerHost: 2, pgs: 8, copies: [2] });
  for (const host of world.hosts) host.start();
  let ended = false;
  const isOver = () => ended || world.failure !== null;
  await world.scheduler.run({ untilMs: RUN_MS, until: () => world.unhealthy === null || isOver() });
  const running = body(world).then(
    () => {
      ended = true;
    },
    (error) => world.defect('test', error),
  );
  await world.scheduler.run({ untilMs: world.scheduler.nowMs + RUN_MS, until: isOver });
  if (world.failure) throw world.failure;
  if (!ended) throw new Error('stuck');
  await running;
}

/** Resolves after so long in the simulated world. */
export function after({ scheduler }: World, ms: number): Promise<void> {
  return new Promise((resolve) => {
    scheduler.after(ms, resolve);
  });
}

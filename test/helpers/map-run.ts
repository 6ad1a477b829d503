import { MapModel } from './map-model.js';
import { Random } from './random.js';

const TICKS = 400;
/** Restarting takes 30 s, being let in again up to half an hour, and all groups move in turns. */
const CALM_TICKS = 8000;
/** Of a trace, what is shown of a seed that failed. */
const TRACE_LINES = 30;

export interface MapRun {
  readonly acknowledged: number;
  readonly reads: number;
  readonly restarts: number;
  /** That it took to heal. */
  readonly ticks: number;
}

export class MapRunError extends Error {
  /** The last things that happened. */
  readonly trace: readonly string[];

  constructor(seed: number, cause: Error, trace: readonly string[]) {
    super(`SEED=${seed}: ${cause.message}`, { cause });
    this.name = 'MapRunError';
    this.trace = trace.slice(-TRACE_LINES);
  }
}

/** A cluster has trouble, and heals; throws MapRunError for what must not be. */
export function runMap(seed: number): MapRun {
  const random = new Random(seed);
  const model = new MapModel(random, 3 + random.below(3), 6);
  try {
    disturb(model);
    const ticks = heal(model);
    const { acknowledged, reads, restarts } = model;
    return { acknowledged, reads, restarts, ticks };
  } catch (error) {
    throw new MapRunError(seed, error as Error, model.trace);
  }
}

function disturb(model: MapModel): void {
  const { random } = model;
  for (let tick = 0; tick < 20; tick++) model.tick();
  for (let tick = 0; tick < TICKS; tick++) {
    if (random.chance(0.12)) fault(model);
    for (const host of model.hosts) if (random.chance(0.05)) model.start(host);
    if (random.chance(0.02)) for (const host of model.hosts) model.restoreDisks(host);
    model.tick();
  }
}

function fault(model: MapModel): void {
  const { random } = model;
  const host = model.hosts[random.below(model.hosts.length)]!;
  const disks = [...host.open.keys()];
  switch (random.below(8)) {
    case 0:
      model.kill(host);
      return;
    case 1:
      model.kill(host);
      model.start(host);
      return;
    case 2:
      model.reboot(host);
      return;
    case 3:
      host.pausedUntil = model.now + random.below(12_000);
      return;
    case 4:
      if (random.chance(0.3)) for (const each of model.hosts) model.reboot(each);
      return;
    case 5:
      model.newConductor();
      return;
    case 6:
      if (disks.length > 0) model.vanish(host, disks[random.below(disks.length)]!, random.chance(0.5));
      return;
    default: {
      const record = model.records.get(host.id)!;
      model.records.set(host.id, { ...record, standing: random.chance(0.5) ? 'in' : 'draining' });
    }
  }
}

/** Answers the ticks it took. */
function heal(model: MapModel): number {
  for (const host of model.hosts) {
    model.start(host);
    model.restoreDisks(host);
    model.records.set(host.id, { ...model.records.get(host.id)!, standing: 'in' });
  }
  for (let tick = 0; tick < CALM_TICKS; tick++) {
    if (model.isHealthy) return tick;
    model.tick();
    if (tick % 50 === 0) for (const host of model.hosts) model.restoreDisks(host);
  }
  throw new Error(`not healthy: ${JSON.stringify(model.map)}`);
}

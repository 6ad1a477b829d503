import { MapModel, TICK_MS } from './map-model.js';
import { mend, trouble } from './map-trouble.js';
import { Random } from './random.js';

const GROUPS = 6;
const TICKS = 400;
/** Restarting takes 30 s, being let in again up to half an hour, and all groups move in turns. */
const CALM_TICKS = 8000;
/** So long after all trouble has ended a group may be without a write: who rebooted is waited for 30 s. */
const STALL_MS_MAX = 60_000;
/** Of a trace, what is shown of a seed that failed. */
const TRACE_LINES = 40;

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
  const model = new MapModel(random, 3 + random.below(3), GROUPS);
  try {
    disturb(model);
    const ticks = heal(model);
    const { reads, restarts, copies } = model;
    return { acknowledged: copies.acknowledged, reads, restarts, ticks };
  } catch (error) {
    throw new MapRunError(seed, error as Error, model.trace);
  }
}

function disturb(model: MapModel): void {
  const { random } = model;
  for (let tick = 0; tick < 20; tick++) model.tick();
  for (let tick = 0; tick < TICKS; tick++) {
    if (random.chance(0.12)) trouble(model);
    for (const host of model.hosts) if (random.chance(0.05)) host.start();
    if (random.chance(0.02)) mend(model);
    model.tick();
  }
}

/** Answers the ticks it took. */
function heal(model: MapModel): number {
  model.note('all trouble ends');
  model.healLinks();
  for (const host of model.hosts) {
    host.storeAwayUntilMs = 0;
    host.pausedUntilMs = 0;
    host.flaps = 0;
    host.start();
    model.changeRecord(host.id, ({ standing }) => ({ standing: standing === 'draining' ? 'in' : standing }));
  }
  const calmAtMs = model.nowMs;
  for (let tick = 0; tick < CALM_TICKS; tick++) {
    if (model.isHealthy) return tick;
    if (tick % 50 === 0) mend(model);
    model.tick();
    checkStalls(model, calmAtMs);
  }
  throw new Error(`not healthy after ${(CALM_TICKS * TICK_MS) / 1000} s: ${JSON.stringify(model.map)}`);
}

function checkStalls(model: MapModel, calmAtMs: number): void {
  model.map.tables[3]?.forEach((group, pg) => {
    const sinceMs = Math.max(calmAtMs, model.writtenAtMs[pg] ?? 0);
    if (model.nowMs - sinceMs > STALL_MS_MAX) throw new Error(`group ${pg} stalls: ${JSON.stringify(group)}`);
  });
}

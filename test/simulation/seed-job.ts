import type { BegunKind } from './fault-rates.js';
import type { Plan } from './plan.js';

/** A seed to be run in a process of its own: as `SimulationOptions`, with nothing that is not plain data. */
export interface SeedJob {
  readonly seed: number;
  /** In place of what follows from the seed and the options. */
  readonly plan?: Plan | undefined;
  /** Turns of guests. */
  readonly steps: number;
  readonly hosts: number;
  readonly kinds: readonly BegunKind[];
  /** Faults come so many times as often. */
  readonly roughness: number;
  readonly forgiveLosses: boolean;
  readonly administration?: number | undefined;
  /** Messages are in the trace. */
  readonly messages: boolean;
  /** The process prints all that happens at once. */
  readonly print: boolean;
  /** Real time after which the seed is given up, in seconds. */
  readonly seconds: number;
  /** Lines of the trace that are reported of a failure, of the last ones. */
  readonly traceLines: number;
  /** Only those that may have to do with the failure. */
  readonly relevantLines?: boolean;
}

/** How a seed ended. */
export interface SeedReport {
  readonly seed: number;
  /** What went wrong; null: nothing. */
  readonly complaint: string | null;
  /** Real time that it took. */
  readonly tookMs: number;
  readonly simulatedMs: number;
  readonly events: number;
  /** Faults that were carried out. */
  readonly faults: number;
  /** The last lines of the trace of a failure. */
  readonly trace: readonly string[];
  /** What happened in a failure, where its process came to the end of it. */
  readonly plan: Plan | null;
}

import type { Plan, PlannedFault, PlannedRound, PlannedStep } from './plan.js';
import { Workload } from './workload.js';

/** A cluster has no fewer hosts. */
const HOSTS_MIN = 3;

/** Answers the first of the plans that still fails, or null. */
export type FirstToFail = (plans: readonly Plan[]) => Promise<Plan | null>;

/** Parts of a plan, each with the round that it is in. */
type Parts<Part> = readonly { readonly round: number; readonly part: Part }[];

/**
 * Makes a plan that fails shorter: leaves parts of it out, as long as what is left fails in the same way. Simple, not
 * thorough: leaving something out changes also how long everything takes, and a failure may be gone for that alone.
 */
export class Shrinker {
  readonly #firstToFail: FirstToFail;
  readonly #isOver: () => boolean;
  /** Plans that are tried at once. */
  readonly #width: number;
  #plan: Plan;

  constructor(plan: Plan, firstToFail: FirstToFail, isOver: () => boolean, width: number) {
    this.#plan = plan;
    this.#firstToFail = firstToFail;
    this.#isOver = isOver;
    this.#width = width;
  }

  async shrink(): Promise<Plan> {
    await this.#leaveRoundsOut();
    await this.#endSooner();
    let before: Plan | null = null;
    while (before !== this.#plan && !this.#isOver()) {
      before = this.#plan;
      await this.#takeHostsAway();
      await this.#reduce(faultsOf, withFaults);
      await this.#leaveGuestsOut();
      await this.#reduce(stepsOf, withSteps);
    }
    return this.#plan;
  }

  /** Answers whether one of the plans took the place of what there was. */
  async #try(plans: readonly Plan[]): Promise<number> {
    if (this.#isOver() || plans.length === 0) return -1;
    const failed = await this.#firstToFail(plans);
    if (failed === null) return -1;
    this.#plan = failed;
    return plans.indexOf(failed);
  }

  /** Only the last one failed; what those before have left may matter. */
  async #leaveRoundsOut(): Promise<void> {
    const { rounds } = this.#plan;
    const kept = rounds.slice(1).map((_, from) => ({ ...this.#plan, rounds: rounds.slice(from + 1) }));
    await this.#try(kept.reverse());
  }

  /** Calm comes sooner. */
  async #endSooner(): Promise<void> {
    for (const part of [0.1, 0.25, 0.5, 0.75, 0.9]) {
      const { rounds } = this.#plan;
      const last = rounds.at(-1)!;
      const ms = last.ms * part;
      const shorter: PlannedRound = {
        ms,
        steps: last.steps.filter(({ atMs }) => atMs <= ms),
        faults: last.faults.filter(({ atMs }) => atMs <= ms),
      };
      if ((await this.#try([{ ...this.#plan, rounds: [...rounds.slice(0, -1), shorter] }])) >= 0) return;
    }
  }

  async #takeHostsAway(): Promise<void> {
    while (this.#plan.hosts > HOSTS_MIN) {
      const hosts = this.#plan.hosts - 1;
      const gone = `host${hosts + 1}`;
      const left = faultsOf(this.#plan).filter(({ part }) => !JSON.stringify(part).includes(`"${gone}"`));
      if ((await this.#try([{ ...withFaults(this.#plan, left), hosts }])) < 0) return;
    }
  }

  async #leaveGuestsOut(): Promise<void> {
    const places = new Set(stepsOf(this.#plan).map(({ part }) => Workload.placeOf(part.seed)));
    for (const place of places) {
      const left = stepsOf(this.#plan).filter(({ part }) => Workload.placeOf(part.seed) !== place);
      await this.#try([withSteps(this.#plan, left)]);
    }
  }

  /** Leaves halves out, then quarters, and so on, at last single ones. */
  async #reduce<Part>(
    partsOf: (plan: Plan) => Parts<Part>,
    withParts: (plan: Plan, parts: Parts<Part>) => Plan,
  ): Promise<void> {
    for (let size = Math.ceil(partsOf(this.#plan).length / 2); size >= 1; size = size > 1 ? Math.ceil(size / 2) : 0) {
      for (let at = 0; at < partsOf(this.#plan).length; ) {
        const parts = partsOf(this.#plan);
        const starts = Array.from({ length: this.#width }, (_, number) => at + number * size);
        const tried = starts.filter((start) => start < parts.length);
        const plans = tried.map((start) =>
          withParts(this.#plan, [...parts.slice(0, start), ...parts.slice(start + size)]),
        );
        const found = await this.#try(plans);
        if (this.#isOver()) return;
        // In the place of what was left out is what came behind it.
        at = found >= 0 ? tried[found]! : at + this.#width * size;
      }
    }
  }
}

function faultsOf({ rounds }: Plan): Parts<PlannedFault> {
  return rounds.flatMap(({ faults }, round) => faults.map((part) => ({ round, part })));
}

function stepsOf({ rounds }: Plan): Parts<PlannedStep> {
  return rounds.flatMap(({ steps }, round) => steps.map((part) => ({ round, part })));
}

function withFaults(plan: Plan, parts: Parts<PlannedFault>): Plan {
  return { ...plan, rounds: plan.rounds.map((round, at) => ({ ...round, faults: within(parts, at) })) };
}

function withSteps(plan: Plan, parts: Parts<PlannedStep>): Plan {
  return { ...plan, rounds: plan.rounds.map((round, at) => ({ ...round, steps: within(parts, at) })) };
}

function within<Part>(parts: Parts<Part>, at: number): Part[] {
  return parts.filter(({ round }) => round === at).map(({ part }) => part);
}

import { Random } from '../helpers/random.js';
import type { BegunKind } from './fault-rates.js';
import type { Fault } from './faults.js';

/** A guest's turn. */
export interface PlannedStep {
  /** Since the round began. */
  readonly atMs: number;
  /** Of all that is chosen in it. */
  readonly seed: number;
}

/** Something that goes wrong, with what ends it. */
export interface PlannedFault {
  /** Since the round began. */
  readonly atMs: number;
  readonly fault: Fault;
  readonly ends: readonly { readonly afterMs: number; readonly fault: Fault }[];
}

/** A time of trouble, which ends with calm. */
export interface PlannedRound {
  readonly ms: number;
  readonly steps: readonly PlannedStep[];
  /** In the order in which they begin. */
  readonly faults: readonly PlannedFault[];
}

/**
 * All that a run decides at random, but for how long everything takes, which follows from the seed: what guests do and
 * what goes wrong. Parts of it may be left out, and what is left is a run as well.
 */
export interface Plan {
  readonly seed: number;
  readonly hosts: number;
  /** Guests whose unflushed writes may be lost end by themselves, and need not be told. */
  readonly forgiveLosses: boolean;
  /** Of turns, those in which images are cloned, cut, deleted and so on; 0: none. */
  readonly administration: number;
  readonly rounds: readonly PlannedRound[];
}

/** What a round is made of before it is known which of its faults can be carried out. */
export interface RoundDraft {
  readonly ms: number;
  readonly steps: readonly PlannedStep[];
  /** Of the planner of faults. */
  readonly faultSeed: number;
  /** Faults come so many times as often as gentle ones. */
  readonly faultFactor: number;
  /** Faults that there are from the start. */
  readonly first: readonly BegunKind[];
}

export interface DraftOptions {
  readonly seed: number;
  /** Of all rounds together. */
  readonly steps: number;
  readonly kinds: readonly BegunKind[];
  readonly roughness: number;
}

/** Times of trouble, each of which ends with calm. */
const ROUNDS_MAX = 3;
/** A guest has a turn every so often, on average; the fastest, and how much slower it may be. */
const PACE_MS = 1;
const PACES = 20;
const FAULT_FACTORS = 12;
/** Of whole times of trouble: a run is short, and what is to show while much else goes wrong is there from the start. */
const FIRST_CHANCES: Partial<Record<BegunKind, number>> = {
  'network-rough': 0.4,
  'store-rough': 0.4,
  join: 0.3,
  drain: 0.3,
  'force-remove': 0.2,
};

/** The rounds that a seed makes. */
export function draftRounds({ seed, steps, kinds, roughness }: DraftOptions): RoundDraft[] {
  const random = new Random(seed ^ 0x5bd1e995);
  const rounds = 1 + random.below(ROUNDS_MAX);
  return Array.from({ length: rounds }, () => {
    const faultSeed = random.below(2 ** 32);
    const faultFactor = roughness * (1 + random.below(FAULT_FACTORS));
    const first = Object.entries(FIRST_CHANCES).flatMap(([kind, chance]) => {
      return kinds.includes(kind as BegunKind) && random.chance(chance) ? [kind as BegunKind] : [];
    });
    const paceMs = PACE_MS + random.below(PACES);
    let ms = 0;
    const turns = Array.from({ length: Math.ceil(steps / rounds) }, () => {
      ms += random.next() * 2 * paceMs;
      return { atMs: ms, seed: random.below(2 ** 32) };
    });
    return { ms, steps: turns, faultSeed, faultFactor, first };
  });
}

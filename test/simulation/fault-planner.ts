import type { Random } from '../helpers/random.js';
import { FaultMaker, type Made } from './fault-maker.js';
import type { BegunKind, FaultRates } from './fault-rates.js';
import { describeFault, type Fault, type FaultKind } from './faults.js';
import type { PlannedFault } from './plan.js';
import type { Scheduler } from './scheduler.js';
import type { Trace } from './trace.js';

const MINUTE_MS = 60_000;

export interface PlannerOptions {
  /** The hosts that the cluster begins with. */
  hosts: readonly string[];
  /** Those that may join it. */
  spares?: readonly string[];
  rates: FaultRates;
  /** Hosts are not drained nor removed below this many. */
  hostsMin?: number;
  /** May answer false where it is refused, such as a removal of a host that is not empty: then nothing happened. */
  carryOut(fault: Fault): boolean | undefined;
  /** Refuses a fault that the promises do not cover, such as one that destroys the last copy. Not asked about ends. */
  allows?(fault: Fault): boolean;
  trace?: Trace;
}

/** Something that ends by itself later, or with the calm. */
interface Ending {
  fault: Fault;
  cancel: () => void;
}

/** Decides, from a seed, what goes wrong in a simulated cluster and when, and has it carried out. */
export class FaultPlanner {
  /** How many of each were carried out. */
  readonly counts = new Map<FaultKind, number>();
  /** What was begun, with what was to end it. */
  readonly begun: PlannedFault[] = [];
  readonly #startedMs: number;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #options: PlannerOptions;
  readonly #maker: FaultMaker;
  readonly #kinds: BegunKind[];
  readonly #rateTotal: number;
  readonly #endings = new Set<Ending>();
  #cancelNext: (() => void) | null = null;

  constructor(scheduler: Scheduler, random: Random, options: PlannerOptions) {
    this.#scheduler = scheduler;
    this.#startedMs = scheduler.nowMs;
    this.#random = random;
    this.#options = options;
    const { hosts, spares = [], hostsMin = 3, rates } = options;
    this.#maker = new FaultMaker(random, () => scheduler.nowMs, { hosts, spares, hostsMin });
    this.#kinds = (Object.keys(rates) as BegunKind[]).filter((kind) => rates[kind] > 0);
    this.#rateTotal = this.#kinds.reduce((total, kind) => total + rates[kind], 0);
  }

  /** Lets faults begin, from now until `calm`. */
  start(): void {
    if (this.#rateTotal === 0 || this.#cancelNext !== null) return;
    const delayMs = (-Math.log(1 - this.#random.next()) / this.#rateTotal) * MINUTE_MS;
    this.#cancelNext = this.#scheduler.after(delayMs, () => {
      this.#cancelNext = null;
      this.begin(this.#chooseKind());
      this.start();
    });
  }

  /** As `start`, with faults of these kinds now. */
  startWith(kinds: readonly BegunKind[]): void {
    for (const kind of kinds) this.begin(kind);
    this.start();
  }

  /** Begins a fault of this kind now, if there can be one. Answers whether it did. */
  begin(kind: BegunKind): boolean {
    const made = this.#maker.make(kind);
    return made !== null && this.#begin(made);
  }

  /** Begins what another planner began, each at its time since that one was made, as far as it can be now. */
  repeat(faults: readonly PlannedFault[]): void {
    const begin = (at: number) => {
      const planned = faults[at];
      if (planned === undefined) return;
      this.#cancelNext = this.#scheduler.at(Math.max(this.#scheduler.nowMs, this.#startedMs + planned.atMs), () => {
        this.#cancelNext = null;
        this.#begin(planned);
        begin(at + 1);
      });
    };
    begin(0);
  }

  #begin({ fault, ends }: Omit<Made, 'ends'> & Pick<PlannedFault, 'ends'>): boolean {
    if (this.#options.allows?.(fault) === false || !this.#carryOut(fault)) return false;
    this.begun.push({ atMs: this.#scheduler.nowMs - this.#startedMs, fault, ends });
    for (const end of ends) this.#endAfter(end.afterMs, end.fault);
    return true;
  }

  /** Ends all that lasts, at once, and begins nothing more. */
  calm(): void {
    this.#cancelNext?.();
    this.#cancelNext = null;
    for (const { fault, cancel } of [...this.#endings]) {
      cancel();
      // Who is half out of the cluster stays in it.
      if (fault.kind === 'force-remove') continue;
      const isDone = this.#carryOut(fault);
      if (!isDone && fault.kind === 'remove') this.#carryOut({ kind: 'undrain', host: fault.host });
    }
    this.#endings.clear();
    this.#carryOut({ kind: 'calm' });
  }

  #endAfter(afterMs: number, fault: Fault): void {
    const ending: Ending = {
      fault,
      cancel: this.#scheduler.after(afterMs, () => {
        this.#endings.delete(ending);
        const ended = this.#carryOut(fault);
        if (!ended && fault.kind === 'remove') this.#carryOut({ kind: 'undrain', host: fault.host });
      }),
    };
    this.#endings.add(ending);
  }

  #carryOut(fault: Fault): boolean {
    // An end may have nothing left to end: a host that was forced out meanwhile does not start.
    if (!this.#maker.applies(fault)) return false;
    this.#options.trace?.note('fault', describeFault(fault));
    if (this.#options.carryOut(fault) === false) {
      this.#options.trace?.note('fault', 'refused');
      return false;
    }
    this.#maker.note(fault);
    this.counts.set(fault.kind, (this.counts.get(fault.kind) ?? 0) + 1);
    return true;
  }

  #chooseKind(): BegunKind {
    let rest = this.#random.next() * this.#rateTotal;
    for (const kind of this.#kinds) {
      rest -= this.#options.rates[kind];
      if (rest < 0) return kind;
    }
    return this.#kinds.at(-1)!;
  }
}

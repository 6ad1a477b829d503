import type { Coordination, KeyValue, Transaction, TransactionResult, Watch } from '../coordination/coordination.js';
import { ALIVE_PREFIX } from './alive-record.js';
import type { Clock } from './clock.js';
import type { Conductor } from './conductor.js';
import type { Report } from './observation.js';
import { RecordError } from './record.js';

/** Looks in a TTL: enough that a renewal is seen well within half of one. */
const LOOKS_PER_TTL = 8;
/** A store that has not answered for so many TTLs is asked anew. */
const PATIENCE_TTLS = 0.5;

export interface ConductorDriverOptions {
  readonly coordination: Coordination;
  readonly clock: Clock;
  readonly conductor: Conductor;
  readonly ttlMs: number;
  /** The store did not do what was asked, or holds what this release cannot read. It is tried again. */
  failed(error: unknown): void;
  /** Something was stored: the map, or somebody is thrown out or let in. */
  decided?(reason: string): void;
  /** A round has ended. */
  looked?(): void;
}

/** One round: a look and what follows from it. What comes back after it was given up is ignored. */
interface Round {
  startedAtMs: number;
}

/** Runs a conductor on a clock: each host has one, as each may become it. */
export class ConductorDriver {
  readonly #options: ConductorDriverOptions;
  #round: Round | null = null;
  #cancel: (() => void) | null = null;
  /** Of heartbeats, while this host conducts. */
  #watch: Watch | null = null;
  /** The next look is made when this round ends. */
  #isHurried = false;
  #closed = false;

  constructor(options: ConductorDriverOptions) {
    this.#options = options;
  }

  start(): void {
    this.#tick();
  }

  /** Nothing that is under way has an effect afterwards, but what the store was asked already. */
  close(): void {
    this.#closed = true;
    this.#cancel?.();
    this.#watch?.close();
    this.#round = null;
  }

  /** Looks now, or when the look that is under way has been dealt with: there is something new to be seen. */
  hurry(): void {
    if (!this.#closed) this.#hurry();
  }

  report(report: Report): void {
    this.#options.conductor.report(this.#options.clock.elapsedMs(), report);
  }

  #tick(): void {
    if (this.#closed) return;
    const { clock, ttlMs, failed, conductor } = this.#options;
    this.#cancel = clock.after(ttlMs / LOOKS_PER_TTL, () => this.#tick());
    const nowMs = clock.elapsedMs();
    if (this.#round !== null && nowMs - this.#round.startedAtMs < ttlMs * PATIENCE_TTLS) return;
    const round = { startedAtMs: nowMs };
    this.#round = round;
    this.#run(round).then(
      () => this.#end(round),
      (error: unknown) => {
        if (this.#round !== round) return;
        // A store that is away keeps nobody in office; what this release cannot read, another host may.
        if (error instanceof RecordError) conductor.standDown(clock.elapsedMs());
        this.#end(round);
        failed(error);
      },
    );
  }

  #end(round: Round): void {
    if (this.#round !== round) return;
    this.#round = null;
    this.#follow();
    this.#options.looked?.();
    if (this.#isHurried) this.#hurry();
  }

  #hurry(): void {
    this.#isHurried = this.#round !== null;
    if (this.#isHurried) return;
    this.#cancel?.();
    this.#tick();
  }

  /** A host that has started waits for a map: the conductor hears of it before its next look. */
  #follow(): void {
    const { conductor, coordination } = this.#options;
    if (!conductor.isConductor || this.#closed) {
      this.#watch?.close();
      this.#watch = null;
      return;
    }
    this.#watch ??= coordination.watch(ALIVE_PREFIX, (events) => {
      if (events.some(({ type, keyValue }) => type === 'put' && this.#isAwaited(keyValue))) this.#hurry();
    });
  }

  #isAwaited(heartbeat: KeyValue): boolean {
    try {
      return this.#options.conductor.isAwaited(heartbeat);
    } catch {
      // The next look says what is to be done about it.
      return false;
    }
  }

  async #run(round: Round): Promise<void> {
    const { clock, conductor, decided } = this.#options;
    const look = await this.#ask(round, conductor.look(round.startedAtMs));
    if (look === null) return;
    conductor.looked(round.startedAtMs, clock.elapsedMs(), look);
    this.#isHurried ||= conductor.mayTakeAt(clock.elapsedMs());
    for (const { transaction, reason, done } of conductor.decide(clock.elapsedMs())) {
      const result = await this.#ask(round, transaction);
      if (result === null) return;
      done(result);
      if (result.succeeded) decided?.(reason);
    }
  }

  /** Null where the round was given up meanwhile. */
  async #ask(round: Round, transaction: Transaction): Promise<TransactionResult | null> {
    const result = await this.#options.coordination.transaction(transaction);
    return this.#round === round ? result : null;
  }
}

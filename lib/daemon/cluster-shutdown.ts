import { type Clock, pause } from '../cluster/clock.js';
import type { Coordination, Watch } from '../coordination/coordination.js';

/** `/shutdown` has been asked for; below it is a key for each host that has written everything. */
const KEY = '/shutdown';
const WRITTEN_PREFIX = `${KEY}/`;
/** A host that has not written everything by then is not waited for any longer. */
const WAIT_MS_MAX = 20_000;
const LOOK_MS = 100;

export interface ClusterShutdownOptions {
  readonly coordination: Coordination;
  readonly clock: Clock;
  readonly host: string;
  /** Hosts that are up. */
  up(): readonly string[];
}

/**
 * The end of all hosts in order: each writes what it has to write while all others still answer, and only then they go.
 */
export class ClusterShutdown {
  readonly #options: ClusterShutdownOptions;
  #watch: Watch | null = null;
  #isAsked = false;

  constructor(options: ClusterShutdownOptions) {
    this.#options = options;
  }

  /** Calls `listener` when it is asked for, on whichever host. */
  onAsked(listener: () => void): void {
    this.#watch = this.#options.coordination.watch(KEY, (events) => {
      if (this.#isAsked || !events.some(({ type, keyValue }) => type === 'put' && keyValue.key === KEY)) return;
      this.#isAsked = true;
      listener();
    });
  }

  /** Asks all hosts to end, this one too. Rejects as the store does. */
  async ask(): Promise<void> {
    const { coordination, host } = this.#options;
    const value = Buffer.from(JSON.stringify({ format: 1, by: host }));
    await coordination.transaction({ success: [{ deletePrefix: WRITTEN_PREFIX }] });
    await coordination.transaction({ success: [{ put: KEY, value }] });
  }

  /** This host has written everything: resolves when all have, or are not waited for any longer. At once without a shutdown. */
  async written(): Promise<void> {
    if (!this.#isAsked) return;
    const { coordination, clock, host, up } = this.#options;
    const endMs = clock.elapsedMs() + WAIT_MS_MAX;
    const value = Buffer.from('{"format":1}');
    try {
      await coordination.transaction({ success: [{ put: WRITTEN_PREFIX + host, value }] });
      while (clock.elapsedMs() < endMs) {
        const written = (await coordination.range(WRITTEN_PREFIX)).map(({ key }) => key.slice(WRITTEN_PREFIX.length));
        if (up().every((other) => written.includes(other))) return;
        await pause(clock, LOOK_MS);
      }
    } catch {
      // The store has gone, and with it those who kept it: they had waited for this host.
    }
  }

  close(): void {
    this.#watch?.close();
  }
}

import type { Clock } from '../cluster/clock.js';
import { type ClusterMap, isUpWith } from '../cluster/cluster-map.js';
import type { Conductor } from '../cluster/conductor.js';
import type { ConductorDriver } from '../cluster/conductor-driver.js';
import type { HostLiveness } from '../cluster/liveness.js';
import type { LivenessDriver } from '../cluster/liveness-driver.js';

/** Rounds of the conductor, one after the other, until the map has its host up. */
const ROUNDS_MAX = 20;
/**
 * What changes within this time goes into one map: members that become complete one after the other would else make one
 * each, and with each map the changes of its groups are held for some ten milliseconds.
 */
const GATHERED_MS = 200;

export interface LonePaceOptions {
  readonly host: string;
  readonly clock: Clock;
  readonly liveness: HostLiveness;
  readonly beat: LivenessDriver;
  readonly conductor: Conductor;
  readonly conducting: ConductorDriver;
  map(): ClusterMap;
}

/**
 * Has each step of the map follow the one before at once, on a host that has nobody else to wait for: the timers of a
 * cluster would make its start, and each group that moves, take seconds.
 */
export class LonePace {
  readonly #options: LonePaceOptions;
  #roundsLeft = ROUNDS_MAX;
  /** There is something new to be seen when the host has adopted the map that is stored. */
  #isHeldUp = false;
  #cancelGathering: (() => void) | null = null;

  constructor(options: LonePaceOptions) {
    this.#options = options;
  }

  close(): void {
    this.#cancelGathering?.();
  }

  /** Something that the map is made from has changed. */
  hurry(): void {
    this.#cancelGathering ??= this.#options.clock.after(GATHERED_MS, () => {
      this.#cancelGathering = null;
      this.#look();
    });
  }

  /**
   * A map that replaces one which is not adopted yet would have the host stop answering with its next heartbeat, until it
   * has caught up.
   */
  #look(): void {
    this.#isHeldUp = this.#isBehind;
    if (!this.#isHeldUp) this.#options.conducting.hurry();
  }

  /** Whether the host is still to adopt the map that is stored. */
  get #isBehind(): boolean {
    const { conductor, map } = this.#options;
    return conductor.epoch > map().epoch;
  }

  adopted(map: ClusterMap): void {
    // Whoever leaves a group waits until this map is seen to be adopted.
    if (isChanging(map)) this.#options.beat.renew();
    if (this.#isHeldUp) this.#look();
  }

  incarnationChanged(): void {
    this.#roundsLeft = ROUNDS_MAX;
  }

  /** The conductor has ended a round. */
  looked(): void {
    const { host, liveness, conductor, beat, map } = this.#options;
    if (this.#roundsLeft === 0 || isUpWith(map(), host, liveness.incarnation)) return;
    // It may be up by the map that it is about to adopt.
    if (!this.#isBehind) {
      this.#roundsLeft--;
      if (conductor.isConductor) beat.renew();
    }
    this.#look();
  }
}

/** Whether a group has members that come or go. */
function isChanging({ tables }: ClusterMap): boolean {
  return Object.values(tables).some((table) => table.some(({ joined, leaving }) => joined || leaving));
}

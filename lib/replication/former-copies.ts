import { type Clock, pause } from '../cluster/clock.js';
import { type ClusterMap, isFullWithout, zonesForData } from '../cluster/cluster-map.js';
import { deleteGroup } from '../store/delete-group.js';
import type { GroupLayout } from '../store/group-list.js';
import { type GroupName, groupNumber } from '../store/group-records.js';
import type { Disk } from '../store/index.js';
import type { IndexLocks } from './index-locks.js';

/** Between two commits of a deletion, in which others work. */
const BATCH_PAUSE_MS = 20;
/** Between two looks for groups whose time has come. */
const LOOK_MS = 5000;

export interface FormerCopiesContext {
  readonly clock: Clock;
  /** How long a copy that is needed no more is kept: its disk may become a member again, and has less to pull then. */
  readonly keptMs: number;
  layout(copies: number): GroupLayout;
  /** Resolves when nothing of an earlier stay in the group is under way. */
  idle(group: GroupName): Promise<void>;
  /** What is a defect of ours or of the disk. */
  onError(error: unknown): void;
}

/**
 * Deletes what one disk has of groups that it is no member of, one at a time in the background: under a map in which they
 * have all the complete copies that they can have, without this one. Ends when the disk becomes a member again.
 */
export class FormerCopies {
  readonly #disk: Disk;
  readonly #locks: IndexLocks;
  readonly #context: FormerCopiesContext;
  /** By group, since when it has not been needed; on this host's clock. */
  readonly #waiting = new Map<number, { group: GroupName; sinceMs: number }>();
  #running: { group: GroupName; stop: AbortController; ended: Promise<void> } | null = null;
  #cancel: (() => void) | null = null;
  #closed = false;

  constructor(disk: Disk, locks: IndexLocks, context: FormerCopiesContext) {
    this.#disk = disk;
    this.#locks = locks;
    this.#context = context;
  }

  /**
   * To be awaited before a newer map is adopted: what it makes a member of is not deleted any more. What it has in sync, by
   * force, is so when the last commit of a deletion has ended; what is to join waits for `settled`.
   */
  async prepare(map: ClusterMap): Promise<void> {
    const isFormer = this.#formerBy(map);
    for (const [number, { group }] of this.#waiting) if (!isFormer(group)) this.#waiting.delete(number);
    if (!this.#running || isFormer(this.#running.group)) return;
    const { group, stop, ended } = this.#running;
    stop.abort();
    if (map.tables[group.copies]?.[group.pg]?.insync.includes(this.#disk.number)) await ended;
  }

  mapAdopted(map: ClusterMap): void {
    const nowMs = this.#context.clock.elapsedMs();
    const isFormer = this.#formerBy(map);
    const before = new Map(this.#waiting);
    this.#waiting.clear();
    for (const { copies, pg } of this.#disk.groups.all()) {
      const group = { copies, pg };
      const number = groupNumber(group);
      if (isFormer(group)) this.#waiting.set(number, before.get(number) ?? { group, sinceMs: nowMs });
    }
    this.#next();
  }

  #formerBy(map: ClusterMap): (group: GroupName) => boolean {
    let zones: number | null = null;
    return (group) => {
      zones ??= zonesForData(map);
      return isFullWithout(map, group, this.#disk.number, zones);
    };
  }

  /** Resolves when nothing is being deleted of a group that the disk has become a member of. */
  async settled(group: GroupName): Promise<void> {
    if (this.#running && groupNumber(this.#running.group) === groupNumber(group)) await this.#running.ended;
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
    this.#running?.stop.abort();
  }

  /** Resolves when nothing is being deleted any more, after `close`. */
  async ended(): Promise<void> {
    await this.#running?.ended;
  }

  /** Begins with the group whose time has come, or waits for it. */
  #next(): void {
    this.#cancel?.();
    this.#cancel = null;
    if (this.#closed || this.#running || this.#disk.failed || this.#waiting.size === 0) return;
    const nowMs = this.#context.clock.elapsedMs();
    // Others need the space more than this disk the time.
    const keptMs = this.#disk.space.state === 'ok' ? this.#context.keptMs : 0;
    const due = [...this.#waiting.values()].find(({ sinceMs }) => nowMs - sinceMs >= keptMs);
    if (due) this.#begin(due.group);
    else this.#cancel = this.#context.clock.after(LOOK_MS, () => this.#next());
  }

  #begin(group: GroupName): void {
    const stop = new AbortController();
    const ended = this.#delete(group, stop.signal)
      .then(() => {
        if (!stop.signal.aborted) this.#waiting.delete(groupNumber(group));
      })
      .catch((error) => {
        // It is not tried again before there is another map.
        this.#waiting.delete(groupNumber(group));
        if (!this.#disk.failed && !this.#closed) this.#context.onError(error);
      })
      .then(() => {
        this.#running = null;
        this.#next();
      });
    this.#running = { group, stop, ended };
  }

  async #delete(group: GroupName, signal: AbortSignal): Promise<void> {
    const { clock, layout, idle } = this.#context;
    await idle(group);
    if (signal.aborted) return;
    await deleteGroup(this.#disk, layout(group.copies), group, {
      signal,
      exclusive: (family, index) => this.#locks.exclusive(family, index),
      pause: () => pause(clock, BATCH_PAUSE_MS),
    });
  }
}

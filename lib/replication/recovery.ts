import { type Clock, pause } from '../cluster/clock.js';
import { type ClusterMap, groupIn, isSource } from '../cluster/cluster-map.js';
import type { GroupLayout, ListedEntry } from '../store/group-list.js';
import { listGroup } from '../store/group-list.js';
import type { GroupName, Stay } from '../store/group-records.js';
import type { Disk } from '../store/index.js';
import { pullIndex } from '../store/object-pull.js';
import { StoreError } from '../store/store-error.js';
import type { IndexName } from '../store/to-do.js';
import type { IndexLocks } from './index-locks.js';
import type { Inquiries } from './inquiries.js';
import { type LayerRules, underRules } from './layer-rules.js';
import type {
  DescribeAnswer,
  DescribeRequest,
  FetchAnswer,
  FetchRequest,
  ListAnswer,
  ListRequest,
  Reply,
} from './messages.js';

/** Indexes of a disk that are pulled at the same time, those that a write waits for not counted. */
const PULLS_PARALLEL = 4;
/** Items of a to-do list taken up at once. */
const ITEMS_BATCH = 64;
/** Before a source that did not answer as hoped is asked again, unless a new map comes first. */
const RETRY_MS = 250;

/** A member of `acting` reports that its copy is complete: on disk, all of it. */
export interface Completed extends GroupName {
  readonly disk: number;
  /** The epoch in which it joined `acting`. */
  readonly joined: number;
}

export interface RecoveryContext {
  readonly layers: LayerRules;
  readonly clock: Clock;
  readonly inquiries: Inquiries;
  readonly bootId: string;
  /** The map that this host has adopted. */
  map(): ClusterMap;
  fetchMap(epoch: number): void;
  layout(copies: number): GroupLayout;
  /** Called when more may be complete, or the state of a to-do list has changed. */
  onChange(): void;
  /** To be awaited before an index that was installed is used: what is active there is as new as the group. */
  onInstalled(disk: Disk): Promise<void>;
  /** An index is equal to its source's, or was before. */
  onPulled(disk: number, family: number, index: number): void;
  /** Resolves when nothing is being deleted any more of what the disk had of a group before this stay. */
  settled(group: GroupName): Promise<void>;
  /** What is a defect of ours or of the disk. */
  onError(error: unknown): void;
}

interface Joining {
  readonly group: GroupName;
  readonly stay: Stay;
  listed: boolean;
  done: boolean;
  readonly stop: AbortController;
  /** Of this stay, under way: one that ends late must not take an index off a later stay's list. */
  readonly pulls: Map<string, Promise<void>>;
  /** Of them those that a write waits for. */
  readonly urgent: Set<string>;
  /** Questions that are under way, each with the source that is asked. */
  readonly asked: Map<() => void, { disk: number; host: string }>;
}

/** The source has changed, gone or refused, or there is no room: to be tried again, by the newest map. */
class NotNow extends Error {}

/**
 * Makes the groups of one disk complete that are in `acting` and not in `insync`: lists what an in-sync member has, keeps
 * what differs as a to-do list on the disk, pulls it, syncs everything, and says so.
 */
export class Recovery {
  readonly #disk: Disk;
  readonly #locks: IndexLocks;
  readonly #context: RecoveryContext;
  readonly #joining = new Map<string, Joining>();
  /** Pulls of stays that are over, by group. */
  readonly #ending = new Map<string, Promise<void>[]>();
  #wake: (() => void)[] = [];
  #pulling = 0;
  /** Attempts to pull an index that are under way. */
  readonly #attempts = new Set<Promise<void>>();
  #closed = false;

  constructor(disk: Disk, locks: IndexLocks, context: RecoveryContext) {
    this.#disk = disk;
    this.#locks = locks;
    this.#context = context;
  }

  /** Groups whose copy has become complete in the present stay. */
  get completed(): Completed[] {
    const { number: disk } = this.#disk;
    return [...this.#joining.values()]
      .filter(({ done }) => done)
      .map(({ group, stay }) => ({ ...group, disk, joined: stay.epoch }));
  }

  /** Whether an index must be pulled before anything is written to it; until the list is stored, every one. */
  isToDo(group: GroupName, family: number, index: number): boolean {
    const joining = this.#joining.get(keyOf(group));
    if (!joining || joining.done) return false;
    return !joining.listed || this.#disk.toDo.has(group, family, index);
  }

  /** Takes up the stays that the map begins, and ends those that are over. */
  mapAdopted(map: ClusterMap): void {
    const wanted = new Map<string, { group: GroupName; epoch: number }>();
    for (const [copies, table] of Object.entries(map.tables)) {
      for (const [pg, { acting, insync, joined }] of table.entries()) {
        if (!acting.includes(this.#disk.number) || insync.includes(this.#disk.number)) continue;
        const group = { copies: Number(copies), pg };
        const epoch = joined?.[this.#disk.number];
        // On its way out: it has been complete.
        if (epoch !== undefined) wanted.set(keyOf(group), { group, epoch });
      }
    }
    for (const [key, joining] of this.#joining) {
      if (wanted.get(key)?.epoch === joining.stay.epoch) continue;
      end(joining);
      this.#joining.delete(key);
      this.#ending.set(key, [...(this.#ending.get(key) ?? []), ...joining.pulls.values()]);
    }
    for (const { group, asked } of this.#joining.values()) {
      for (const [cancel, source] of [...asked]) if (!isThere(map, group, source)) cancel();
    }
    for (const [key, { group, epoch }] of wanted) if (!this.#joining.has(key)) this.#join(key, group, epoch);
    this.#wakeAll();
  }

  /** Resolves when no pull of an earlier stay in the group is under way. */
  async idle(group: GroupName): Promise<void> {
    const key = keyOf(group);
    await Promise.allSettled(this.#ending.get(key) ?? []);
    this.#ending.delete(key);
  }

  /** Pulls an index that a write waits for, ahead of all others. Never rejects. */
  async pullNow(group: GroupName, family: number, index: number): Promise<void> {
    const joining = this.#joining.get(keyOf(group));
    while (joining && !joining.listed && !joining.stop.signal.aborted) await this.#changed();
    if (joining && this.isToDo(group, family, index)) {
      const name = nameOf(family, index);
      joining.urgent.add(name);
      this.#wakeAll();
      await this.#pull(joining, family, index).finally(() => joining.urgent.delete(name));
    }
    this.#context.onPulled(this.#disk.number, family, index);
  }

  /** Resolves when the attempts to pull something that are under way have ended. */
  async attemptsEnd(): Promise<void> {
    await Promise.allSettled(this.#attempts);
  }

  close(): void {
    this.#closed = true;
    for (const joining of this.#joining.values()) end(joining);
    this.#wakeAll();
  }

  #join(key: string, group: GroupName, epoch: number): void {
    const stay = { epoch, bootId: this.#context.bootId };
    const stop = new AbortController();
    const joining: Joining = {
      group,
      stay,
      listed: false,
      done: false,
      stop,
      pulls: new Map(),
      urgent: new Set(),
      asked: new Map(),
    };
    this.#joining.set(key, joining);
    this.#run(joining).catch((error) => {
      if (!joining.stop.signal.aborted && !this.#disk.failed) this.#context.onError(error);
    });
  }

  async #run(joining: Joining): Promise<void> {
    const { group, stay, stop } = joining;
    await this.idle(group);
    await this.#context.settled(group);
    if (stop.signal.aborted) return;
    joining.listed = this.#disk.toDo.isStored(group, stay);
    while (!joining.listed) {
      const items = await this.#retried(joining, () => this.#compare(joining));
      if (!items) return;
      if (stop.signal.aborted) return;
      await this.#disk.toDo.store(group, stay, items);
      joining.listed = true;
    }
    this.#context.onChange();
    this.#wakeAll();
    await this.#work(joining);
    if (stop.signal.aborted) return;
    await this.#disk.flushAll();
    if (stop.signal.aborted) return;
    joining.done = true;
    this.#context.onChange();
  }

  /** The epoch up to which this disk was complete, as the group's copies of today have it. */
  #insyncEpoch(group: GroupName): number | null {
    const epoch = this.#disk.groups.get(group)?.insyncEpoch ?? null;
    const { forced = 0 } = groupIn(this.#context.map(), group.copies, group.pg);
    return epoch !== null && epoch >= forced ? epoch : null;
  }

  /**
   * The indexes that may differ from the source's: those written since this disk was last known to be in sync, its own
   * active ones, and where either has an entry that the other lacks.
   */
  async #compare(joining: Joining): Promise<IndexName[]> {
    const { group } = joining;
    const theirs = await this.#listSource(joining);
    const own = new Map<string, ListedEntry>();
    for await (const entries of listGroup(this.#disk, this.#context.layout(group.copies), group.pg)) {
      for (const entry of entries) own.set(entryKey(entry), entry);
    }
    const insync = this.#insyncEpoch(group);
    const items = new Map<string, IndexName>();
    const add = ({ family, index }: IndexName) => items.set(`${family}/${index}`, { family, index });
    for (const entry of theirs) {
      const key = entryKey(entry);
      const mine = own.get(key);
      own.delete(key);
      if (!mine || mine.kind !== entry.kind || insync === null || entry.modified >= insync || mine.active) add(entry);
    }
    for (const entry of own.values()) add(entry);
    // An active object may have no entry: what was discarded at one copy only.
    const { groupOf, has } = this.#context.layout(group.copies);
    for (const { family, index } of this.#disk.index.activeObjects()) {
      if (has(family) && groupOf(family, index) === group.pg) add({ family, index });
    }
    return [...items.values()];
  }

  async #listSource(joining: Joining): Promise<ListedEntry[]> {
    const { group } = joining;
    const { disk, host, epoch } = this.#source(group);
    const found: ListedEntry[] = [];
    for (let after: ListRequest['after'] = null; ; ) {
      const reply: ListAnswer = await this.#ask<ListAnswer>(joining, host, {
        type: 'list',
        disk,
        ...group,
        epoch,
        after,
      });
      found.push(...reply.entries);
      const last: ListedEntry | undefined = reply.entries.at(-1);
      if (reply.complete || !last) return found;
      after = { family: last.family, index: last.index };
    }
  }

  /** Pulls everything on the list. */
  async #work(joining: Joining): Promise<void> {
    const { group, stop } = joining;
    while (!stop.signal.aborted && !this.#closed) {
      const items = this.#disk.toDo.items(group, null, ITEMS_BATCH);
      if (items.length === 0) return;
      await Promise.all(items.map(({ family, index }) => this.#pullInTurn(joining, family, index)));
    }
  }

  async #pullInTurn(joining: Joining, family: number, index: number): Promise<void> {
    while (this.#pulling >= PULLS_PARALLEL && !joining.stop.signal.aborted) await this.#changed();
    if (joining.stop.signal.aborted) return;
    this.#pulling++;
    try {
      await this.#pull(joining, family, index);
    } finally {
      this.#pulling--;
      this.#wakeAll();
    }
  }

  /** One pull of an index at a time; whoever comes second waits for the first. */
  #pull(joining: Joining, family: number, index: number): Promise<void> {
    const name = nameOf(family, index);
    let pull = joining.pulls.get(name);
    if (!pull) {
      pull = this.#retried(joining, () => this.#pullOnce(joining, family, index)).then(() => undefined);
      pull = pull.finally(() => joining.pulls.delete(name));
      joining.pulls.set(name, pull);
    }
    return pull;
  }

  #pullOnce(joining: Joining, family: number, index: number): Promise<void> {
    const attempt = this.#attempt(joining, family, index).finally(() => this.#attempts.delete(attempt));
    this.#attempts.add(attempt);
    return attempt;
  }

  async #attempt(joining: Joining, family: number, index: number): Promise<void> {
    const { group } = joining;
    const urgent = joining.urgent.has(nameOf(family, index));
    const lock = await this.#locks.exclusive(family, index);
    try {
      if (!this.#disk.toDo.has(group, family, index)) return;
      const { disk, host, epoch } = this.#source(group);
      const where = { disk, ...group, epoch, family, index };
      const answer = await this.#ask<DescribeAnswer>(joining, host, { type: 'describe', ...where });
      const { doubts } = answer;
      const description = underRules(answer.description, this.#context.layers);
      const all = [doubts];
      await pullIndex(this.#disk, { pg: group.pg, family, index }, description, {
        group,
        urgent,
        fetch: async ({ layer, serial, offset, length }) => {
          const ranges = [{ offset, length }];
          const answer = await this.#ask<FetchAnswer>(joining, host, {
            type: 'fetch',
            ...where,
            layer,
            serial,
            ranges,
          });
          all.push(answer.doubts);
          return answer.blocks[0]!;
        },
        installing: () => this.#disk.ring?.inherit(all),
      });
      await this.#context.onInstalled(this.#disk);
    } catch (error) {
      // There may be more later. A write that waits has the reserve, behind which there is nothing.
      if (!urgent && error instanceof StoreError && error.code === 'ENOSPC') throw new NotNow('no room');
      throw error;
    } finally {
      lock.release();
    }
    this.#context.onPulled(this.#disk.number, family, index);
  }

  /** Tries until it succeeds, by whatever map and source there are then. Null once the stay is over. */
  async #retried<T>({ stop }: Joining, attempt: () => Promise<T>): Promise<T | null> {
    while (!stop.signal.aborted && !this.#closed) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof NotNow)) throw error;
        await Promise.race([this.#changed(), pause(this.#context.clock, RETRY_MS)]);
      }
    }
    return null;
  }

  /** An in-sync member on a host that is up; on this host where there is one. */
  #source({ copies, pg }: GroupName): { disk: number; host: string; epoch: number } {
    const map = this.#context.map();
    const own = map.disks[this.#disk.number]?.host;
    const candidates = (map.tables[copies]?.[pg]?.insync ?? [])
      .filter((disk) => disk !== this.#disk.number)
      .map((disk) => ({ disk, host: map.disks[disk]?.host ?? '', epoch: map.epoch }))
      .filter((each) => isThere(map, { copies, pg }, each));
    const source = candidates.find(({ host }) => host === own) ?? candidates[0];
    if (!source) throw new NotNow('no in-sync member is up');
    return source;
  }

  async #ask<Body>(
    { stop, group, asked }: Joining,
    host: string,
    request: Omit<ListRequest, 'request'> | Omit<DescribeRequest, 'request'> | Omit<FetchRequest, 'request'>,
  ): Promise<Body> {
    const source = { disk: request.disk, host };
    if (stop.signal.aborted || !isThere(this.#context.map(), group, source))
      throw new NotNow(`${host} is no source any more`);
    const { answer, cancel } = this.#context.inquiries.ask(host, (number) => ({ ...request, request: number }));
    asked.set(cancel, source);
    const reply: Reply | null = await answer.finally(() => asked.delete(cancel));
    if (stop.signal.aborted || !reply) throw new NotNow(`${host} is gone`);
    if (reply.refusal) {
      if (reply.refusal.reason === 'map') this.#context.fetchMap(reply.refusal.epoch);
      throw new NotNow(`${host} refused: ${reply.refusal.reason}`);
    }
    return reply.body as Body;
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake.push(resolve);
    });
  }

  #wakeAll(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const each of wake) each();
  }
}

function end({ stop, asked }: Joining): void {
  stop.abort();
  for (const cancel of [...asked.keys()]) cancel();
}

/** Whether the group may be recovered from there now. */
function isThere(map: ClusterMap, { copies, pg }: GroupName, { disk, host }: { disk: number; host: string }): boolean {
  const group = map.tables[copies]?.[pg];
  return group !== undefined && isSource(group, disk) && map.hosts[host]?.up === true;
}

function keyOf({ copies, pg }: GroupName): string {
  return `${copies}/${pg}`;
}

function nameOf(family: number, index: number): string {
  return `${family}/${index}`;
}

function entryKey({ family, index, layer }: ListedEntry): string {
  return `${family}/${index}/${layer}`;
}

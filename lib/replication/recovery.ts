import type { Clock } from '../cluster/clock.js';
import { type ClusterMap, groupIn, isSource } from '../cluster/cluster-map.js';
import type { GroupLayout, ListedEntry } from '../store/group-list.js';
import { listGroup } from '../store/group-list.js';
import type { GroupName, Stay } from '../store/group-records.js';
import type { Disk } from '../store/index.js';
import { type IndexDescription, pullIndex } from '../store/object-pull.js';
import { StoreError } from '../store/store-error.js';
import type { IndexName } from '../store/to-do.js';
import type { WriteOrder } from '../store/write-order.js';
import type { RingDoubts } from '../store/write-ring.js';
import type { IndexLocks } from './index-locks.js';
import type { Inquiries } from './inquiries.js';
import { type LayerRules, underRules } from './layer-rules.js';
import { differingIndexes } from './list-difference.js';
import type {
  DescribeAnswer,
  DescribeRequest,
  FetchAnswer,
  FetchRequest,
  ListAnswer,
  ListRequest,
  Reply,
} from './messages.js';
import { PullQueue } from './pull-queue.js';
import { PullMeter, type RecoveryProgress } from './recovery-progress.js';

/** Items of a to-do list taken up at once, ... */
const ITEMS_BATCH = 64;
/** ... of which so many wait for their turn at a time. */
const ITEMS_PARALLEL = 4;
/** Groups of a disk whose lists are compared at the same time, those that a write waits for not counted. */
const LISTS_PARALLEL = 4;
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
  /** That a disk may get, but for what writes wait for. */
  readonly bytesPerSecond: number;
  /** Whether guests have requests at this host now: recovery gives way to them. */
  isBusy(): boolean;
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
  /** In which order groups are completed. */
  readonly rank: number;
  listed: boolean;
  /** The list is being stored, which another stay's must not mix with. */
  listing: Promise<void> | null;
  /** A write waits for the list. */
  hurried: boolean;
  done: boolean;
  readonly stop: AbortController;
  /** Of this stay, under way: one that ends late must not take an index off a later stay's list. */
  readonly pulls: Map<string, Promise<void>>;
  /** Of them those that a write waits for. */
  readonly urgent: Set<string>;
  /** Of them those that wait for their turn: given up where a write comes to wait for it. */
  readonly waiting: Map<string, AbortController>;
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
  /** Pulls and lists of stays that are over, by group. */
  readonly #ending = new Map<string, Promise<void>[]>();
  readonly #queue: PullQueue;
  readonly #meter: PullMeter;
  readonly #runs = new Set<Promise<void>>();
  readonly #wake = new Set<() => void>();
  /** Groups that wait for their turn to be compared. */
  readonly #turns = new Set<() => void>();
  #joins = 0;
  /** Lists that are being compared. */
  #comparing = 0;
  /** Attempts to pull an index that are under way. */
  readonly #attempts = new Set<Promise<unknown>>();
  #closed = false;

  constructor(disk: Disk, locks: IndexLocks, context: RecoveryContext) {
    this.#disk = disk;
    this.#locks = locks;
    this.#context = context;
    const { clock, bytesPerSecond, isBusy } = context;
    this.#queue = new PullQueue({ clock, bytesPerSecond, isBusy });
    this.#meter = new PullMeter(clock);
  }

  get progress(): RecoveryProgress {
    const open = [...this.#joining.values()].filter(({ done }) => !done);
    const listed = open.filter((joining) => joining.listed);
    const left = listed.reduce((sum, { group }) => sum + this.#disk.toDo.count(group), 0);
    return this.#meter.progress(this.#disk.number, open.length, open.length - listed.length, left);
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
      this.#ending.set(key, [...(this.#ending.get(key) ?? []), ...underWay(joining)]);
    }
    for (const { group, asked } of this.#joining.values()) {
      for (const [cancel, source] of [...asked]) if (!isThere(map, group, source)) cancel();
    }
    for (const [key, { group, epoch }] of wanted) if (!this.#joining.has(key)) this.#join(key, group, epoch);
    this.#wakeAll();
  }

  /** Resolves when nothing of an earlier stay in the group is under way. */
  async idle(group: GroupName): Promise<void> {
    const key = keyOf(group);
    await Promise.allSettled(this.#ending.get(key) ?? []);
    this.#ending.delete(key);
  }

  /** Resolves when nothing is under way any more, after `close`. */
  async ended(): Promise<void> {
    const pulls = [...this.#joining.values()].flatMap((joining) => [...joining.pulls.values()]);
    await Promise.allSettled([...this.#runs, ...pulls, ...[...this.#ending.values()].flat()]);
  }

  /** Pulls an index that a write waits for, ahead of all others. Never rejects. */
  async pullNow(group: GroupName, family: number, index: number): Promise<void> {
    const joining = this.#joining.get(keyOf(group));
    if (joining && !joining.listed) {
      joining.hurried = true;
      this.#wakeAll();
    }
    while (joining && !joining.listed && !joining.stop.signal.aborted) await this.#changed();
    if (joining && this.isToDo(group, family, index)) {
      const name = nameOf(family, index);
      joining.urgent.add(name);
      joining.waiting.get(name)?.abort();
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
    this.#queue.close();
    this.#wakeAll();
  }

  #join(key: string, group: GroupName, epoch: number): void {
    const stay = { epoch, bootId: this.#context.bootId };
    const stop = new AbortController();
    const joining: Joining = {
      group,
      stay,
      rank: this.#joins++,
      listed: false,
      listing: null,
      hurried: false,
      done: false,
      stop,
      pulls: new Map(),
      urgent: new Set(),
      waiting: new Map(),
      asked: new Map(),
    };
    this.#joining.set(key, joining);
    const run = this.#run(joining);
    this.#runs.add(run);
    run.finally(() => this.#runs.delete(run)).catch(() => undefined);
    run.catch((error) => {
      if (!joining.stop.signal.aborted && !this.#disk.failed) this.#context.onError(error);
    });
  }

  async #run(joining: Joining): Promise<void> {
    const { group, stay, stop } = joining;
    await this.idle(group);
    await this.#context.settled(group);
    if (stop.signal.aborted) return;
    joining.listed = this.#disk.toDo.isStored(group, stay);
    if (!joining.listed) await this.#retried(joining, () => this.#list(joining));
    if (stop.signal.aborted || !joining.listed) return;
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

  /** Compares with the source and stores the to-do list. A few groups at a time: each is a walk through two indexes. */
  async #list(joining: Joining): Promise<void> {
    const { group, stay, stop } = joining;
    while (this.#comparing >= LISTS_PARALLEL && !joining.hurried && !stop.signal.aborted)
      await this.#changed(this.#turns);
    if (stop.signal.aborted) return;
    this.#comparing++;
    try {
      joining.listing = this.#disk.toDo.store(group, stay, this.#compare(joining));
      await joining.listing;
      joining.listed = !stop.signal.aborted;
    } finally {
      this.#comparing--;
      // Nobody else: two groups that cannot be compared now would have one another try again for ever, with no time between.
      wake(this.#turns);
    }
  }

  /** The indexes that may differ from the source's, those that are active here and have no entry among them. */
  async *#compare(joining: Joining): AsyncGenerator<IndexName> {
    const { group } = joining;
    const layout = this.#context.layout(group.copies);
    const own = listGroup(this.#disk, layout, group.pg);
    const insync = this.#insyncEpoch(group);
    for await (const item of differingIndexes(this.#listSource(joining), own, insync)) {
      if (joining.stop.signal.aborted) throw new NotNow('the stay is over');
      yield item;
    }
    // An active object may have no entry: what was discarded at one copy only.
    for (const { family, index } of this.#disk.index.activeObjects()) {
      if (layout.has(family) && layout.groupOf(family, index) === group.pg) yield { family, index };
    }
  }

  async *#listSource(joining: Joining): AsyncGenerator<readonly ListedEntry[]> {
    const { group } = joining;
    const { disk, host, epoch } = this.#source(group);
    for (let after: ListRequest['after'] = null; ; ) {
      const reply: ListAnswer = await this.#ask<ListAnswer>(joining, host, {
        type: 'list',
        disk,
        ...group,
        epoch,
        after,
      });
      yield reply.entries;
      const last: ListedEntry | undefined = reply.entries.at(-1);
      if (reply.complete || !last) return;
      after = { family: last.family, index: last.index };
    }
  }

  /** Pulls everything on the list. */
  async #work(joining: Joining): Promise<void> {
    const { group, stop } = joining;
    while (!stop.signal.aborted && !this.#closed) {
      const items = this.#disk.toDo.items(group, null, ITEMS_BATCH);
      if (items.length === 0) return;
      const left = items[Symbol.iterator]();
      const pull = async () => {
        for (const { family, index } of left) await this.#pull(joining, family, index);
      };
      await Promise.all(Array.from({ length: ITEMS_PARALLEL }, pull));
    }
  }

  /** One pull of an index at a time; whoever comes second waits for the first. */
  #pull(joining: Joining, family: number, index: number): Promise<void> {
    const name = nameOf(family, index);
    let pull = joining.pulls.get(name);
    if (!pull) {
      pull = this.#retried(joining, () => this.#pullInTurn(joining, family, index)).then(() => undefined);
      pull = pull.finally(() => joining.pulls.delete(name));
      joining.pulls.set(name, pull);
    }
    return pull;
  }

  /** What a write waits for waits for nothing. The turn ends with the attempt: another group may have its source. */
  async #pullInTurn(joining: Joining, family: number, index: number): Promise<void> {
    const name = nameOf(family, index);
    if (joining.urgent.has(name)) {
      await this.#pullOnce(joining, family, index, true);
      return;
    }
    const given = new AbortController();
    joining.waiting.set(name, given);
    const granted = await this.#queue.enter(joining.rank, given.signal);
    joining.waiting.delete(name);
    if (!granted) throw new NotNow('it is urgent now, or the stay is over');
    let bytes = 0;
    try {
      bytes = await this.#pullOnce(joining, family, index, joining.urgent.has(name));
    } finally {
      this.#queue.leave(bytes);
    }
  }

  /** Answers how many bytes were fetched. */
  #pullOnce(joining: Joining, family: number, index: number, urgent: boolean): Promise<number> {
    const attempt = this.#attempt(joining, family, index, urgent).finally(() => this.#attempts.delete(attempt));
    this.#attempts.add(attempt);
    return attempt;
  }

  async #attempt(joining: Joining, family: number, index: number, urgent: boolean): Promise<number> {
    const { group } = joining;
    let fetched = 0;
    const lock = await this.#locks.exclusive(family, index);
    try {
      if (!this.#disk.toDo.has(group, family, index)) return 0;
      const { disk, host, epoch } = this.#source(group);
      const where = { disk, ...group, epoch, family, index };
      const answer = await this.#ask<DescribeAnswer>(joining, host, { type: 'describe', ...where });
      const { doubts } = answer;
      const description = underRules(answer.description, this.#context.layers);
      const all = [doubts];
      const pulled = await pullIndex(this.#disk, { pg: group.pg, family, index }, description, {
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
        installing: () => {
          if (hasUndescribed(description, all)) throw new NotNow('it was changed after it was described');
          this.#disk.ring?.inherit(all);
        },
      });
      fetched = pulled.fetched;
      await this.#context.onInstalled(this.#disk);
    } catch (error) {
      // There may be more later. A write that waits has the reserve, behind which there is nothing.
      if (!urgent && error instanceof StoreError && error.code === 'ENOSPC') throw new NotNow('no room');
      throw error;
    } finally {
      lock.release();
    }
    this.#meter.pulled(fetched);
    this.#context.onPulled(this.#disk.number, family, index);
    return fetched;
  }

  /** Tries until it succeeds, by whatever map and source there are then. Null once the stay is over. */
  async #retried<T>({ stop }: Joining, attempt: () => Promise<T>): Promise<T | null> {
    while (!stop.signal.aborted && !this.#closed) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof NotNow)) throw error;
        await this.#pause();
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

  #changed(waiting = this.#wake): Promise<void> {
    return new Promise((resolve) => {
      waiting.add(resolve);
    });
  }

  /** Resolves after a while, or when something has changed. */
  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        cancel();
        this.#wake.delete(end);
        resolve();
      };
      const cancel = this.#context.clock.after(RETRY_MS, end);
      this.#wake.add(end);
    });
  }

  #wakeAll(): void {
    wake(this.#wake);
    wake(this.#turns);
  }
}

function wake(waiting: Set<() => void>): void {
  const all = [...waiting];
  waiting.clear();
  for (const each of all) each();
}

/** What may have an effect on the disk yet when the stay is over. */
function underWay({ pulls, listing }: Joining): Promise<void>[] {
  return [...pulls.values(), ...(listing ? [listing] : [])];
}

function end({ stop, asked, waiting }: Joining): void {
  stop.abort();
  for (const given of [...waiting.values()]) given.abort();
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

/**
 * Whether blocks that were fetched may have changes of an object that was not active when it was described: as described it
 * would be put in place as an older one, and not active. One that was active needs nothing: so it is here.
 */
function hasUndescribed({ layers }: IndexDescription, [described, ...fetched]: readonly RingDoubts[]): boolean {
  const active = new Set(layers.map((layer) => layer.active?.vdi));
  const name = ({ vdi, generation, sequence }: WriteOrder) => `${vdi}.${generation}.${sequence}`;
  const told = new Set(described!.ranges.map(name));
  return fetched.some(({ ranges }) => ranges.some((range) => !active.has(range.vdi) && !told.has(name(range))));
}

import type { ClusterMap } from '../cluster/cluster-map.js';
import { Admission, type AdmissionPort, type Asker, isLook, type KnownWriter } from './admission.js';
import type { DirectChange } from './direct-change.js';
import type { Body, ChangeRequest, MemberRequest, Refusal } from './messages.js';

/** A request on its way through the member. */
export interface Ticket<Request extends MemberRequest = MemberRequest> {
  readonly asker: Asker;
  readonly request: Request;
  /** Being carried out: nothing may overtake or drop it. */
  running: boolean;
  /** What it came to, held back until the member may answer. */
  outcome: Outcome | null;
}

/** What is asked of a change that others wait for. */
type RunningChange = Pick<ChangeRequest, 'vdi' | 'disk' | 'copies' | 'pg' | 'index' | 'chain'>;

export interface Outcome {
  readonly refusal?: Refusal;
  readonly body?: Body;
}

/** What the member decides; a driver carries it out. Nothing here may call back before it returns. */
export interface MemberPort extends AdmissionPort {
  /** Carries the request out, and tells `executed`. */
  execute(ticket: Ticket): void;
  answer(asker: Asker, request: number, outcome: Outcome): void;
  /** Makes the index equal to an in-sync member's ahead of all others, and tells `pulled`. */
  pull(request: ChangeRequest): void;
  /** Whether the disk has still to pull the index in this stay; before the to-do list is stored, all of them. */
  isToDo(request: ChangeRequest): boolean;
}

/**
 * The side of a host that has copies: takes requests of writers, readers and recovering members, its own host's
 * included, and lets each go on when the rules allow it. Without I/O of its own.
 *
 * A request that cannot be answered yet (no right to answer, an older map, an unknown writer, an index to pull, a change
 * that overlaps) waits. One that never can is refused, with what the asker has to find out.
 */
export class Member {
  readonly #port: MemberPort;
  readonly #admission: Admission;
  /** Everything that was received and not answered, in the order of arrival. */
  readonly #tickets = new Set<Ticket>();
  /** Those of them that are not being carried out. */
  readonly #waiting = new Set<Ticket>();
  /** By host: what is still being carried out of its sessions that were closed. */
  readonly #leftovers = new Map<string, Set<Ticket>>();
  /** By disk, family and index: changes that are running or wait for one that overlaps or for a pull, in their order. */
  readonly #changes = new Map<string, Ticket<ChangeRequest>[]>();
  /** Changes of this host's own writers that are being carried out without having been received. */
  readonly #direct = new Set<DirectChange>();
  readonly #sessions = new Map<string, number>();
  readonly #pulling = new Set<string>();
  /** The map that is about to be adopted, and who waits for the changes to end that it concerns. */
  #next: ClusterMap | null = null;
  #drained: (() => void)[] = [];

  constructor(map: ClusterMap, port: MemberPort) {
    this.#admission = new Admission(map, port);
    this.#port = port;
  }

  /** Resolves when nothing is being carried out on a disk. */
  async idle(disk: number): Promise<void> {
    while (this.#isBusy(disk)) {
      await new Promise<void>((resolve) => {
        this.#drained.push(resolve);
      });
    }
  }

  #isBusy(disk: number): boolean {
    for (const change of this.#direct) if (change.disk === disk) return true;
    for (const { running, request } of this.#tickets) {
      if (running && (!('disk' in request) || request.disk === disk)) return true;
    }
    return false;
  }

  /** Requests that were received and not answered. */
  get pending(): number {
    return this.#tickets.size;
  }

  /** Whether guests wait for a change or a read here. */
  get isBusy(): boolean {
    for (const { request } of this.#tickets) if (request.type === 'change' || request.type === 'read') return true;
    return false;
  }

  /** A newer session of the host is open: what came by older ones is dropped, or finished first. */
  sessionOpened(host: string, session: number): void {
    this.#sessions.set(host, session);
    const leftovers = new Set<Ticket>();
    for (const ticket of [...this.#tickets]) {
      if (ticket.asker.host !== host || ticket.asker.session >= session) continue;
      if (ticket.running) leftovers.add(ticket);
      else this.#forget(ticket);
    }
    if (leftovers.size > 0) this.#leftovers.set(host, leftovers);
    this.#retry();
  }

  received(asker: Asker, request: MemberRequest): void {
    // Late, from a session that is closed: its sender has sent it again, or given it up.
    if (asker.session < (this.#sessions.get(asker.host) ?? 0)) return;
    const ticket: Ticket = { asker, request, running: false, outcome: null };
    this.#tickets.add(ticket);
    this.#waiting.add(ticket);
    if (request.type === 'change') this.#enqueue(ticket as Ticket<ChangeRequest>);
    this.#advance(ticket);
  }

  /** Whether a read of this host's own, under that generation, needs no more than to be carried out. */
  mayRead(vdi: number, generation: number): boolean {
    return this.#admission.isPresent(vdi, generation);
  }

  /** As `mayRead`, of a write: no map waits for changes to end, and nothing else is being done to the index. */
  mayWrite(vdi: number, generation: number, disk: number, family: number, index: number): boolean {
    if (this.#next !== null || !this.#admission.isKnown(vdi, generation)) return false;
    return this.#changes.size === 0 || !this.#changes.has(keyOf(disk, family, index));
  }

  /** Whether what this host's own writer has done under that generation may be answered. */
  isKnown(vdi: number, generation: number): boolean {
    return this.#admission.isKnown(vdi, generation);
  }

  /** This host carries a change of its own out that was not received: what waits for running changes waits for it. */
  began(change: DirectChange): void {
    this.#direct.add(change);
  }

  ended(change: DirectChange): void {
    if (this.#direct.delete(change) && (this.#waiting.size > 0 || this.#drained.length > 0)) this.#ended();
  }

  /**
   * Begins no change any more of a group that this map gives another `since`, and resolves when none is being carried
   * out: what is stored for the map would miss what such a change leaves behind. Ends with `mapAdopted`.
   */
  async hold(next: ClusterMap): Promise<void> {
    this.#next = next;
    while (this.#isChanging((change) => this.#isHeld(change))) {
      await new Promise<void>((resolve) => {
        this.#drained.push(resolve);
      });
    }
  }

  #isHeld({ copies, pg }: RunningChange): boolean {
    const since = this.#admission.map.tables[copies]?.[pg]?.since;
    return this.#next !== null && this.#next.tables[copies]?.[pg]?.since !== since;
  }

  /** The host has adopted this map: all that it has to store for it is stored. */
  mapAdopted(map: ClusterMap): void {
    this.#next = null;
    this.#admission.map = map;
    this.#retry();
  }

  /** A new incarnation of the host is up: what was known of writers may be out of date. */
  forgetWriters(): void {
    this.#admission.forgetWriters();
    this.#retry();
  }

  /** What the store says of a writer; null: nothing. An older word than what is known changes nothing. */
  writerKnown(vdi: number, writer: KnownWriter | null): void {
    this.#admission.writerKnown(vdi, writer);
    this.#retry();
  }

  /** Whether the host may answer has changed. */
  rightChanged(): void {
    this.#retry();
  }

  pulled(disk: number, family: number, index: number): void {
    this.#pulling.delete(keyOf(disk, family, index));
    this.#retry();
  }

  /** The disk has failed: what it has under way may never end, and nobody waits for it. */
  diskFailed(disk: number): void {
    for (const ticket of [...this.#tickets]) {
      if (ticket.running && 'disk' in ticket.request && ticket.request.disk === disk) this.abandoned(ticket);
    }
    for (const change of this.#direct) if (change.disk === disk) this.ended(change);
  }

  /** A request has been carried out, or could not be. */
  executed(ticket: Ticket, outcome: Outcome): void {
    if (!this.#tickets.has(ticket)) return;
    ticket.running = false;
    ticket.outcome = outcome;
    this.#waiting.add(ticket);
    if (this.#endLeftover(ticket)) this.#forget(ticket);
    else this.#conclude(ticket);
    this.#ended();
  }

  /** Whether what has ended was left over by a session that was closed: then nobody hears of it. */
  #endLeftover(ticket: Ticket): boolean {
    const { host } = ticket.asker;
    const leftovers = this.#leftovers.get(host);
    if (!leftovers?.delete(ticket)) return false;
    if (leftovers.size === 0) this.#leftovers.delete(host);
    return true;
  }

  /** Whatever waited for a request goes on: a change that overlaps, a fence, a list, a newer session, a map. */
  #ended(): void {
    for (const resolve of this.#drained.splice(0)) resolve();
    if (this.#waiting.size > 0) this.#retry();
  }

  /** The disk failed meanwhile: whether the request was carried out is not known, and nobody is told. */
  abandoned(ticket: Ticket): void {
    if (!this.#tickets.has(ticket)) return;
    ticket.running = false;
    this.#endLeftover(ticket);
    // Whoever recovers from it, or only looks, finds another source.
    const isRecovery = ['list', 'describe', 'fetch'].includes(ticket.request.type);
    if (isRecovery || isLook(ticket.request)) this.#answer(ticket, { refusal: { reason: 'changed' } });
    else this.#forget(ticket);
    this.#ended();
  }

  /** Lets every request that waits go as far as it can, in the order of arrival. */
  #retry(): void {
    // An answer that was held back lets go what overlaps it.
    for (let left = -1; left !== this.#waiting.size; ) {
      left = this.#waiting.size;
      for (const ticket of [...this.#waiting]) {
        if (!this.#waiting.has(ticket)) continue;
        if (ticket.outcome) this.#conclude(ticket);
        else this.#advance(ticket);
      }
    }
  }

  #advance(ticket: Ticket): void {
    // Before the first request of a new session, what came by older ones has ended.
    if (this.#leftovers.has(ticket.asker.host)) return;
    const verdict = this.#admission.admit(ticket.asker, ticket.request);
    if (verdict === 'wait') return;
    if (verdict !== 'go') {
      this.#answer(ticket, { refusal: verdict });
      return;
    }
    if (!this.#isTurn(ticket)) return;
    ticket.running = true;
    this.#waiting.delete(ticket);
    this.#port.execute(ticket);
  }

  /** The answer counts only under what holds when it is given. */
  #conclude(ticket: Ticket): void {
    const verdict = this.#admission.admit(ticket.asker, ticket.request);
    if (verdict === 'wait') return;
    this.#answer(ticket, verdict === 'go' ? ticket.outcome! : { refusal: verdict });
  }

  #answer(ticket: Ticket, outcome: Outcome): void {
    this.#forget(ticket);
    this.#port.answer(ticket.asker, ticket.request.request, outcome);
  }

  #forget(ticket: Ticket): void {
    this.#tickets.delete(ticket);
    this.#waiting.delete(ticket);
    if (ticket.request.type === 'change') this.#dequeue(ticket as Ticket<ChangeRequest>);
  }

  /** Whether nothing that was accepted before has to end first. The order among what may run together is free. */
  #isTurn(ticket: Ticket): boolean {
    const { request } = ticket;
    switch (request.type) {
      case 'change':
        return this.#isTurnOfChange(ticket as Ticket<ChangeRequest>, request);
      case 'fence':
        return !this.#isChanging((change) => change.vdi === request.vdi);
      case 'list':
        return !this.#isChanging(({ disk, copies, pg }) => isSameGroup(request, { disk, copies, pg }));
      case 'describe':
        return !this.#isChanging(
          ({ disk, index, chain }) =>
            disk === request.disk && index === request.index && chain.family === request.family,
        );
      default:
        return true;
    }
  }

  #isTurnOfChange(ticket: Ticket<ChangeRequest>, request: ChangeRequest): boolean {
    if (this.#isHeld(request)) return false;
    const key = keyOf(request.disk, request.chain.family, request.index);
    for (const earlier of this.#changes.get(key)!) {
      if (earlier === ticket) break;
      if (overlaps(earlier.request, request)) return false;
    }
    if (this.#pulling.has(key)) return false;
    if (!this.#port.isToDo(request)) return true;
    this.#pulling.add(key);
    this.#port.pull(request);
    return false;
  }

  #isChanging(concerns: (change: RunningChange) => boolean): boolean {
    for (const change of this.#direct) if (concerns(change)) return true;
    for (const ticket of this.#tickets) {
      if (ticket.running && ticket.request.type === 'change' && concerns(ticket.request)) return true;
    }
    return false;
  }

  #enqueue(ticket: Ticket<ChangeRequest>): void {
    const { disk, chain, index } = ticket.request;
    const key = keyOf(disk, chain.family, index);
    const queue = this.#changes.get(key);
    if (queue) queue.push(ticket);
    else this.#changes.set(key, [ticket]);
  }

  #dequeue(ticket: Ticket<ChangeRequest>): void {
    const { disk, chain, index } = ticket.request;
    const key = keyOf(disk, chain.family, index);
    const queue = this.#changes.get(key)!;
    queue.splice(queue.indexOf(ticket), 1);
    if (queue.length === 0) this.#changes.delete(key);
  }
}

function keyOf(disk: number, family: number, index: number): string {
  return `${disk}/${family}/${index}`;
}

function isSameGroup(
  a: { disk: number; copies: number; pg: number },
  b: { disk: number; copies: number; pg: number },
): boolean {
  return a.disk === b.disk && a.copies === b.copies && a.pg === b.pg;
}

/** Whether the two must not be under way together; only writes and discards leave the rest of an object alone. */
function overlaps(a: ChangeRequest, b: ChangeRequest): boolean {
  const [one, other] = [rangeOf(a), rangeOf(b)];
  return one.start < other.end && other.start < one.end;
}

function rangeOf({ change }: ChangeRequest): { start: number; end: number } {
  switch (change.kind) {
    case 'write':
      return { start: change.offset, end: change.offset + change.data.length };
    case 'discard':
      return { start: change.offset, end: change.offset + change.length };
    default:
      return { start: 0, end: Number.POSITIVE_INFINITY };
  }
}

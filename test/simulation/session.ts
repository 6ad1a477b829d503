import type { Lane, LinkEvents } from '../../lib/net/links.js';
import type { Random } from '../helpers/random.js';
import { type NetworkConditions, within } from './network-conditions.js';
import type { ProcessScope } from './process-scope.js';
import type { Scheduler } from './scheduler.js';

const SILENT_DEATH_CHANCE = 0.3;
const LANES: readonly Lane[] = ['control', 'data'];

/** A process that takes part in the network. */
export interface Member<Message> {
  host: string;
  scope: ProcessScope;
  events: LinkEvents<Message>;
}

/** What a session needs of the network it is part of. */
export interface SessionWorld<Message> {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly conditions: NetworkConditions;
  readonly counters: NetworkCounters;
  /** A copy of the message, as it comes out at the other end of a link. */
  copy(message: Message): Message;
  laneOf(message: Message): Lane;
  /**
   * The end of `member` opens: the network closes what was open there to the same host. Answers false where a newer
   * session of the pair was open there already: this one comes too late.
   */
  opening(member: Member<Message>, session: Session<Message>): boolean;
  died(session: Session<Message>): void;
  note(host: string, what: string): void;
  noteMessage(host: string, what: string, message: Message): void;
}

export class NetworkCounters {
  sessions = 0;
  sent = 0;
  received = 0;
  /** Lost with their session. */
  dropped = 0;
  /** Of those received: after the loss of their session was known to the receiver. */
  late = 0;
}

interface Carried<Message> {
  message: Message;
  /** Null while the direction is cut, which holds it up. */
  cancel: (() => void) | null;
}

/** What is on its way to one end by one lane. */
interface Way<Message> {
  /** In order. */
  carried: Carried<Message>[];
  /** Nothing arrives before what was sent before it. */
  lastMs: number;
}

/** One end, with what is on its way to it. */
interface End<Message> {
  readonly member: Member<Message>;
  state: 'waiting' | 'open' | 'closed';
  wasOpen: boolean;
  cut: boolean;
  readonly ways: Readonly<Record<Lane, Way<Message>>>;
}

/**
 * A session between two processes. Each end learns in its own time that it is open and that it is gone. While a
 * direction is cut, what is sent in it waits; when that lasts, the session dies of it. A dead session delivers the
 * first part of what it was carrying in each lane; the rest is lost, or comes late.
 */
export class Session<Message> {
  readonly number: number;
  readonly #world: SessionWorld<Message>;
  readonly #ends: readonly [End<Message>, End<Message>];
  #dead = false;
  #cancelSuspicion: (() => void) | null = null;

  constructor(world: SessionWorld<Message>, number: number, members: readonly [Member<Message>, Member<Message>]) {
    this.#world = world;
    this.number = number;
    this.#ends = [this.#endOf(members[0]), this.#endOf(members[1])];
    for (const end of this.#ends) {
      this.#arriveAfterAll(end, within(world.random, world.conditions.connectMs), () => this.#open(end));
    }
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** Whether the end at `host` knows it as open. */
  isOpenAt(host: string): boolean {
    return this.#at(host).state === 'open';
  }

  /** @param from the host at whose end it is open. */
  send(from: string, message: Message): void {
    const { counters, random, conditions } = this.#world;
    const target = this.#other(this.#at(from));
    const lane = this.#world.laneOf(message);
    const copied = this.#world.copy(message);
    counters.sent++;
    this.#world.noteMessage(from, `sends to ${target.member.host} by ${this.number}`, copied);
    if (this.#dead) {
      if (random.chance(conditions.lateChance)) this.#carryLate(target, lane, [copied]);
      else counters.dropped++;
      return;
    }
    const carried: Carried<Message> = { message: copied, cancel: null };
    const way = target.ways[lane];
    way.carried.push(carried);
    if (!target.cut) this.#carry(target, way, carried);
  }

  /** Cuts the direction towards `host`, or lets what waited there go on. */
  setCut(host: string, cut: boolean): void {
    const end = this.#at(host);
    end.cut = cut;
    if (this.#dead) return;
    if (cut) this.#suspect();
    else this.#goOn(end);
  }

  /** The session dies, as it does when a connection is reset; `host` knows first. */
  break(host: string): void {
    this.#die(this.#at(host), false);
  }

  /** The end at `host` closes at once, if it is not closed: a newer session takes its place. */
  closeAt(host: string): void {
    const end = this.#at(host);
    this.#die(end, false);
    this.#close(end);
  }

  /** The process at this end was killed. Its kernel tells the other end, that of a host without power does not. */
  killedAt(host: string): void {
    const end = this.#at(host);
    end.state = 'closed';
    this.#die(end, this.#world.random.chance(SILENT_DEATH_CHANCE));
  }

  #endOf(member: Member<Message>): End<Message> {
    const ways = { control: { carried: [], lastMs: 0 }, data: { carried: [], lastMs: 0 } };
    return { member, state: 'waiting', wasOpen: false, cut: false, ways };
  }

  #at(host: string): End<Message> {
    return this.#ends[0].member.host === host ? this.#ends[0] : this.#ends[1];
  }

  #other(end: End<Message>): End<Message> {
    return end === this.#ends[0] ? this.#ends[1] : this.#ends[0];
  }

  #open(end: End<Message>): void {
    if (end.state !== 'waiting') return;
    end.state = 'closed';
    if (!this.#world.opening(end.member, this)) return;
    end.state = 'open';
    end.wasOpen = true;
    const { host } = this.#other(end).member;
    this.#world.note(end.member.host, `session ${this.number} with ${host} is open`);
    end.member.events.opened(host, this.number);
  }

  #close(end: End<Message>): void {
    const { state } = end;
    end.state = 'closed';
    if (state !== 'open') return;
    const { host } = this.#other(end).member;
    this.#world.note(end.member.host, `session ${this.number} with ${host} is lost`);
    end.member.events.lost(host, this.number);
  }

  /** What was held up is carried on; the session lives if both directions do. */
  #goOn(end: End<Message>): void {
    for (const way of Object.values(end.ways)) {
      for (const carried of way.carried) if (carried.cancel === null) this.#carry(end, way, carried);
    }
    if (this.#ends.some((other) => other.cut)) return;
    this.#cancelSuspicion?.();
    this.#cancelSuspicion = null;
  }

  #carry(end: End<Message>, way: Way<Message>, carried: Carried<Message>): void {
    const { random, conditions } = this.#world;
    const range = random.chance(conditions.slowChance) ? conditions.slowMs : conditions.latencyMs;
    carried.cancel = this.#arrive(end, way, within(random, range), () => {
      way.carried.shift();
      this.#receive(end, carried.message, false);
    });
  }

  #carryLate(end: End<Message>, lane: Lane, messages: Message[]): void {
    const { random, conditions } = this.#world;
    const delayMs = within(random, conditions.lateMs);
    for (const message of messages) this.#arrive(end, end.ways[lane], delayMs, () => this.#receive(end, message, true));
  }

  #receive(end: End<Message>, message: Message, late: boolean): void {
    const { counters } = this.#world;
    if (end.state === 'closed' && !(late && end.wasOpen)) {
      counters.dropped++;
      return;
    }
    counters.received++;
    if (end.state === 'closed') counters.late++;
    const { host } = this.#other(end).member;
    const when = end.state === 'closed' ? 'gets late' : 'gets';
    this.#world.noteMessage(end.member.host, `${when} from ${host} by ${this.number}`, message);
    end.member.events.received(host, this.number, message);
  }

  /** Calls `callback` in the process at this end, behind all that is on its way there by this lane. */
  #arrive(end: End<Message>, way: Way<Message>, delayMs: number, callback: () => void): () => void {
    way.lastMs = Math.max(way.lastMs, this.#world.scheduler.nowMs + delayMs);
    return end.member.scope.arrivalAt(way.lastMs, callback);
  }

  /** As `#arrive`, behind what is on its way there by either lane, and before what will be. */
  #arriveAfterAll(end: End<Message>, delayMs: number, callback: () => void): void {
    const { control, data } = end.ways;
    control.lastMs = data.lastMs = Math.max(control.lastMs, data.lastMs);
    this.#arrive(end, control, delayMs, callback);
    data.lastMs = control.lastMs;
  }

  /** Each end hears nothing from the other, or no receipt for what it sends, and gives up in time. */
  #suspect(): void {
    const { scheduler, random, conditions } = this.#world;
    this.#cancelSuspicion ??= scheduler.after(within(random, conditions.silenceMs), () => {
      this.#die(this.#ends[random.below(2)]!, true);
    });
  }

  /** @param silent: nothing tells the end that does not know yet. */
  #die(first: End<Message>, silent: boolean): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#cancelSuspicion?.();
    const { random, conditions } = this.#world;
    for (const end of this.#ends) {
      const lost = LANES.map((lane) => ({ lane, messages: this.#loseRest(end.ways[lane]) }));
      const isSilent = silent || this.#ends.some((other) => other.cut);
      const noticeMs = end === first ? 0 : within(random, isSilent ? conditions.silenceMs : conditions.noticeMs);
      this.#arriveAfterAll(end, noticeMs, () => this.#close(end));
      for (const { lane, messages } of lost) this.#lateOrNever(end, lane, messages);
    }
    this.#world.died(this);
  }

  /** Takes back a part of what is on its way by a lane, some of the last messages. */
  #loseRest({ carried }: Way<Message>): Message[] {
    if (carried.length === 0) return [];
    const moving = carried.findIndex(({ cancel }) => cancel === null);
    const kept = this.#world.random.below((moving < 0 ? carried.length : moving) + 1);
    const rest = carried.splice(kept);
    for (const { cancel } of rest) cancel?.();
    return rest.map(({ message }) => message);
  }

  #lateOrNever(end: End<Message>, lane: Lane, messages: Message[]): void {
    const { random, conditions, counters } = this.#world;
    if (messages.length === 0) return;
    if (end.member.scope.alive && random.chance(conditions.lateChance)) this.#carryLate(end, lane, messages);
    else counters.dropped += messages.length;
  }
}

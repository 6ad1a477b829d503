import assert from 'node:assert/strict';
import type { LinkEvents, Links, MessageCodec } from '../../lib/net/links.js';
import type { Random } from '../helpers/random.js';
import { copyMessage } from './message-copy.js';
import { CALM_NETWORK, type NetworkConditions, within } from './network-conditions.js';
import type { ProcessScope } from './process-scope.js';
import type { Scheduler } from './scheduler.js';
import { type Member, NetworkCounters, Session, type SessionWorld } from './session.js';
import type { Trace } from './trace.js';

export interface NetworkOptions<Message> {
  /** Every message becomes bytes, and a message again. Without, all go by one lane, and may be what they like. */
  codec?: MessageCodec<Message>;
  conditions?: NetworkConditions;
  /** Sessions are noted in it, and messages too where `describe` says how. */
  trace?: Trace;
  describe?: (message: Message) => string;
}

interface Pair<Message> {
  readonly hosts: readonly [string, string];
  numberNext: number;
  /** The newest session; it may be dead. */
  newest: Session<Message> | null;
  /** What each host, in the order of `hosts`, sends by. */
  readonly open: [Session<Message> | null, Session<Message> | null];
  /** Whether what is on its way to each host, in the order of `hosts`, is held up. */
  readonly cut: [boolean, boolean];
  connecting: boolean;
}

/**
 * The network between simulated hosts. Every two processes that run and are not cut off from one another have a session,
 * or get one soon. What a process is sent it gets as a copy of its own, in order with the rest of its lane.
 *
 * Every `opened` is followed by one `lost`, before the next `opened` of the pair, unless the process is killed.
 */
export class Network<Message> {
  readonly counters = new NetworkCounters();
  /** May be exchanged at any time. */
  conditions: NetworkConditions;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #codec: MessageCodec<Message> | null;
  readonly #trace: Trace | null;
  readonly #describe: ((message: Message) => string) | null;
  readonly #members = new Map<string, Member<Message>>();
  readonly #pairs = new Map<string, Pair<Message>>();

  constructor(scheduler: Scheduler, random: Random, options: NetworkOptions<Message> = {}) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.conditions = options.conditions ?? CALM_NETWORK;
    this.#codec = options.codec ?? null;
    this.#trace = options.trace ?? null;
    this.#describe = options.describe ?? null;
  }

  /** Lets the process take part as `host`; its end is the end of its sessions. A later process may be the host then. */
  attach(host: string, scope: ProcessScope, events: LinkEvents<Message>): Links<Message> {
    assert(!this.#members.get(host)?.scope.alive, 'a host has one process');
    assert(scope.alive, 'the process runs');
    const member: Member<Message> = { host, scope, events };
    this.#members.set(host, member);
    scope.onKill(() => this.#killed(host));
    for (const other of this.#members.values()) if (other !== member) this.#connectSoon(this.#pairOf(host, other.host));
    return {
      send: (to, message, only) => {
        if (!scope.alive) return null;
        const pair = this.#pairs.get(keyOf(host, to));
        const session = pair?.open[sideOf(pair, host)];
        if (!session?.isOpenAt(host)) return null;
        if (only !== undefined && session.number !== only) return null;
        session.send(host, message);
        return session.number;
      },
    };
  }

  /** Holds up all that `from` sends to `to`, until that is healed. What is on its way arrives. */
  cut(from: string, to: string): void {
    this.#setCut(from, to, true);
  }

  heal(from: string, to: string): void {
    this.#setCut(from, to, false);
  }

  healAll(): void {
    for (const pair of this.#pairs.values()) {
      const [left, right] = pair.hosts;
      this.heal(left, right);
      this.heal(right, left);
    }
  }

  isCut(from: string, to: string): boolean {
    const pair = this.#pairs.get(keyOf(from, to));
    return pair?.cut[sideOf(pair, to)] ?? false;
  }

  /** Resets the session of two hosts, where there is one; `first` knows at once. */
  reset(first: string, second: string): void {
    const session = this.#pairs.get(keyOf(first, second))?.newest;
    if (session && !session.dead) session.break(first);
  }

  #killed(host: string): void {
    for (const pair of this.#pairs.values()) {
      if (!pair.hosts.includes(host)) continue;
      pair.open[sideOf(pair, host)] = null;
      pair.newest?.killedAt(host);
    }
  }

  #setCut(from: string, to: string, cut: boolean): void {
    assert(from !== to, 'a host reaches itself');
    const pair = this.#pairOf(from, to);
    const side = sideOf(pair, to);
    if (pair.cut[side] === cut) return;
    pair.cut[side] = cut;
    pair.newest?.setCut(to, cut);
    if (!cut) this.#connectSoon(pair);
  }

  #pairOf(one: string, other: string): Pair<Message> {
    const key = keyOf(one, other);
    let pair = this.#pairs.get(key);
    if (pair === undefined) {
      const hosts = one < other ? ([one, other] as const) : ([other, one] as const);
      pair = { hosts, numberNext: 1, newest: null, open: [null, null], cut: [false, false], connecting: false };
      this.#pairs.set(key, pair);
    }
    return pair;
  }

  #connectSoon(pair: Pair<Message>): void {
    if (pair.connecting) return;
    pair.connecting = true;
    this.#scheduler.after(within(this.#random, this.conditions.connectMs), () => {
      pair.connecting = false;
      this.#connect(pair);
    });
  }

  /** Nothing where it cannot be: what stands in the way tries again when it ends. */
  #connect(pair: Pair<Message>): void {
    if (pair.cut[0] || pair.cut[1] || (pair.newest !== null && !pair.newest.dead)) return;
    const left = this.#members.get(pair.hosts[0]);
    const right = this.#members.get(pair.hosts[1]);
    if (!left?.scope.alive || !right?.scope.alive) return;
    this.counters.sessions++;
    pair.newest = new Session(this.#worldOf(pair), pair.numberNext++, [left, right]);
  }

  #worldOf(pair: Pair<Message>): SessionWorld<Message> {
    const network = this;
    const codec = this.#codec;
    return {
      copy: (message) => (codec ? carried(codec, message) : copyMessage(message)),
      laneOf: (message) => codec?.laneOf(message) ?? 'control',
      scheduler: this.#scheduler,
      random: this.#random,
      counters: this.counters,
      get conditions() {
        return network.conditions;
      },
      opening(member, session) {
        const side = sideOf(pair, member.host);
        const other = pair.open[side];
        if (other !== null && other.number > session.number) return false;
        pair.open[side] = session;
        other?.closeAt(member.host);
        return true;
      },
      died: () => this.#connectSoon(pair),
      note: (host, what) => this.#trace?.note(host, what),
      noteMessage: (host, what, message) => {
        if (this.#trace !== null && this.#describe !== null) {
          this.#trace.note(host, `${what}: ${this.#describe(message)}`);
        }
      },
    };
  }
}

/** As it comes out at the other end, with nothing of what it was. */
function carried<Message>(codec: MessageCodec<Message>, message: Message): Message {
  const parts = codec.encode(message);
  // The first one is made for the message.
  return codec.decode(parts.length === 1 ? parts[0]! : Buffer.concat(parts));
}

function keyOf(one: string, other: string): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`;
}

function sideOf(pair: { hosts: readonly [string, string] }, host: string): 0 | 1 {
  return pair.hosts[0] === host ? 0 : 1;
}

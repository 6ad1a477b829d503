import type { Random } from '../helpers/random.js';
import type { BegunKind } from './fault-rates.js';
import type { Direction, DiskTrouble, Fault, FaultKind, Unsynced } from './faults.js';
import { type Range, within } from './network-conditions.js';

/** Clocks are put forward by at most so much, all steps together, within the interval. */
export const CLOCK_STEP_MS_MAX = 10;
export const CLOCK_STEP_INTERVAL_MS = 10_000;

const WORKER_AWAY_MS: Range = [20, 3000];
const HOST_AWAY_MS: Range = [500, 60_000];
/** Below and above the TTL of 4 s. */
const PAUSE_MS: Range = [10, 12_000];
const CUT_MS: Range = [100, 30_000];
const ROUGH_MS: Range = [2000, 60_000];
const STORE_MS: Range = [500, 20_000];
const DISK_MS: Range = [500, 40_000];
const DRAIN_MS: Range = [1000, 30_000];
/** From its loss to the administrator's word that a host is given up, if it is; it is back after as long again. */
const GIVEN_UP_MS: Range = [8500, 15_000];
/** Numbers of disks are drawn from so many, whatever a host has. */
const DISK_NUMBERS = 60;

/** What others leave of a disk's reserve: some of it, or so much that the disk says that its space runs short. */
const CROWDED_SHARE_MIN = 0.5;
const CROWDED_SHARE_MAX = 3;

const DISK_TROUBLES: readonly DiskTrouble[] = [
  'read-error',
  'write-error',
  'sync-error',
  'hang',
  'full',
  'vanish',
  'swap',
  'restore',
];
const UNSYNCED: readonly Unsynced[] = ['kept', 'lost', 'torn', 'torn'];

type OutsideKind = 'network-rough' | 'store-outage' | 'store-slow' | 'store-rough';
type OutsideEnd = 'network-smooth' | 'store-back' | 'store-fast' | 'store-smooth';

const OUTSIDE_ENDS: Partial<Record<FaultKind, OutsideKind>> = {
  'network-smooth': 'network-rough',
  'store-back': 'store-outage',
  'store-fast': 'store-slow',
  'store-smooth': 'store-rough',
};

/** What begins, and what ends it later. */
export interface Made {
  fault: Fault;
  ends: { afterMs: number; fault: Fault }[];
}

type HostState = 'spare' | 'up' | 'draining' | 'away' | 'removed';

export interface MakerOptions {
  hosts: readonly string[];
  spares: readonly string[];
  hostsMin: number;
}

/** Makes faults that make sense: it remembers which hosts there are, and what is the matter with each. */
export class FaultMaker {
  readonly #random: Random;
  readonly #nowMs: () => number;
  readonly #hostsMin: number;
  readonly #states = new Map<string, HostState>();
  /** Hosts that were draining when they went away are so still when they return. */
  readonly #draining = new Set<string>();
  readonly #steppedAtMs = new Map<string, number>();
  /** What of the network and the store is troubled. */
  readonly #outside = new Set<FaultKind>();
  #troubleNext = 1;

  constructor(random: Random, nowMs: () => number, { hosts, spares, hostsMin }: MakerOptions) {
    this.#random = random;
    this.#nowMs = nowMs;
    this.#hostsMin = hostsMin;
    for (const host of hosts) this.#states.set(host, 'up');
    for (const host of spares) this.#states.set(host, 'spare');
  }

  /** Null where there can be none of this kind now. */
  make(kind: BegunKind): Made | null {
    switch (kind) {
      case 'conductor':
        return { fault: { kind, ms: this.#random.chance(0.5) ? null : this.#duration(PAUSE_MS) }, ends: [] };
      case 'power-cut':
        return this.#powerCut();
      case 'store-outage':
        return this.#ofOutside(kind, STORE_MS, 'store-back');
      case 'store-slow':
        return this.#ofOutside(kind, STORE_MS, 'store-fast');
      case 'store-rough':
        return this.#ofOutside(kind, ROUGH_MS, 'store-smooth');
      case 'network-rough':
        return this.#ofOutside(kind, ROUGH_MS, 'network-smooth');
      case 'cut':
        return this.#cut();
      case 'reset':
        return this.#reset();
      case 'join':
        return this.#withHost(['spare'], (host) => ({ fault: { kind, host }, ends: [] }));
      case 'force-remove':
        return this.#giveUp();
      case 'drain':
        return this.#drain();
      case 'disk':
        return this.#withHost(['up', 'draining', 'away'], (host) => this.#disk(host));
      default:
        return this.#withHost(['up', 'draining'], (host) => this.#onRunning(kind, host));
    }
  }

  /** Whether there is anything to it, as things are now. */
  applies(fault: Fault): boolean {
    if (fault.kind === 'start') return this.#states.get(fault.host) === 'away';
    if (fault.kind === 'force-remove') {
      return this.#states.get(fault.host) === 'away' && this.#staying().length > this.#hostsMin;
    }
    if (fault.kind === 'undrain' || fault.kind === 'remove') return this.#draining.has(fault.host);
    return true;
  }

  /** Keeps up with what was carried out. */
  note(fault: Fault): void {
    switch (fault.kind) {
      case 'kill':
      case 'reboot':
        this.#states.set(fault.host, 'away');
        break;
      case 'power-cut':
        for (const host of fault.hosts) this.#states.set(host, 'away');
        break;
      case 'start':
        this.#states.set(fault.host, this.#draining.has(fault.host) ? 'draining' : 'up');
        break;
      case 'join':
        this.#states.set(fault.host, 'up');
        break;
      case 'drain':
        this.#draining.add(fault.host);
        this.#states.set(fault.host, 'draining');
        break;
      case 'undrain':
        this.#draining.delete(fault.host);
        if (this.#states.get(fault.host) === 'draining') this.#states.set(fault.host, 'up');
        break;
      case 'remove':
      case 'force-remove':
        this.#draining.delete(fault.host);
        this.#states.set(fault.host, 'removed');
        break;
      case 'clock-step':
        this.#steppedAtMs.set(fault.host, this.#nowMs());
        break;
      default:
        this.#noteOutside(fault);
    }
  }

  #noteOutside({ kind }: Fault): void {
    if (OUTSIDE_ENDS[kind]) this.#outside.delete(OUTSIDE_ENDS[kind]);
    else this.#outside.add(kind);
  }

  /** One of its kind at a time. */
  #ofOutside(kind: OutsideKind, range: Range, end: OutsideEnd): Made | null {
    return this.#outside.has(kind) ? null : this.#lasting({ kind }, range, { kind: end });
  }

  #onRunning(kind: BegunKind, host: string): Made | null {
    const start: Fault = { kind: 'start', host };
    switch (kind) {
      case 'kill':
        return this.#lasting({ kind, host }, WORKER_AWAY_MS, start);
      case 'reboot':
        return this.#lasting({ kind, host, unsynced: this.#one(UNSYNCED) }, HOST_AWAY_MS, start);
      case 'pause':
      case 'suspend':
        return { fault: { kind, host, ms: this.#duration(PAUSE_MS) }, ends: [] };
      case 'clock-step':
        return this.#clockStep(host);
      case 'store-cut':
        return this.#lasting({ kind, host }, STORE_MS, { kind: 'store-heal', host });
      case 'crowd':
        return this.#crowd(host);
      case 'disk-add':
        return { fault: { kind, host }, ends: [] };
      case 'disk-remove':
        return { fault: { kind, host, disk: this.#random.below(DISK_NUMBERS) }, ends: [] };
      default:
        throw new Error(`no fault of one host: ${kind}`);
    }
  }

  #disk(host: string): Made {
    const disk = this.#random.below(DISK_NUMBERS);
    const trouble = this.#one(DISK_TROUBLES);
    const number = this.#troubleNext++;
    const fault: Fault = { kind: 'disk', host, disk, trouble, number };
    if (trouble === 'swap' || trouble === 'restore') return { fault, ends: [] };
    return this.#lasting(fault, DISK_MS, { kind: 'disk-mend', host, number });
  }

  #crowd(host: string): Made {
    const disk = this.#random.below(DISK_NUMBERS);
    const share = CROWDED_SHARE_MIN + this.#random.next() * (CROWDED_SHARE_MAX - CROWDED_SHARE_MIN);
    return this.#lasting({ kind: 'crowd', host, disk, share }, DISK_MS, { kind: 'uncrowd', host });
  }

  #clockStep(host: string): Made | null {
    const last = this.#steppedAtMs.get(host) ?? Number.NEGATIVE_INFINITY;
    if (this.#nowMs() - last < CLOCK_STEP_INTERVAL_MS) return null;
    return { fault: { kind: 'clock-step', host, ms: this.#random.next() * CLOCK_STEP_MS_MAX }, ends: [] };
  }

  #powerCut(): Made | null {
    const hosts = this.#hosts(['up', 'draining']);
    if (hosts.length === 0) return null;
    const fault: Fault = { kind: 'power-cut', hosts, unsynced: this.#one(UNSYNCED) };
    const ends = hosts.map((host): Made['ends'][number] => ({
      afterMs: this.#duration(HOST_AWAY_MS),
      fault: { kind: 'start', host },
    }));
    return { fault, ends };
  }

  #drain(): Made | null {
    // Those away may be lost to a forced removal yet.
    if (this.#hosts(['up']).length <= this.#hostsMin) return null;
    const leaves = this.#random.chance(0.5);
    return this.#withHost(['up'], (host) =>
      this.#lasting({ kind: 'drain', host }, DRAIN_MS, { kind: leaves ? 'remove' : 'undrain', host }),
    );
  }

  /** A host is lost, and forced out if it is not back by then. */
  #giveUp(): Made | null {
    if (this.#staying().length <= this.#hostsMin) return null;
    return this.#withHost(['up'], (host) => {
      const afterMs = this.#duration(GIVEN_UP_MS);
      return {
        fault: { kind: 'reboot', host, unsynced: this.#one(UNSYNCED) },
        ends: [
          { afterMs, fault: { kind: 'force-remove', host } },
          { afterMs: afterMs * 2, fault: { kind: 'start', host } },
        ],
      };
    });
  }

  /** One direction, both, a host from all others, or the hosts into two parts, in one direction or both. */
  #cut(): Made | null {
    const hosts = this.#members();
    if (hosts.length < 2) return null;
    const shuffled = this.#shuffled(hosts);
    const many = this.#random.chance(0.5) ? 1 : 1 + this.#random.below(hosts.length - 1);
    const left = shuffled.slice(0, many);
    const right = this.#random.chance(0.4) ? shuffled.slice(many, many + 1) : shuffled.slice(many);
    const both = this.#random.chance(0.6);
    const directions: Direction[] = [];
    for (const one of left) {
      for (const other of right) {
        directions.push(both || this.#random.chance(0.5) ? [one, other] : [other, one]);
        if (both) directions.push([other, one]);
      }
    }
    return this.#lasting({ kind: 'cut', directions }, CUT_MS, { kind: 'heal', directions });
  }

  #reset(): Made | null {
    const [first, second] = this.#shuffled(this.#members());
    if (first === undefined || second === undefined) return null;
    return { fault: { kind: 'reset', first, second }, ends: [] };
  }

  #members(): string[] {
    return this.#hosts(['up', 'draining', 'away']);
  }

  /** Those of them that nobody has asked to leave. */
  #staying(): string[] {
    return this.#members().filter((host) => !this.#draining.has(host));
  }

  #hosts(states: readonly HostState[]): string[] {
    return [...this.#states].filter(([, state]) => states.includes(state)).map(([host]) => host);
  }

  #withHost(states: readonly HostState[], make: (host: string) => Made | null): Made | null {
    const hosts = this.#hosts(states);
    return hosts.length === 0 ? null : make(this.#one(hosts));
  }

  #lasting(fault: Fault, range: Range, end: Fault): Made {
    return { fault, ends: [{ afterMs: this.#duration(range), fault: end }] };
  }

  /** Short ones are more likely: as many between 10 and 100 ms as between 1 and 10 s. */
  #duration([minMs, maxMs]: Range): number {
    return Math.exp(within(this.#random, [Math.log(minMs), Math.log(maxMs)]));
  }

  #one<Value>(values: readonly Value[]): Value {
    return values[this.#random.below(values.length)]!;
  }

  #shuffled(values: readonly string[]): string[] {
    const shuffled = [...values];
    for (let at = shuffled.length - 1; at > 0; at--) {
      const other = this.#random.below(at + 1);
      [shuffled[at], shuffled[other]] = [shuffled[other]!, shuffled[at]!];
    }
    return shuffled;
  }
}

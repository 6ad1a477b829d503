import { createHash } from 'node:crypto';
import type { Scheduler } from './scheduler.js';

/** Lines that are kept by default: the last seconds before a failure, which tell how it came about. */
const LINES_MAX = 5000;
const TIME_WIDTH = 12;
const HOST_WIDTH = 10;

export interface TraceOptions {
  /** The oldest lines are forgotten beyond so many. */
  linesMax?: number;
  /** Gets each line at once, such as for `--trace`. */
  print?: (line: string) => void;
}

/** What happened in a simulated world, in lines that a person can follow: when, where, what. */
export class Trace {
  readonly #scheduler: Scheduler;
  readonly #linesMax: number;
  readonly #print: ((line: string) => void) | null;
  /** A ring: the line with number n, counted from 0, is at n modulo its length. */
  readonly #lines: string[] = [];
  readonly #hash = createHash('sha256');
  #count = 0;

  constructor(scheduler: Scheduler, { linesMax = LINES_MAX, print }: TraceOptions = {}) {
    this.#scheduler = scheduler;
    this.#linesMax = linesMax;
    this.#print = print ?? null;
  }

  /** @param where is a host's name, or what is outside of all hosts, such as `world` or `store`. */
  note(where: string, what: string): void {
    const time = this.#scheduler.nowMs.toFixed(3).padStart(TIME_WIDTH);
    const line = `${time}  ${where.padEnd(HOST_WIDTH)}  ${what}`;
    this.#lines[this.#count % this.#linesMax] = line;
    this.#count++;
    this.#hash.update(line).update('\n');
    this.#print?.(line);
  }

  /** Lines that were noted, the forgotten ones too. */
  get count(): number {
    return this.#count;
  }

  /** The lines that are kept, oldest first. */
  lines(): string[] {
    const first = Math.max(0, this.#count - this.#linesMax) % this.#linesMax;
    return [...this.#lines.slice(first), ...this.#lines.slice(0, first)];
  }

  /** Of all lines, the forgotten ones too: two runs that have the same did the same. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  toString(): string {
    const lines = this.lines();
    const forgotten = this.#count - lines.length;
    return [...(forgotten > 0 ? [`(${forgotten} lines before these)`] : []), ...lines, ''].join('\n');
  }
}

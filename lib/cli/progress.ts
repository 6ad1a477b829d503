import { Presets, SingleBar } from 'cli-progress';
import type { ProgressUnit } from '../control/administration.js';
import { formatSize } from './size.js';
import { formatDuration, formatPercent } from './text.js';

/** Between two lines where there is no terminal, and before the first: short work needs none. */
const LINE_INTERVAL_MS = 5000;
const BAR_REDRAWS_A_SECOND = 5;
/** Estimates before that jump about. */
const ESTIMATE_AFTER_MS = 2000;

export interface Progress {
  done: number;
  /** Null where the end is not known. */
  total: number | null;
  unit: ProgressUnit;
  secondsLeft: number | null;
}

export interface ProgressView {
  update(progress: Progress): void;
  /** Takes a bar away; call it before anything else is written. */
  end(): void;
}

export interface ProgressOptions {
  /** What is done, in a few words. */
  title: string;
  quiet: boolean;
  /** Where lines go when standard error is no terminal. */
  lines: NodeJS.WritableStream;
}

/** A bar on a terminal, a line now and then elsewhere, nothing where it is to be quiet. */
export function showProgress(options: ProgressOptions): ProgressView {
  if (options.quiet) return { update() {}, end() {} };
  return process.stderr.isTTY ? new BarView(options.title) : new LineView(options);
}

/** Time left by the speed so far, or null while that says little. */
export function estimate(startedMs: number, done: number, total: number | null): number | null {
  const elapsedMs = performance.now() - startedMs;
  if (total === null || done <= 0 || elapsedMs < ESTIMATE_AFTER_MS) return null;
  return Math.ceil((Math.max(0, total - done) * elapsedMs) / done / 1000);
}

/** `40% (4 of 10 groups), 12 s left`. */
export function formatProgress({ done, total, unit, secondsLeft }: Progress): string {
  const amount = (value: number) => (unit === 'bytes' ? formatSize(value) : String(value));
  const suffix = unit === 'bytes' ? '' : ` ${unit}`;
  if (total === null) return `${amount(done)}${suffix}`;
  if (total === 0) return 'starting';
  const left = secondsLeft === null ? '' : `, ${formatDuration(secondsLeft)} left`;
  return `${formatPercent(done, total)} (${amount(done)} of ${amount(total)}${suffix})${left}`;
}

class BarView implements ProgressView {
  private readonly bar: SingleBar;
  private readonly title: string;
  private started = false;

  constructor(title: string) {
    this.title = title;
    const format = '{title} {bar} {text}';
    this.bar = new SingleBar(
      {
        format,
        stream: process.stderr,
        fps: BAR_REDRAWS_A_SECOND,
        barsize: 24,
        clearOnComplete: true,
        gracefulExit: false,
      },
      Presets.shades_classic,
    );
  }

  update(progress: Progress): void {
    const payload = { title: this.title, text: formatProgress(progress) };
    // An unknown end is an empty bar beside how much it is so far.
    const total = Math.max(progress.total ?? Number.MAX_SAFE_INTEGER, 1);
    if (!this.started) this.bar.start(total, progress.done, payload);
    this.started = true;
    this.bar.setTotal(total);
    this.bar.update(progress.done, payload);
  }

  end(): void {
    this.bar.stop();
  }
}

class LineView implements ProgressView {
  private readonly options: ProgressOptions;
  private lastMs = performance.now();

  constructor(options: ProgressOptions) {
    this.options = options;
  }

  update(progress: Progress): void {
    const now = performance.now();
    if (now - this.lastMs < LINE_INTERVAL_MS) return;
    this.lastMs = now;
    this.options.lines.write(`${this.options.title}: ${formatProgress(progress)}\n`);
  }

  end(): void {}
}

import { AdministrationError, type ProgressUnit, type WorkStatus } from './administration.js';

/** Between two reports to one who watches. */
const REPORT_INTERVAL_MS = 200;
/** Estimates before that jump about. */
const ESTIMATE_AFTER_MS = 2000;
/** Works that ended and can still be asked for, the newest. */
const ENDED_MAX = 16;

/** Tells how far a work has got, in its unit. */
export type Report = (done: number, total: number) => void;

interface Work {
  key: string;
  status: WorkStatus;
  startedMs: number;
  watchers: Set<() => void>;
}

/**
 * Long work of the daemon: each is started once, goes on by itself, and can be watched by any number at any time. What
 * has to survive a restart is stored by who starts it, who then starts it again.
 */
export class Works {
  private readonly works = new Map<string, Work>();
  private readonly running = new Set<Promise<void>>();
  private readonly stop = new AbortController();
  private readonly onDefect: (error: unknown) => void;
  private nextId = 1;

  /** `onDefect` is told of errors other than AdministrationError, to log them. */
  constructor(onDefect: (error: unknown) => void) {
    this.onDefect = onDefect;
  }

  /**
   * Starts `run`, or answers the running work of the same `key`. `run` gets a signal that is aborted by `close`, and
   * fails the work by throwing.
   *
   * @throws AdministrationError SHUTTING_DOWN after `close`.
   */
  start(
    key: string,
    title: string,
    unit: ProgressUnit,
    run: (report: Report, signal: AbortSignal) => Promise<void>,
  ): WorkStatus {
    const present = this.find(key);
    if (present) return present;
    if (this.stop.signal.aborted) throw new AdministrationError('SHUTTING_DOWN', 'the daemon is ending');
    const status: WorkStatus = {
      id: String(this.nextId++),
      title,
      state: 'running',
      done: 0,
      total: 0,
      unit,
      secondsLeft: null,
      error: null,
    };
    const work: Work = { key, status, startedMs: performance.now(), watchers: new Set() };
    this.works.set(status.id, work);
    const running = this.carryOut(work, run).finally(() => this.running.delete(running));
    this.running.add(running);
    return { ...work.status };
  }

  /** The running work of that key, or null. */
  find(key: string): WorkStatus | null {
    for (const work of this.works.values()) {
      if (work.key === key && work.status.state === 'running') return { ...work.status };
    }
    return null;
  }

  /**
   * Its state now, each change (the newest, several times a second at most), and last how it ended.
   *
   * @throws AdministrationError NOT_FOUND.
   */
  async *follow(id: string, signal: AbortSignal): AsyncGenerator<WorkStatus, void> {
    const work = this.works.get(id);
    if (!work) throw new AdministrationError('NOT_FOUND', `there is no work ${id}`);
    while (!signal.aborted) {
      const told = work.status;
      yield { ...told };
      if (told.state !== 'running') return;
      await pause(REPORT_INTERVAL_MS, signal, work);
      if (work.status === told) await change(work, signal);
    }
  }

  /** Asks what runs to stop, and waits until it did. */
  async close(): Promise<void> {
    this.stop.abort();
    await Promise.all(this.running);
  }

  private async carryOut(work: Work, run: (report: Report, signal: AbortSignal) => Promise<void>): Promise<void> {
    const report: Report = (done, total) => {
      if (work.status.state === 'running') this.update(work, { done, total, secondsLeft: estimate(work, done, total) });
    };
    try {
      await run(report, this.stop.signal);
      this.update(work, { state: 'done', done: work.status.total, secondsLeft: 0 });
    } catch (error) {
      this.update(work, { state: 'failed', secondsLeft: null, error: this.describe(error) });
    }
    this.forgetOldest();
  }

  private describe(error: unknown): WorkStatus['error'] {
    if (error instanceof AdministrationError) return { code: error.code, message: error.message, hint: error.hint };
    this.onDefect(error);
    return { code: 'INTERNAL', message: 'the daemon failed at it', hint: 'its log says more' };
  }

  private update(work: Work, changes: Partial<WorkStatus>): void {
    work.status = { ...work.status, ...changes };
    for (const wake of [...work.watchers]) wake();
  }

  private forgetOldest(): void {
    const ended = [...this.works.values()].filter((work) => work.status.state !== 'running');
    for (const work of ended.slice(0, -ENDED_MAX)) this.works.delete(work.status.id);
  }
}

function estimate(work: Work, done: number, total: number): number | null {
  const elapsedMs = performance.now() - work.startedMs;
  if (done <= 0 || elapsedMs < ESTIMATE_AFTER_MS) return null;
  return Math.ceil(((total - done) * elapsedMs) / done / 1000);
}

/** Waits that long, less when the work ends or the signal comes. */
function pause(ms: number, signal: AbortSignal, work: Work): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      work.watchers.delete(wake);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const wake = () => {
      if (work.status.state !== 'running') end();
    };
    const timer = setTimeout(end, ms);
    work.watchers.add(wake);
    signal.addEventListener('abort', end);
    if (signal.aborted || work.status.state !== 'running') end();
  });
}

function change(work: Work, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      work.watchers.delete(wake);
      signal.removeEventListener('abort', wake);
      resolve();
    };
    work.watchers.add(wake);
    signal.addEventListener('abort', wake);
    if (signal.aborted) wake();
  });
}

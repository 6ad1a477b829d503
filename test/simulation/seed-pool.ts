import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { SeedJob, SeedReport } from './seed-job.js';

/**
 * Simulated worlds make much that is soon forgotten: with the default of 16 MiB a fifth more of the time goes into that.
 * Processes are as many as cores, so further threads only get in their way. And with the default budget functions are
 * optimized that are not worth it: the first seeds of a process take a quarter more of the CPU.
 */
const FLAGS = ['--max-semi-space-size=32', '--single-threaded-gc', '--interrupt-budget=400000'];
/** A seed looks at the time between events; a process that is silent for so many times longer is stuck within one. */
const STUCK_FACTOR = 2;
/** Of what a process says before it dies. */
const LAST_WORDS_CHARACTERS = 2000;

export interface SeedPoolOptions {
  /** The build whose simulation is run, such as dist/. */
  directory: string;
  /** Processes at a time. */
  jobs: number;
}

/** Runs seeds in processes, several at a time. */
export class SeedPool {
  readonly #options: SeedPoolOptions;
  readonly #busy = new Set<SeedProcess>();
  /** Started, and to be used again. */
  readonly #idle: SeedProcess[] = [];
  #stopped = false;

  constructor(options: SeedPoolOptions) {
    this.#options = options;
  }

  /** Calls `report` for each seed, in the order of `jobs`, until it answers false; runs no more seeds then. One call at a time. */
  async run(jobs: readonly SeedJob[], report: (report: SeedReport) => boolean): Promise<void> {
    this.#stopped = false;
    const reports = new Map<number, SeedReport>();
    let begun = 0;
    let reported = 0;
    const work = async (process: SeedProcess) => {
      while (begun < jobs.length && !this.#stopped) {
        const number = begun++;
        const result = await process.run(jobs[number]!);
        if (result === null) return;
        reports.set(number, result);
        for (let next = reports.get(reported); next && !this.#stopped; next = reports.get(reported)) {
          reports.delete(reported++);
          if (!report(next)) this.stop();
        }
      }
    };
    const processes = Array.from({ length: Math.min(this.#options.jobs, jobs.length) }, () => this.#take());
    await Promise.all(processes.map((process) => work(process).then(() => this.#giveBack(process))));
  }

  /** Runs no more seeds; what runs is given up. */
  stop(): void {
    this.#stopped = true;
    for (const process of this.#busy) process.end();
    this.#busy.clear();
  }

  /** To be called at the end: until then processes wait for more. */
  close(): void {
    this.stop();
    for (const process of this.#idle.splice(0)) process.end();
  }

  #take(): SeedProcess {
    const process =
      this.#idle.pop() ?? new SeedProcess(join(this.#options.directory, 'test/simulation/seed-process.js'));
    this.#busy.add(process);
    return process;
  }

  #giveBack(process: SeedProcess): void {
    if (this.#busy.delete(process)) this.#idle.push(process);
  }
}

/** One process, which is started anew where it died. */
class SeedProcess {
  readonly #script: string;
  #child: ChildProcess | null = null;
  #busy = false;
  #ended = false;

  constructor(script: string) {
    this.#script = script;
  }

  /** Answers null once `end` was called. */
  run(job: SeedJob): Promise<SeedReport | null> {
    if (this.#ended) return Promise.resolve(null);
    const child = this.#running();
    this.#busy = true;
    return new Promise((resolve) => {
      const startedMs = performance.now();
      let lastWords = '';
      const hear = (text: string) => {
        lastWords = (lastWords + text).slice(-LAST_WORDS_CHARACTERS);
      };
      const settle = (report: SeedReport | null) => {
        clearTimeout(timer);
        this.#busy = false;
        child.removeAllListeners('message').removeAllListeners('close');
        child.stderr!.removeListener('data', hear);
        resolve(report);
      };
      const fail = (complaint: string) => {
        this.#child = null;
        const tookMs = performance.now() - startedMs;
        const trace = lastWords.split('\n').filter((line) => line !== '');
        settle({ seed: job.seed, complaint, tookMs, simulatedMs: 0, events: 0, faults: 0, trace, plan: null });
      };
      const timer = setTimeout(
        () => {
          fail('stuck within one event');
          child.kill('SIGKILL');
        },
        job.seconds * STUCK_FACTOR * 1000,
      );
      child.stderr!.on('data', hear);
      child.on('message', (report) => settle(report as SeedReport));
      child.on('close', (code, signal) => {
        if (this.#ended) settle(null);
        else fail(/^\w*Error\b.*/m.exec(lastWords)?.[0] ?? `ended with ${signal ?? `exit code ${code}`}`);
      });
      child.send(job);
    });
  }

  end(): void {
    this.#ended = true;
    if (this.#busy) this.#child?.kill('SIGKILL');
    // It ends by itself, and may write down what it was asked to, such as a profile.
    else if (this.#child?.connected) this.#child.disconnect();
    this.#child = null;
  }

  #running(): ChildProcess {
    if (this.#child) return this.#child;
    // A child ends when its channel closes: it does not outlive this process.
    const child = fork(this.#script, [], {
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
      execArgv: [...process.execArgv, ...FLAGS],
    });
    child.stderr!.setEncoding('utf8');
    this.#child = child;
    return child;
  }
}

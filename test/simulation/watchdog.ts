import { Worker } from 'node:worker_threads';

/** Ends the process, as this thread may not be able to. */
const SOURCE = `
  const { workerData } = require('node:worker_threads');
  setTimeout(() => {
    require('node:fs').writeSync(1, workerData.complaint + '\\n');
    process.kill(process.pid, 'SIGKILL');
  }, workerData.afterMs);
`;

/** Ends the whole process, with a complaint, where this thread does not end the watch in time: not even a loop that never waits holds that up. */
export class Watchdog {
  readonly #worker: Worker;

  constructor(complaint: string, afterMs: number) {
    this.#worker = new Worker(SOURCE, { eval: true, workerData: { complaint, afterMs } });
    this.#worker.unref();
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** A process of `SeedPool`: runs the seeds that it is sent, one at a time, and sends back how they ended. */
import { simulate } from './run.js';
import type { SeedJob, SeedReport } from './seed-job.js';

// Making them is a good part of what an error costs that is only looked at by its code.
Error.stackTraceLimit = 4;

process.on('message', (job: SeedJob) => {
  run(job).then((report) => process.send!(report));
});
process.on('disconnect', () => process.exit());

async function run(job: SeedJob): Promise<SeedReport> {
  const { seed, seconds, print, traceLines } = job;
  const startedMs = performance.now();
  const { world, failure, overdue, faults } = await simulate({
    ...job,
    print: print ? (line: string) => process.stdout.write(`${line}\n`) : undefined,
    isOverdue: () => performance.now() - startedMs > seconds * 1000,
  });
  const { scheduler, trace } = world;
  const complaint = failure?.message ?? (overdue ? 'stuck' : null);
  return {
    ...{ seed, complaint, tookMs: performance.now() - startedMs },
    ...{ simulatedMs: scheduler.nowMs, events: scheduler.events },
    faults: [...faults.values()].reduce((total, count) => total + count, 0),
    trace: complaint === null || print ? [] : trace.lines().slice(-traceLines),
  };
}

/** A process of `SeedPool`: runs the seeds that it is sent, one at a time, and sends back how they ended. */
import { decodeRecord, KEY, type VdiRecord } from '../../lib/vdi/records.js';
import { subjectOf } from './complaint.js';
import { relevantLines } from './relevant-lines.js';
import { simulate } from './run.js';
import type { SeedJob, SeedReport } from './seed-job.js';
import type { World } from './world.js';

// Making them is a good part of what an error costs that is only looked at by its code.
Error.stackTraceLimit = 4;

process.on('message', (job: SeedJob) => {
  run(job).then((report) => process.send!(report));
});
process.on('disconnect', () => process.exit());

async function run(job: SeedJob): Promise<SeedReport> {
  const { seed, seconds, print } = job;
  const startedMs = performance.now();
  const outcome = await simulate({
    ...job,
    print: print ? (line: string) => process.stdout.write(`${line}\n`) : undefined,
    isOverdue: () => performance.now() - startedMs > seconds * 1000,
  });
  const { world, failure, overdue, faults, plan } = outcome;
  const complaint = failure?.message ?? (overdue ? 'stuck' : null);
  return {
    ...{ seed, complaint, tookMs: performance.now() - startedMs },
    ...{ simulatedMs: world.scheduler.nowMs, events: world.scheduler.events },
    faults: [...faults.values()].reduce((total, count) => total + count, 0),
    trace: complaint === null || print ? [] : linesOf(world, complaint, job),
    plan: complaint === null ? null : plan,
  };
}

function linesOf({ trace, placement, store }: World, complaint: string, job: SeedJob): string[] {
  const lines = trace.lines();
  if (!job.relevantLines) return lines.slice(-job.traceLines);
  const subject = subjectOf(complaint, (vdi, index) => {
    const found = store.peek(KEY.vdi(vdi));
    const family = found && decodeRecord<VdiRecord>(found.value).family;
    return family === null ? null : { copies: placement.copiesOf(family), pg: placement.pgOf(family, index) };
  });
  return relevantLines(lines, subject).slice(-job.traceLines);
}

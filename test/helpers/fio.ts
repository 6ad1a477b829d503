import { RunError, run } from './run.js';

/** What is used of the `jobs` of fio's JSON. Latencies in nanoseconds, rates a second. */
export interface FioSide {
  iops: number;
  bw_bytes: number;
  io_bytes: number;
  total_ios: number;
  lat_ns: { max: number; mean: number };
  clat_ns: { max: number; mean: number; percentile?: Record<string, number> };
}

export interface FioJob {
  jobname: string;
  error: number;
  read: FioSide;
  write: FioSide;
  sync: { total_ios: number; lat_ns: { max: number } };
}

export type FioOptions = Record<string, string | number | true>;

/**
 * Runs one fio job and answers its figures.
 *
 * @param options fio's options by name; `true` stands for an option without a value.
 * @throws RunError with what fio said, when an I/O failed or a block was not what had been written.
 */
export async function fio(options: FioOptions, deadlineMs = 120_000): Promise<FioJob> {
  const { status, stdout, stderr } = await run('fio', fioArguments(options), { deadlineMs });
  if (status !== 0) throw new RunError('FAILED', `fio ended with exit code ${status}: ${stderr.slice(0, 4000)}`);
  return parseJob(stdout);
}

/** As `fio`, for a job that may fail; answers its exit code and all that it printed. */
export async function tryFio(options: FioOptions, deadlineMs = 120_000) {
  const { status, stdout, stderr } = await run('fio', fioArguments(options), { deadlineMs });
  return { status, output: stdout + stderr };
}

/** The longest that any single read, write or sync of the job took, in milliseconds. */
export function longestMs(job: FioJob): number {
  return Math.max(job.read.lat_ns.max, job.write.lat_ns.max, job.sync.lat_ns?.max ?? 0) / 1e6;
}

function fioArguments(options: FioOptions): string[] {
  const given = Object.entries<string | number | true>({ name: 'job', ...options, 'output-format': 'json' });
  return given.map(([key, value]) => (value === true ? `--${key}` : `--${key}=${value}`));
}

function parseJob(stdout: string): FioJob {
  // Notes of fio's may stand before the JSON.
  const { jobs } = JSON.parse(stdout.slice(stdout.indexOf('{'))) as { jobs: FioJob[] };
  return jobs[0]!;
}

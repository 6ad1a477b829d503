import { open } from 'node:fs/promises';
import { type FioOptions, fio } from '../test/helpers/fio.js';
import { cpuTicksOf, peakMemoryOf } from '../test/helpers/proc.js';
import type { Target } from './targets.js';
import type { Workload } from './workloads.js';

/** USER_HZ, the same on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
const GIB = 1024 ** 3;

/** One run of one workload on one target. */
export interface Sample {
  /** Operations a second. */
  iops: number;
  /** Bytes a second. */
  bandwidth: number;
  /** Microseconds, of a whole operation. */
  latencyUsMean: number;
  latencyUsMax: number;
  /** Seconds of CPU that the serving processes used for each GiB read or written; null where there are none. */
  cpuSecondsPerGib: number | null;
}

/** Writes the whole file with random data, so that every read has a block to read. */
export async function fill(target: Target, bytes: number): Promise<void> {
  // fio would delete and make anew a file that is too short, which an export cannot have.
  const file = await open(target.file, 'a');
  await file.truncate(bytes);
  await file.close();
  const options: FioOptions = {
    rw: 'write',
    bs: '1m',
    ioengine: 'libaio',
    iodepth: 4,
    direct: 1,
    refill_buffers: true,
  };
  await fio({ ...options, filename: target.file, size: bytes, end_fsync: 1 }, 600_000);
}

/** Runs a workload on a target for some seconds. */
export async function measure(target: Target, workload: Workload, bytes: number, seconds: number): Promise<Sample> {
  const before = cpuSeconds(target);
  const job = await fio(
    { ...workload.options, filename: target.file, size: bytes, runtime: seconds },
    (seconds + 120) * 1000,
  );
  const used = cpuSeconds(target) - before;
  const sides = [job.read, job.write];
  const operations = job.read.total_ios + job.write.total_ios;
  const moved = job.read.io_bytes + job.write.io_bytes;
  return {
    iops: job.read.iops + job.write.iops,
    bandwidth: job.read.bw_bytes + job.write.bw_bytes,
    latencyUsMean: sides.reduce((sum, side) => sum + side.lat_ns.mean * side.total_ios, 0) / operations / 1000,
    latencyUsMax: Math.max(...sides.map((side) => side.lat_ns.max)) / 1000,
    cpuSecondsPerGib: target.processes().length === 0 ? null : used / (moved / GIB),
  };
}

/** The most memory that any one process of the target has had, in bytes; null where there is none. */
export function peakMemory(target: Target): number | null {
  const processes = target.processes();
  return processes.length === 0 ? null : Math.max(...processes.map(peakMemoryOf));
}

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
}

function cpuSeconds(target: Target): number {
  return target.processes().reduce((sum, pid) => sum + cpuTicksOf(pid), 0) / TICKS_PER_SECOND;
}

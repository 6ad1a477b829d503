import { z } from 'zod';
import { RecordCodec } from '../cluster/record.js';
import type { DiskStatus } from '../control/administration.js';
import type { RecoveryProgress } from '../replication/recovery-progress.js';

/** What a host tells of itself for whoever looks after the cluster: `/status/<host>`. Nothing is decided by it. */
export interface HostReport {
  readonly version: string;
  /** Where the images are mounted on it. */
  readonly mount: string;
  readonly disks: readonly DiskStatus[];
  /** Bytes of its disks that work, each file system once, and of them those that images can still take. */
  readonly space: { readonly total: number; readonly free: number };
  /** Of the disks that have something to catch up with. */
  readonly recovery: readonly RecoveryProgress[];
  /** By number of the image, how many times it is open there; of REPORTED_OPENS_MAX images. */
  readonly opens: Readonly<Record<string, number>>;
}

export const REPORTS_PREFIX = '/status/';
export const REPORTED_OPENS_MAX = 1000;

export function reportKey(host: string): string {
  return `${REPORTS_PREFIX}${host}`;
}

const count = z.int().nonnegative();

export const hostReportCodec = new RecordCodec<HostReport>(
  'the report of a host',
  1,
  z.strictObject({
    version: z.string(),
    mount: z.string(),
    disks: z.array(
      z.strictObject({
        number: count,
        directory: z.string(),
        size: count,
        used: count,
        state: z.enum(['ok', 'adding', 'removing', 'full', 'failed']),
        problem: z.string().nullable(),
      }),
    ),
    space: z.strictObject({ total: count, free: count }),
    recovery: z.array(
      z.strictObject({
        disk: count,
        groups: count,
        groupsUnlisted: count,
        indexesLeft: count,
        indexesDone: count,
        bytesDone: count,
        bytesPerSecond: z.number().nonnegative(),
        secondsLeft: z.number().nonnegative().nullable(),
      }),
    ),
    opens: z.record(z.string(), count),
  }),
);

import type { FioOptions } from '../test/helpers/fio.js';

export interface Workload {
  name: string;
  title: string;
  options: FioOptions;
  /** What is counted: operations a second, or bytes a second. */
  unit: 'iops' | 'bandwidth';
}

/** As a guest's disk is used: past the page cache of the mount. */
const COMMON: FioOptions = { direct: 1, randrepeat: 0, norandommap: true, time_based: true };

const one: FioOptions = { ...COMMON, ioengine: 'psync', iodepth: 1 };
const deep = (iodepth: number): FioOptions => ({ ...COMMON, ioengine: 'libaio', iodepth });

export const WORKLOADS: readonly Workload[] = [
  { name: 'rr1', title: '4 KiB random read, depth 1', options: { ...one, rw: 'randread', bs: '4k' }, unit: 'iops' },
  {
    name: 'rr16',
    title: '4 KiB random read, depth 16',
    options: { ...deep(16), rw: 'randread', bs: '4k' },
    unit: 'iops',
  },
  { name: 'rw1', title: '4 KiB random write, depth 1', options: { ...one, rw: 'randwrite', bs: '4k' }, unit: 'iops' },
  {
    name: 'rw16',
    title: '4 KiB random write, depth 16',
    options: { ...deep(16), rw: 'randwrite', bs: '4k' },
    unit: 'iops',
  },
  {
    name: 'mix16',
    title: '4 KiB 70 % read 30 % write, depth 16',
    options: { ...deep(16), rw: 'randrw', rwmixread: 70, bs: '4k' },
    unit: 'iops',
  },
  {
    name: 'sr4',
    title: '1 MiB sequential read, depth 4',
    options: { ...deep(4), rw: 'read', bs: '1m' },
    unit: 'bandwidth',
  },
  {
    name: 'sw4',
    title: '1 MiB sequential write, depth 4',
    options: { ...deep(4), rw: 'write', bs: '1m' },
    unit: 'bandwidth',
  },
  {
    name: 'fsync',
    title: '4 KiB write with fsync each',
    options: { ...one, rw: 'randwrite', bs: '4k', fsync: 1 },
    unit: 'iops',
  },
];

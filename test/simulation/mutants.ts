import { CLUSTER_MUTANTS } from './mutants/cluster.js';
import { MAP_MUTANTS } from './mutants/map.js';
import { MEMBER_MUTANTS } from './mutants/member.js';
import type { Mutant } from './mutants/mutant.js';
import { RING_MUTANTS } from './mutants/ring.js';
import { STORE_MUTANTS } from './mutants/store.js';
import { WRITER_MUTANTS } from './mutants/writer.js';

/*
 * Wrong versions of the shipped code, each of which the simulation must find: one that it does not shows that a checker
 * or the fault model is weak.
 *
 * Not yet, for want of the code that they would break:
 * - shrink without its limit, size without its bound: images of a cluster have a size only on a single host.
 * - overlapping writes in flight: the writer's caller keeps them apart, and in a cluster it has none but tests.
 * - merging without waiting for absent disks: no layer is merged in a cluster.
 * - a lock given away without the writer role: locks are those of a single host.
 * - a snapshot before the last fence's objects are equal: no snapshot is taken in a cluster.
 */
export const MUTANTS: readonly Mutant[] = [
  ...WRITER_MUTANTS,
  ...MEMBER_MUTANTS,
  ...RING_MUTANTS,
  ...CLUSTER_MUTANTS,
  ...MAP_MUTANTS,
  ...STORE_MUTANTS,
];

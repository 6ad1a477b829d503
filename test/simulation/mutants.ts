import { CLUSTER_MUTANTS } from './mutants/cluster.js';
import { IMAGE_MUTANTS } from './mutants/image.js';
import { MAP_MUTANTS } from './mutants/map.js';
import { MEMBER_MUTANTS } from './mutants/member.js';
import type { Mutant } from './mutants/mutant.js';
import { RING_MUTANTS } from './mutants/ring.js';
import { STORE_MUTANTS } from './mutants/store.js';
import { WRITER_MUTANTS } from './mutants/writer.js';

/*
 * Wrong versions of the shipped code, each of which the simulation, or a test that is named with it, must find: one that
 * they do not shows that a checker or the fault model is weak.
 */
export const MUTANTS: readonly Mutant[] = [
  ...WRITER_MUTANTS,
  ...MEMBER_MUTANTS,
  ...RING_MUTANTS,
  ...CLUSTER_MUTANTS,
  ...MAP_MUTANTS,
  ...STORE_MUTANTS,
  ...IMAGE_MUTANTS,
];

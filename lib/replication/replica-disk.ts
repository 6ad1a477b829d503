import type { GroupLayout } from '../store/group-list.js';
import type { Disk } from '../store/index.js';
import type { FormerCopies } from './former-copies.js';
import type { IndexLocks } from './index-locks.js';
import type { LayerWork } from './layer-work.js';
import type { Recovery } from './recovery.js';

/** A disk of this host as a member of groups. */
export interface ReplicaDisk {
  readonly disk: Disk;
  /** Of this disk's copies; another disk of the host may have a copy of the same index. */
  readonly locks: IndexLocks;
  readonly recovery: Recovery;
  readonly former: FormerCopies;
  readonly layers: LayerWork;
  layouts(copies: number): GroupLayout;
}

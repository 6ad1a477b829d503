import { NO_END, OBJECT } from '../../lib/store/entry.js';
import type { Disk } from '../../lib/store/index.js';

/** Entries put in one commit. */
const BATCH = 20_000;

/**
 * Puts `count` objects into a disk's index, as many each to these families, of which there are no files: a disk as large
 * as none that a test could fill.
 */
export async function fillIndex(disk: Disk, families: number, count: number): Promise<void> {
  const each = Math.ceil(count / families);
  let serial = 1_000_000;
  for (let done = 0; done < count; ) {
    const until = Math.min(count, done + BATCH);
    await disk.index.commit(() => {
      for (; done < until; done++) {
        const [family, index] = [1 + Math.floor(done / each), done % each];
        disk.index.put(family, index, 1, { kind: OBJECT, serial: serial++, modified: 3, end: NO_END }, 1024);
      }
    });
  }
  await disk.index.durable();
}

/** truncate(2) and ftruncate(2): what is cut off never comes back. */
import { readFile, stat, truncate, writeFile } from 'node:fs/promises';
import type { Checks } from './features.js';
import { isZero, newFile, newPath, OBJECT_BYTES, pattern, readAt, refused, sameBytes, writeAt } from './support.js';

const SIZES = [
  0,
  1,
  511,
  4095,
  4096,
  100_000,
  OBJECT_BYTES - 1,
  OBJECT_BYTES,
  OBJECT_BYTES + 1,
  OBJECT_BYTES + 5000,
] as const;
const FULL = OBJECT_BYTES + 10_000;

export const truncateChecks: Checks = {
  async growingAddsZeros(directory, t) {
    const { file } = await newFile(t, directory);
    await writeAt(file, 0, pattern(1000, 1));
    await file.truncate(2 * OBJECT_BYTES + 7);
    t.is((await file.stat()).size, 2 * OBJECT_BYTES + 7);
    sameBytes(t, await readAt(file, 0, 1000), pattern(1000, 1), 'what was there');
    t.ok(isZero(await readAt(file, 1000, 2 * OBJECT_BYTES)), 'zeros after it');
    t.is((await readAt(file, 2 * OBJECT_BYTES, 100)).length, 7);
  },

  async cutBytesComeBackAsZeros(directory, t) {
    const { file } = await newFile(t, directory);
    const content = pattern(FULL, 2);
    for (const size of SIZES) {
      await writeAt(file, 0, content);
      await file.truncate(size);
      t.is((await file.stat()).size, size, `cut at ${size}`);
      await file.truncate(FULL);
      const bytes = await readAt(file, 0, FULL);
      sameBytes(t, bytes.subarray(0, size), content.subarray(0, size), `kept up to ${size}`);
      t.ok(bytes.length === FULL && isZero(bytes.subarray(size)), `zeros after ${size}`);
    }
  },

  async writeBeyondACutLeavesZerosBetween(directory, t) {
    const { file } = await newFile(t, directory);
    for (const size of SIZES) {
      await writeAt(file, 0, pattern(FULL, 3));
      await file.truncate(size);
      await writeAt(file, FULL + 100, Buffer.from('x'));
      t.ok(isZero(await readAt(file, size, FULL + 100 - size)), `after a cut at ${size}`);
    }
  },

  async truncateByName(directory, t) {
    const path = newPath(t, directory);
    await writeFile(path, pattern(5000, 4));
    await truncate(path, 1234);
    sameBytes(t, await readFile(path), pattern(5000, 4).subarray(0, 1234), 'shorter');
    await truncate(path, 1234);
    t.is((await stat(path)).size, 1234, 'the same size again');
    await truncate(path, 0);
    t.is((await readFile(path)).length, 0);
    await refused(t, truncate(newPath(t, directory), 1), 'ENOENT', 'of nothing');
  },

  async truncateOfADirectory(directory, t) {
    await refused(t, truncate(directory, 0), 'EISDIR', 'truncate');
  },

  async shrinkingGivesSpaceBack(directory, t) {
    const { file } = await newFile(t, directory);
    await writeAt(file, 0, pattern(2 * OBJECT_BYTES, 5));
    await file.sync();
    const before = (await file.stat()).blocks;
    t.ok(before * 512 >= 2 * OBJECT_BYTES, 'st_blocks counts what is stored');
    await file.truncate(0);
    await file.sync();
    t.ok((await file.stat()).blocks * 512 < OBJECT_BYTES);
  },
};

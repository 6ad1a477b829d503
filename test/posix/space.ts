/** Holes: SEEK_DATA and SEEK_HOLE, fallocate(2), copy_file_range(2). */
import { constants } from 'node:fs';
import { syscalls } from '../helpers/syscalls.js';
import type { Checks } from './features.js';
import {
  isZero,
  KIB,
  MIB,
  newFile,
  OBJECT_BYTES,
  openElsewhere,
  pattern,
  readAt,
  refused,
  sameBytes,
  writeAt,
} from './support.js';

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const KEEP_SIZE = 0x01;
const PUNCH_HOLE = 0x02;
const COLLAPSE_RANGE = 0x08;
const ZERO_RANGE = 0x10;
const UNSHARE_RANGE = 0x40;

const seek = (fd: number, offset: number, whence: number) => syscalls().call('lseek', { fd, offset, whence });
const allocate = (fd: number, mode: number, offset: number, length: number) =>
  syscalls().call('fallocate', { fd, mode, offset, length });
const copy = (source: number, sourceOffset: number, target: number, targetOffset: number, length: number) =>
  syscalls().call('copy_file_range', { source, sourceOffset, target, targetOffset, length });

export const spaceChecks: Checks = {
  async seekFindsDataAndHoles(directory, t, features) {
    const { path, file } = await newFile(t, directory);
    const size = 5 * OBJECT_BYTES;
    await file.truncate(size);
    await writeAt(file, 2 * OBJECT_BYTES, pattern(OBJECT_BYTES, 1));
    const fd = await openElsewhere(t, path, constants.O_RDONLY);
    if (!features.seek) {
      t.is(await seek(fd, 0, SEEK_DATA), 0, 'all is data');
      t.is(await seek(fd, 0, SEEK_HOLE), size, 'the only hole is the end');
      return;
    }
    t.is(await seek(fd, 0, SEEK_HOLE), 0);
    t.is(await seek(fd, 0, SEEK_DATA), 2 * OBJECT_BYTES);
    t.is(await seek(fd, 2 * OBJECT_BYTES + 5, SEEK_DATA), 2 * OBJECT_BYTES + 5, 'within data');
    t.is(await seek(fd, 2 * OBJECT_BYTES + 5, SEEK_HOLE), 3 * OBJECT_BYTES);
    t.is(await seek(fd, 3 * OBJECT_BYTES + 5, SEEK_HOLE), 3 * OBJECT_BYTES + 5, 'within a hole');
    await refused(t, seek(fd, 3 * OBJECT_BYTES, SEEK_DATA), 'ENXIO', 'no data after it');
    await writeAt(file, size - 1, Buffer.from('x'));
    const data = await seek(fd, 3 * OBJECT_BYTES, SEEK_DATA);
    t.ok(data > 3 * OBJECT_BYTES && data < size, 'data in the last object');
    t.is(await seek(fd, size - 1, SEEK_HOLE), size, 'the end is a hole');
  },

  async seekAtAndBeyondTheEnd(directory, t) {
    const { path, file } = await newFile(t, directory);
    await writeAt(file, 0, pattern(10_000, 1));
    const fd = await openElsewhere(t, path, constants.O_RDONLY);
    t.is(await seek(fd, 0, SEEK_DATA), 0);
    t.is(await seek(fd, 0, SEEK_HOLE), 10_000);
    for (const offset of [10_000, 10_001, 10 * MIB]) {
      await refused(t, seek(fd, offset, SEEK_DATA), 'ENXIO', `SEEK_DATA at ${offset}`);
      await refused(t, seek(fd, offset, SEEK_HOLE), 'ENXIO', `SEEK_HOLE at ${offset}`);
    }
  },

  async ordinarySeeks(directory, t) {
    const { path, file } = await newFile(t, directory);
    await writeAt(file, 0, pattern(1000, 1));
    const fd = await openElsewhere(t, path, constants.O_RDWR);
    t.is(await seek(fd, 10, 0), 10, 'SEEK_SET');
    t.is(await seek(fd, 5, 1), 15, 'SEEK_CUR');
    await writeAt(file, 1000, pattern(1000, 2));
    t.is(await seek(fd, -1, 2), 1999, 'SEEK_END knows what another handle wrote');
    await refused(t, seek(fd, -1, 0), 'EINVAL', 'before the start');
  },

  async allocateKeepsTheData(directory, t, features) {
    const { path, file } = await newFile(t, directory);
    await writeAt(file, 0, pattern(10_000, 2));
    const fd = await openElsewhere(t, path, constants.O_RDWR);
    if (!features.fallocate) return refused(t, allocate(fd, 0, 0, MIB), 'EOPNOTSUPP', 'fallocate');
    await allocate(fd, 0, 0, MIB);
    t.is((await file.stat()).size, MIB, 'the size grows');
    sameBytes(t, await readAt(file, 0, 10_000), pattern(10_000, 2), 'the data stays');
    t.ok(isZero(await readAt(file, 10_000, MIB)), 'zeros after it');
    await allocate(fd, 0, 0, 1000);
    t.is((await file.stat()).size, MIB, 'and never shrinks');
    await allocate(fd, KEEP_SIZE, MIB, OBJECT_BYTES);
    t.is((await file.stat()).size, MIB, 'KEEP_SIZE');
  },

  async punchedBytesAreZero(directory, t, features) {
    const { path, file } = await newFile(t, directory);
    const size = 3 * OBJECT_BYTES;
    const model = pattern(size, 3);
    await writeAt(file, 0, model);
    const fd = await openElsewhere(t, path, constants.O_RDWR);
    const mode = PUNCH_HOLE | KEEP_SIZE;
    if (!features.fallocate) return refused(t, allocate(fd, mode, 0, KIB), 'EOPNOTSUPP', 'punch');
    await file.sync();
    const before = (await file.stat()).blocks;
    const ranges: [offset: number, length: number][] = [
      [1, 1],
      [5000, 100],
      [4096, 8192],
      [OBJECT_BYTES - 700, 1400],
      [OBJECT_BYTES, OBJECT_BYTES],
      [size - 100, 10_000],
      [size + 100, 100],
    ];
    for (const [offset, length] of ranges) {
      model.fill(0, Math.min(offset, size), Math.min(offset + length, size));
      await allocate(fd, mode, offset, length);
      sameBytes(t, await readAt(file, 0, size), model, `${length} bytes at ${offset}`);
    }
    t.is((await file.stat()).size, size, 'the size stays');
    await file.sync();
    t.ok((before - (await file.stat()).blocks) * 512 >= OBJECT_BYTES, 'space is given back');
    if (features.seek) t.is(await seek(fd, OBJECT_BYTES, SEEK_HOLE), OBJECT_BYTES, 'as a hole');
  },

  async zeroedRanges(directory, t, features) {
    const { path, file } = await newFile(t, directory);
    const size = 2 * OBJECT_BYTES;
    const model = Buffer.concat([pattern(size, 4), Buffer.alloc(5000)]);
    await writeAt(file, 0, model.subarray(0, size));
    const fd = await openElsewhere(t, path, constants.O_RDWR);
    if (!features.fallocate) return refused(t, allocate(fd, ZERO_RANGE, 0, KIB), 'EOPNOTSUPP', 'zero range');
    const ranges: [offset: number, length: number][] = [
      [3, 5],
      [4096, 4096],
      [OBJECT_BYTES - 1, 2],
    ];
    for (const [offset, length] of ranges) {
      model.fill(0, offset, offset + length);
      await allocate(fd, ZERO_RANGE, offset, length);
      sameBytes(t, await readAt(file, 0, size), model.subarray(0, size), `${length} bytes at ${offset}`);
    }
    await allocate(fd, ZERO_RANGE | KEEP_SIZE, size - 10, 5000);
    model.fill(0, size - 10);
    t.is((await file.stat()).size, size, 'KEEP_SIZE');
    await allocate(fd, ZERO_RANGE, size - 10, 5010);
    t.is((await file.stat()).size, size + 5000, 'the size grows without it');
    sameBytes(t, await readAt(file, 0, size + 5000), model, 'all of it');
  },

  async allocationsThatAreRefused(directory, t, features) {
    const { path } = await newFile(t, directory);
    const fd = await openElsewhere(t, path, constants.O_RDWR);
    await refused(t, allocate(fd, PUNCH_HOLE, 0, KIB), 'EOPNOTSUPP', 'punching without KEEP_SIZE');
    await refused(t, allocate(fd, UNSHARE_RANGE, 0, KIB), 'EOPNOTSUPP', 'an unknown mode');
    if (features.flat) await refused(t, allocate(fd, COLLAPSE_RANGE, 0, OBJECT_BYTES), 'EOPNOTSUPP', 'collapsing');
    await refused(t, allocate(fd, 0, 0, 0), 'EINVAL', 'no length');
    await refused(t, allocate(fd, 0, -1, 10), 'EINVAL', 'before the start');
    const reader = await openElsewhere(t, path, constants.O_RDONLY);
    await refused(t, allocate(reader, 0, 0, KIB), 'EBADF', 'a file open for reading');
  },

  async rangesAreCopiedBetweenFiles(directory, t, features) {
    const { path: from, file: source } = await newFile(t, directory);
    const { path: to, file: target } = await newFile(t, directory);
    const content = pattern(2 * OBJECT_BYTES + 1000, 5);
    await writeAt(source, 0, content);
    const input = await openElsewhere(t, from, constants.O_RDONLY);
    const output = await openElsewhere(t, to, constants.O_RDWR);
    if (!features.copyFileRange) {
      return refused(t, copy(input, 0, output, 0, content.length), ['EOPNOTSUPP', 'ENOSYS', 'EXDEV', 'EINVAL'], 'copy');
    }
    for (let offset = 0; offset < content.length; ) {
      const count = await copy(input, offset, output, offset, content.length - offset);
      t.ok(count > 0, `copied ${count} bytes at ${offset}`);
      if (count === 0) return;
      offset += count;
    }
    sameBytes(t, await readAt(target, 0, content.length + 1), content, 'a whole file');
    t.is(await copy(input, 777, output, OBJECT_BYTES - 100, 300), 300);
    sameBytes(t, await readAt(target, OBJECT_BYTES - 100, 300), content.subarray(777, 1077), 'a piece, unaligned');
    sameBytes(t, await readAt(source, 0, content.length), content, 'the source is as it was');
    t.is(await copy(input, content.length, output, 0, 100), 0, 'at the end of the source');
    t.is(await copy(input, content.length - 10, output, 0, 100), 10, 'across it');
  },

  async copiesAreIndependent(directory, t, features) {
    const { path: from, file: source } = await newFile(t, directory);
    const { path: to, file: target } = await newFile(t, directory);
    await writeAt(source, 0, pattern(OBJECT_BYTES, 6));
    const input = await openElsewhere(t, from, constants.O_RDONLY);
    const output = await openElsewhere(t, to, constants.O_RDWR);
    if (!features.copyFileRange) {
      return refused(t, copy(input, 0, output, 0, OBJECT_BYTES), ['EOPNOTSUPP', 'ENOSYS', 'EXDEV', 'EINVAL'], 'copy');
    }
    for (let offset = 0; offset < OBJECT_BYTES; ) {
      offset += await copy(input, offset, output, offset, OBJECT_BYTES - offset);
    }
    await writeAt(target, 100, Buffer.from('target'));
    await writeAt(source, 200, Buffer.from('source'));
    sameBytes(t, await readAt(source, 100, 6), pattern(OBJECT_BYTES, 6).subarray(100, 106), 'the source is untouched');
    sameBytes(t, await readAt(target, 200, 6), pattern(OBJECT_BYTES, 6).subarray(200, 206), 'so is the copy');
    sameBytes(t, await readAt(target, 100, 6), Buffer.from('target'), 'the copy has what was written to it');
  },

  async rangesAreCopiedWithinAFile(directory, t, features) {
    const { path, file } = await newFile(t, directory);
    await writeAt(file, 0, pattern(100_000, 7));
    const fd = await openElsewhere(t, path, constants.O_RDWR);
    if (!features.copyFileRange) {
      return refused(t, copy(fd, 0, fd, 200_000, 1000), ['EOPNOTSUPP', 'ENOSYS', 'EXDEV', 'EINVAL'], 'copy');
    }
    t.is(await copy(fd, 0, fd, 200_000, 50_000), 50_000);
    sameBytes(t, await readAt(file, 200_000, 50_000), pattern(100_000, 7).subarray(0, 50_000), 'the copy');
    t.ok(isZero(await readAt(file, 100_000, 100_000)), 'zeros between');
    await refused(t, copy(fd, 0, fd, 500, 1000), 'EINVAL', 'onto itself');
  },
};

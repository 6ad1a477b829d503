/** read(2), write(2), fsync(2): the bytes. */
import { constants } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { decode, encode, syscalls } from '../helpers/syscalls.js';
import type { Checks } from './features.js';
import {
  isZero,
  KIB,
  MIB,
  newFile,
  newPath,
  OBJECT_BYTES,
  openElsewhere,
  openFile,
  pattern,
  readAt,
  sameBytes,
  writeAt,
} from './support.js';

const { O_RDWR, O_WRONLY, O_CREAT, O_SYNC } = constants;
/** Beyond what 32 bits hold. */
const FAR = 5 * 1024 * MIB + 1;

export const dataChecks: Checks = {
  async writtenIsRead(directory, t) {
    const path = newPath(t, directory);
    const content = pattern(300 * KIB + 17, 3);
    await writeFile(path, content);
    sameBytes(t, await readFile(path), content, 'whole');
    t.is((await stat(path)).size, content.length);
  },

  async oddOffsetsAndLengths(directory, t) {
    const { file } = await newFile(t, directory);
    const model = Buffer.alloc(3 * OBJECT_BYTES);
    let end = 0;
    const pieces: [offset: number, length: number][] = [
      [0, 1],
      [1, 511],
      [513, 4095],
      [4097, 8191],
      [OBJECT_BYTES - 1, 2],
      [OBJECT_BYTES - 777, 1555],
      [2 * OBJECT_BYTES - 4096, 4096],
      [2 * OBJECT_BYTES, 4096],
      [2 * OBJECT_BYTES - 100_001, 300_003],
      [7, 13],
    ];
    for (const [index, [offset, length]] of pieces.entries()) {
      const data = pattern(length, index);
      data.copy(model, offset);
      end = Math.max(end, offset + length);
      await writeAt(file, offset, data);
      sameBytes(t, await readAt(file, offset, length), data, `${length} bytes at ${offset}`);
    }
    t.is((await file.stat()).size, end);
    sameBytes(t, await readAt(file, 0, model.length), model.subarray(0, end), 'all of it');
  },

  async oneWriteOverSeveralObjects(directory, t) {
    const { file } = await newFile(t, directory);
    const data = pattern(2 * OBJECT_BYTES + 12_345, 5);
    const offset = OBJECT_BYTES - 54_321;
    await writeAt(file, offset, data);
    sameBytes(t, await readAt(file, offset, data.length), data, 'what was written');
    t.ok(isZero(await readAt(file, 0, offset)), 'zeros before it');
    sameBytes(
      t,
      await readAt(file, 2 * OBJECT_BYTES - 5, 10),
      data.subarray(2 * OBJECT_BYTES - 5 - offset, 2 * OBJECT_BYTES + 5 - offset),
      'around a boundary',
    );
  },

  async sparseFileReadsZeros(directory, t) {
    const { file } = await newFile(t, directory);
    const offset = 64 * MIB + 3;
    await writeAt(file, offset, Buffer.from('end'));
    await file.sync();
    const attributes = await file.stat();
    t.is(attributes.size, offset + 3);
    t.ok(attributes.blocks * 512 < 16 * MIB, 'a hole takes no space');
    t.ok(isZero(await readAt(file, 30 * MIB, MIB)));
    sameBytes(t, await readAt(file, offset - 2, 10), Buffer.from('\0\0end'), 'the end');
  },

  async farOffsets(directory, t) {
    const { file } = await newFile(t, directory);
    await writeAt(file, FAR, Buffer.from('far'));
    t.is((await file.stat()).size, FAR + 3);
    sameBytes(t, await readAt(file, FAR, 3), Buffer.from('far'), 'what was written');
    t.ok(isZero(await readAt(file, FAR % 2 ** 32, 3)), 'nothing where 32 bits would have put it');
  },

  async readsEndAtTheEnd(directory, t) {
    const { file } = await newFile(t, directory);
    await writeAt(file, 0, pattern(1000, 1));
    t.is((await readAt(file, 990, 100)).length, 10, 'across it');
    t.is((await readAt(file, 1000, 100)).length, 0, 'at it');
    t.is((await readAt(file, 100_000, 100)).length, 0, 'beyond it');
  },

  async emptyWriteChangesNothing(directory, t) {
    const { file } = await newFile(t, directory);
    await writeAt(file, 0, Buffer.from('abc'));
    await file.write(Buffer.alloc(0), 0, 0, 100);
    t.is((await file.stat()).size, 3);
  },

  async vectoredIO(directory, t) {
    const { file } = await newFile(t, directory);
    const parts = [pattern(100, 1), pattern(5000, 2), pattern(3, 3)];
    const { bytesWritten } = await file.writev(parts, OBJECT_BYTES - 200);
    t.is(bytesWritten, 5103);
    const targets = [Buffer.alloc(2600), Buffer.alloc(2503)];
    t.is((await file.readv(targets, OBJECT_BYTES - 200)).bytesRead, 5103);
    sameBytes(t, Buffer.concat(targets), Buffer.concat(parts), 'the same bytes');
  },

  async writeIsSeenByAllAtOnce(directory, t) {
    const { path, file } = await newFile(t, directory);
    const other = await openFile(t, path, O_RDWR);
    const fd = await openElsewhere(t, path, O_RDWR);
    for (let round = 0; round < 20; round++) {
      const data = pattern(777, round);
      await writeAt(file, round * 500, data);
      sameBytes(t, await readAt(other, round * 500, 777), data, 'another handle');
      const elsewhere = await syscalls().call('pread', { fd, length: 777, offset: round * 500 });
      sameBytes(t, decode(elsewhere), data, 'another process');
    }
    await syscalls().call('pwrite', { fd, data: encode(Buffer.from('from there')), offset: 5 });
    sameBytes(t, await readAt(file, 5, 10), Buffer.from('from there'), 'and the other way');
  },

  async writersSideBySide(directory, t) {
    const { path, file } = await newFile(t, directory);
    const writers = 16;
    const blocks = 32;
    const block = 4 * KIB;
    await file.truncate(writers * blocks * block);
    await Promise.all(
      Array.from({ length: writers }, async (_, writer) => {
        const own = await openFile(t, path, O_RDWR);
        for (let index = 0; index < blocks; index++) {
          const position = index * writers + writer;
          await writeAt(own, position * block, pattern(block, position));
        }
        await own.close();
      }),
    );
    const content = await readAt(file, 0, writers * blocks * block);
    const wrong = Array.from({ length: writers * blocks }, (_, position) => position).filter(
      (position) => !content.subarray(position * block, (position + 1) * block).equals(pattern(block, position)),
    );
    t.alike(wrong, [], 'every block is what its writer wrote');
  },

  async appendersSideBySide(directory, t) {
    const path = newPath(t, directory);
    await writeFile(path, '');
    const fd = await openElsewhere(t, path, O_WRONLY | constants.O_APPEND);
    const here = await openFile(t, path, O_WRONLY | constants.O_APPEND);
    const records = 100;
    for (let index = 0; index < records; index++) {
      await Promise.all([
        here.write(Buffer.from(`a${String(index).padStart(6, '0')}\n`)),
        syscalls().call('pwrite', { fd, data: encode(Buffer.from(`b${String(index).padStart(6, '0')}\n`)), offset: 0 }),
      ]);
    }
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n').sort();
    t.is(lines.length, 2 * records, 'no record is lost');
    t.ok(lines.every((line) => /^[ab]\d{6}$/.test(line)) && new Set(lines).size === 2 * records, 'none is torn');
  },

  async syncSucceeds(directory, t) {
    const { path, file } = await newFile(t, directory);
    await writeAt(file, 0, pattern(10_000, 1));
    await file.datasync();
    await file.sync();
    const reader = await openFile(t, path, 'r');
    await reader.sync();
    const synchronous = await openFile(t, path, O_WRONLY | O_CREAT | O_SYNC);
    await writeAt(synchronous, 9_999, pattern(2, 2));
    t.is((await file.stat()).size, 10_001);
    const parent = await openFile(t, directory, 'r');
    await parent.sync();
    t.pass('and of the directory');
  },
};

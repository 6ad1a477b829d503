/** O_DIRECT, and files mapped into memory. */
import { constants } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { decode, encode, syscalls } from '../helpers/syscalls.js';
import type { Checks } from './features.js';
import {
  KIB,
  newFile,
  newPath,
  OBJECT_BYTES,
  openElsewhere,
  openFile,
  pattern,
  readAt,
  refused,
  sameBytes,
  writeAt,
} from './support.js';

const { O_RDWR, O_RDONLY, O_DIRECT } = constants;
const SECTOR = 512;

export const directChecks: Checks = {
  async directReadsAndWritesOfSectors(directory, t) {
    const { path, file } = await newFile(t, directory);
    const fd = await openElsewhere(t, path, O_RDWR | O_DIRECT);
    const model = pattern(64 * KIB, 1);
    await writeAt(file, 0, model);
    await file.sync();
    for (const [offset, length] of [
      [0, SECTOR],
      [SECTOR, SECTOR],
      [3 * SECTOR, 5 * SECTOR],
      [8 * KIB, 4 * KIB],
    ] as const) {
      const data = pattern(length, offset);
      data.copy(model, offset);
      await syscalls().call('direct_pwrite', { fd, data: encode(data), offset });
      sameBytes(
        t,
        decode(await syscalls().call('direct_pread', { fd, length, offset })),
        data,
        `${length} bytes at ${offset}`,
      );
    }
    sameBytes(t, await readAt(file, 0, model.length), model, 'seen through the page cache');
  },

  async directSeesWhatWasWrittenBuffered(directory, t) {
    const { path, file } = await newFile(t, directory);
    const fd = await openElsewhere(t, path, O_RDWR | O_DIRECT);
    await writeAt(file, 0, pattern(16 * KIB, 2));
    sameBytes(
      t,
      decode(await syscalls().call('direct_pread', { fd, length: 16 * KIB, offset: 0 })),
      pattern(16 * KIB, 2),
      'without a sync',
    );
    await syscalls().call('direct_pwrite', { fd, data: encode(pattern(4 * KIB, 3)), offset: 4 * KIB });
    sameBytes(t, await readAt(file, 4 * KIB, 4 * KIB), pattern(4 * KIB, 3), 'and back');
  },

  async directOverObjects(directory, t) {
    const { path } = await newFile(t, directory);
    const fd = await openElsewhere(t, path, O_RDWR | O_DIRECT);
    const data = pattern(256 * KIB, 4);
    const offset = OBJECT_BYTES - 128 * KIB;
    t.is(await syscalls().call('direct_pwrite', { fd, data: encode(data), offset }), data.length);
    sameBytes(t, decode(await syscalls().call('direct_pread', { fd, length: data.length, offset })), data, 'the same');
  },

  async directReadAtTheEnd(directory, t) {
    const path = newPath(t, directory);
    await writeFile(path, pattern(5 * SECTOR + 100, 5));
    const fd = await openElsewhere(t, path, O_RDONLY | O_DIRECT);
    const bytes = decode(await syscalls().call('direct_pread', { fd, length: 8 * SECTOR, offset: 0 }));
    sameBytes(t, bytes, pattern(5 * SECTOR + 100, 5), 'short');
    t.is(await syscalls().call('direct_pread', { fd, length: SECTOR, offset: 16 * SECTOR }), '', 'beyond it');
  },

  async unalignedDirectReads(directory, t, features) {
    const path = newPath(t, directory);
    await writeFile(path, pattern(64 * KIB, 6));
    const fd = await openElsewhere(t, path, O_RDONLY | O_DIRECT);
    // How qemu finds out which alignment is needed.
    for (const [length, offset] of [
      [1, 0],
      [511, 0],
      [513, 512],
      [512, 1],
      [4096, 100],
    ] as const) {
      const read = syscalls().call('direct_pread', { fd, length, offset });
      if (features.directIo) await refused(t, read, 'EINVAL', `${length} bytes at ${offset}`);
      else sameBytes(t, decode(await read), pattern(64 * KIB, 6).subarray(offset, offset + length), `at ${offset}`);
    }
    const buffered = await openFile(t, path, 'r');
    t.is((await readAt(buffered, 1, 1)).length, 1, 'without O_DIRECT any alignment will do');
  },

  async sharedMapIsCoherent(directory, t, features) {
    const { path, file } = await newFile(t, directory);
    await writeAt(file, 0, pattern(64 * KIB, 7));
    const fd = await openElsewhere(t, path, O_RDWR);
    const mapping = syscalls().call('mmap', { fd, length: 64 * KIB });
    if (!features.mmap) return refused(t, mapping, 'ENODEV', 'MAP_SHARED');
    const map = await mapping;
    sameBytes(
      t,
      decode(await syscalls().call('map_read', { map, offset: 0, length: 64 * KIB })),
      pattern(64 * KIB, 7),
      'the map shows the file',
    );
    await writeAt(file, 5000, Buffer.from('by write'));
    t.is(decode(await syscalls().call('map_read', { map, offset: 5000, length: 8 })).toString(), 'by write');
    await syscalls().call('map_write', { map, offset: 20_000, data: encode(Buffer.from('by map')) });
    await syscalls().call('map_sync', { map });
    t.is((await readAt(file, 20_000, 6)).toString(), 'by map');
    await syscalls().call('munmap', { map });
    t.is((await readAt(file, 5000, 8)).toString(), 'by write');
  },

  async mapIsWrittenAtItsEnd(directory, t, features) {
    const { path, file } = await newFile(t, directory);
    await writeAt(file, 0, pattern(8 * KIB, 8));
    const fd = await openElsewhere(t, path, O_RDWR);
    const mapping = syscalls().call('mmap', { fd, length: 8 * KIB });
    if (!features.mmap) return refused(t, mapping, 'ENODEV', 'MAP_SHARED');
    const map = await mapping;
    await syscalls().call('map_write', { map, offset: 100, data: encode(Buffer.from('no msync')) });
    await syscalls().call('munmap', { map });
    await syscalls().call('close', { fd: await syscalls().call('open', { path, flags: O_RDWR }) });
    await file.sync();
    t.is((await readAt(file, 100, 8)).toString(), 'no msync');
    t.is((await file.stat()).size, 8 * KIB);
  },

  async privateMapIsReadable(directory, t) {
    const { path, file } = await newFile(t, directory);
    await writeAt(file, 0, pattern(10_000, 9));
    const fd = await openElsewhere(t, path, O_RDONLY);
    const map = await syscalls().call('mmap', { fd, length: 10_000, shared: false, writable: false });
    sameBytes(
      t,
      decode(await syscalls().call('map_read', { map, offset: 0, length: 10_000 })),
      pattern(10_000, 9),
      'as programs and libraries are loaded',
    );
    await syscalls().call('munmap', { map });
  },
};

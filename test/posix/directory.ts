/** readdir(3): a listing that misses nothing and shows nothing twice. */
import { opendir, readdir, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { must } from '../helpers/run.js';
import type { Checks } from './features.js';
import { newPath, refused } from './support.js';

const ENTRIES = 2000;
/** Long names, so that a listing takes many calls of getdents(2). */
const PADDING = 'x'.repeat(90);
const PARALLEL = 8;

export const directoryChecks: Checks = {
  async listsWhatIsThere(directory, t) {
    const names = Array.from({ length: 20 }, (_, index) => `listed-${process.pid}-${index}`);
    t.teardown(() => removeAll(directory, names), { force: true });
    for (const name of names) await writeFile(join(directory, name), name);
    const entries = await readdir(directory, { withFileTypes: true });
    const found = entries.filter(({ name }) => names.includes(name));
    t.alike(found.map(({ name }) => name).sort(), [...names].sort());
    t.ok(
      found.every((entry) => entry.isFile()),
      'as files',
    );
    await unlink(join(directory, names[3]!));
    t.absent((await readdir(directory)).includes(names[3]!), 'an unlinked one is gone');
  },

  async listingIsStableWhileEntriesComeAndGo(directory, t) {
    const stable = Array.from({ length: ENTRIES }, (_, index) => `stable-${index}-${PADDING}`);
    const volatile = Array.from({ length: 100 }, (_, index) => `volatile-${index}-${PADDING}`);
    t.teardown(() => removeAll(directory, [...stable, ...volatile]), { force: true });
    await inParallel(stable, (name) => writeFile(join(directory, name), ''));
    const seen = new Map<string, number>();
    let step = 0;
    for await (const { name } of await opendir(directory, { bufferSize: 8 })) {
      seen.set(name, (seen.get(name) ?? 0) + 1);
      const path = join(directory, volatile[step % volatile.length]!);
      // Now it comes, now it goes.
      if (Math.floor(step / volatile.length) % 2 === 0) await writeFile(path, '');
      else await rm(path, { force: true });
      step++;
    }
    t.is(stable.filter((name) => seen.get(name) === 1).length, ENTRIES, 'each stable entry once');
    // One that goes and comes again is another file of that name, which may be seen again, but never more often.
    const most = Math.ceil(step / volatile.length / 2);
    t.ok(
      volatile.every((name) => (seen.get(name) ?? 0) <= most),
      'a volatile one no more often than it was made',
    );
  },

  async listingSurvivesTheRemovalOfWhatItLists(directory, t) {
    const names = Array.from({ length: ENTRIES }, (_, index) => `removed-${index}-${PADDING}`);
    t.teardown(() => removeAll(directory, names), { force: true });
    await inParallel(names, (name) => writeFile(join(directory, name), ''));
    for await (const { name } of await opendir(directory, { bufferSize: 8 })) {
      if (name.startsWith('removed-')) await unlink(join(directory, name));
    }
    const left = (await readdir(directory)).filter((name) => name.startsWith('removed-'));
    t.is(left.length, 0, 'as rm -r does it');
  },

  async manyListingsAtOnce(directory, t) {
    const names = Array.from({ length: 200 }, (_, index) => `many-${index}`);
    t.teardown(() => removeAll(directory, names), { force: true });
    await inParallel(names, (name) => writeFile(join(directory, name), ''));
    const listings = await Promise.all(Array.from({ length: 16 }, () => readdir(directory)));
    t.ok(listings.every((listing) => names.every((name) => listing.includes(name))));
  },

  /** Node's own readdir leaves the two out, ls does not. */
  async dotsAreListedOnceAtMost(directory, t) {
    const { stdout } = await must('ls', ['-a', directory]);
    for (const dots of ['.', '..']) {
      const times = stdout.split('\n').filter((name) => name === dots).length;
      t.ok(times <= 1, `"${dots}" ${times} times`);
    }
  },

  async dotAndDotDot(directory, t) {
    t.is((await stat(join(directory, '.'))).ino, (await stat(directory)).ino);
    t.ok((await stat(join(directory, '..'))).isDirectory());
    await refused(t, readdir(newPath(t, directory)), 'ENOENT', 'a listing of nothing');
  },
};

async function inParallel(names: readonly string[], operation: (name: string) => Promise<unknown>): Promise<void> {
  const queue = names[Symbol.iterator]();
  const work = async () => {
    for (const name of queue) await operation(name);
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
}

async function removeAll(directory: string, names: readonly string[]): Promise<void> {
  await inParallel(names, (name) => rm(join(directory, name), { force: true }));
}

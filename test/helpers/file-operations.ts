import { constants } from 'node:fs';
import { join } from 'node:path';
import { type FileStats, type Files, promised } from '../../lib/store/files.js';
import type { Random } from './random.js';

const FILE_NAMES = ['a', 'b', 'c'];
const DIRECTORY_NAMES = ['.', 'one', 'two'];
const FILE_BYTES_MAX = 40_000;
const OPEN_MAX = 12;
const OPEN_FLAGS = [
  constants.O_RDWR,
  constants.O_RDWR | constants.O_CREAT,
  constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC,
  constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
  constants.O_RDWR | constants.O_DSYNC,
  constants.O_RDONLY | constants.O_DIRECTORY,
];

/** One of those file systems that are to answer alike. */
export interface Side {
  readonly files: Files;
  readonly root: string;
  /** Its descriptors, by the number that the run gave them. */
  readonly descriptors: Map<number, number>;
}

/** Random calls of `Files`, each made of all sides; whatever they answer is text that can be compared. */
export class FileOperations {
  readonly #random: Random;
  readonly #open: number[] = [];
  #next = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The next call, to be made of each side in turn. */
  next(): (side: Side) => Promise<string> {
    const random = this.#random;
    const path = join(this.#pick(DIRECTORY_NAMES), this.#pick(FILE_NAMES));
    const chance = random.next();
    if (chance < 0.16 && this.#open.length < OPEN_MAX) return this.#openFile(random.chance(0.1) ? 'one' : path);
    if (chance < 0.2) return named('stat', (files, root) => this.#stat(files, join(root, path)));
    if (chance < 0.25)
      return named('unlink', (files, root) => promised((done) => files.unlink(join(root, path), done)));
    if (chance < 0.3) return this.#rename();
    if (chance < 0.33) return this.#directory();
    if (chance < 0.36) return named('readdir', (files, root) => names(files, join(root, this.#at(path))));
    if (this.#open.length === 0) return this.#openFile(path);
    return this.#onDescriptor();
  }

  #at(path: string): string {
    return path.includes('/') ? path.slice(0, path.indexOf('/')) : '.';
  }

  #openFile(path: string): (side: Side) => Promise<string> {
    const flags = this.#pick(OPEN_FLAGS);
    const number = this.#next++;
    this.#open.push(number);
    return named(`open ${path} ${flags}`, async (files, root, side) => {
      side.descriptors.set(number, await promised<number>((done) => files.open(join(root, path), flags, 0o600, done)));
    });
  }

  async #stat(files: Files, path: string): Promise<string> {
    const { size, ino } = await promised<FileStats>((done) => files.stat(path, done));
    return path.endsWith('one') || path.endsWith('two') ? `directory ${ino > 0}` : String(size);
  }

  #rename(): (side: Side) => Promise<string> {
    const directory = this.#pick(DIRECTORY_NAMES);
    const [source, target] = [join(directory, this.#pick(FILE_NAMES)), join(directory, this.#pick(FILE_NAMES))];
    return named(`rename ${source} ${target}`, (files, root) =>
      promised((done) => files.rename(join(root, source), join(root, target), done)),
    );
  }

  #directory(): (side: Side) => Promise<string> {
    const name = this.#pick(['one', 'two']);
    if (this.#random.chance(0.7)) {
      return named(`mkdir ${name}`, (files, root) => promised((done) => files.mkdir(join(root, name), 0o700, done)));
    }
    const force = this.#random.chance(0.5);
    return named(`rm ${name}`, (files, root) =>
      promised((done) => files.rm(join(root, name), { recursive: true, force }, done)),
    );
  }

  #onDescriptor(): (side: Side) => Promise<string> {
    const random = this.#random;
    const at = random.below(this.#open.length);
    const number = this.#open[at]!;
    const position = random.below(FILE_BYTES_MAX);
    const length = 1 + random.below(random.chance(0.7) ? 600 : 10_000);
    const byte = random.below(256);
    const chance = random.next();
    if (chance < 0.12) this.#open.splice(at, 1);
    return named(`descriptor ${number} ${chance.toFixed(2)} ${position}+${length}`, (files, _root, side) => {
      const fd = side.descriptors.get(number);
      // It was refused when it was opened, by every side.
      if (fd === undefined) return Promise.resolve('none');
      return this.#call(files, fd, chance, position, length, byte);
    });
  }

  async #call(
    files: Files,
    fd: number,
    chance: number,
    position: number,
    length: number,
    byte: number,
  ): Promise<unknown> {
    if (chance < 0.12) return promised((done) => files.close(fd, done));
    if (chance < 0.45) {
      const source = Buffer.alloc(length + 7, byte);
      return promised<number>((done) => files.write(fd, source, 7, length, position, done));
    }
    if (chance < 0.75) {
      const target = Buffer.alloc(length, 0xee);
      const bytes = await promised<number>((done) => files.read(fd, target, 0, length, position, done));
      return `${bytes} ${target.toString('hex')}`;
    }
    if (chance < 0.82) return promised((done) => files.ftruncate(fd, position, done));
    if (chance < 0.88) return files.trim(fd, position, length);
    if (chance < 0.9) return files.tryLock(fd);
    if (chance < 0.95) return promised((done) => files.fdatasync(fd, done));
    const { size } = await promised<FileStats>((done) => files.fstat(fd, done));
    return files.fstatSync(fd).size === size;
  }

  #pick<T>(choices: readonly T[]): T {
    return choices[this.#random.below(choices.length)]!;
  }
}

function named(
  name: string,
  call: (files: Files, root: string, side: Side) => Promise<unknown>,
): (side: Side) => Promise<string> {
  return async (side) => {
    try {
      return `${name}: ${await call(side.files, side.root, side)}`;
    } catch (error) {
      return `${name}: ${(error as NodeJS.ErrnoException).code}`;
    }
  };
}

async function names(files: Files, path: string): Promise<string> {
  const entries = await promised<{ name: string; isFile(): boolean }[]>((done) =>
    files.readdir(path, { withFileTypes: true }, done),
  );
  return entries
    .map((entry) => `${entry.name} ${entry.isFile()}`)
    .sort()
    .join();
}

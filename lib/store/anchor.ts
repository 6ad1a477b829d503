import { join } from 'node:path';

/**
 * Looks names of a disk up from a descriptor of its directory, as openat(2) does: whatever is mounted there later, or put
 * in its place, they mean what they meant when the disk was opened. By its path, a file that is opened anew could be that
 * of an older copy of the disk, while the index is still the one that was opened.
 */
export class Anchor {
  /** Of the directory. */
  readonly fd: number;
  readonly #directory: string;
  readonly #prefix: string;
  readonly #anchored: string;

  constructor(directory: string, fd: number) {
    this.fd = fd;
    this.#directory = directory;
    this.#prefix = join(directory, '/');
    this.#anchored = `/proc/self/fd/${fd}/`;
  }

  /** The same name, if it is within the directory, for a call of this process. */
  pathOf(path: string): string {
    return path.startsWith(this.#prefix) ? this.#anchored + path.slice(this.#prefix.length) : path;
  }

  /** What an error says, with the name that it was about. */
  told(message: string): string {
    return message.replaceAll(this.#anchored, join(this.#directory, '/'));
  }
}

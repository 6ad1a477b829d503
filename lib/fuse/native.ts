import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { mountedType } from './mount.js';
import { type Binding, loadBinding, NativeError } from './native-binding.js';
import { nativeHandlers } from './native-handlers.js';
import type { Context, Operations } from './operations.js';

export { NativeError, type NativeErrorCode } from './native-binding.js';

/** The binding does not tell of the mount's end, so it is looked for. */
const WATCH_INTERVAL_MS = 500;

/** libfuse prints why on stderr; the binding only says that it failed. */
const REFUSED = 'libfuse refused it; /dev/fuse must be open to this user, and all but root need the package fuse3';

const execute = promisify(execFile);

export interface NativeOptions {
  /** Other users may use the mount. True for root unless given; others need user_allow_other in /etc/fuse.conf. */
  allowOther?: boolean;
  /** Called with what is a defect of ours: an error that is neither an OperationError nor the system's. */
  onDefect?: (error: unknown, request: string) => void;
}

export interface NativeMount {
  /**
   * Takes the mount away and waits until the operations under way have answered. Files still open go on working while
   * this process lives. Every call answers the same promise.
   *
   * @throws NativeError UNMOUNT_FAILED
   */
  unmount(): Promise<void>;
  /** Resolves when the mount is gone, by `unmount` or by somebody else. */
  readonly closed: Promise<void>;
}

/**
 * Mounts the operations through libfuse 2.9: for users who are not root, and where the kernel's protocol cannot be
 * spoken directly. What it cannot carry is missing: fallocate, SEEK_HOLE, copy_file_range, rename's flags and shared
 * maps are refused or made up by the kernel; locks are this kernel's alone; a file belongs to the user that mounts.
 * A rename over a file that is open here is an unlink and a rename, one after the other.
 *
 * @param path an empty directory, by its real path.
 * @throws NativeError LIBFUSE_MISSING, UNSUPPORTED or MOUNT_FAILED.
 */
export async function mountNative(
  path: string,
  operations: Operations,
  options: NativeOptions = {},
): Promise<NativeMount> {
  const makeBinding = await loadBinding();
  const uid = process.getuid?.() ?? 0;
  const context: Context = {
    uid,
    gid: process.getgid?.() ?? 0,
    pid: 0,
    unique: 0n,
    resent: false,
    // libfuse is not told of interrupts.
    signal: { aborted: false, onAbort: () => {} },
  };
  const { handlers, idle } = nativeHandlers(operations, context, options.onDefect ?? (() => {}));
  const binding = makeBinding(path, handlers, { allowOther: options.allowOther ?? uid === 0 });
  await mount(binding, path);
  return new Mounted(path, binding, idle);
}

function mount(binding: Binding, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    binding.mount((error) => {
      if (!error) return resolve();
      const why = error.message === 'fuse failed' ? REFUSED : error.message;
      reject(new NativeError('MOUNT_FAILED', `cannot mount on ${path}: ${why}`, { cause: error }));
    });
  });
}

class Mounted implements NativeMount {
  readonly closed: Promise<void>;
  readonly #path: string;
  readonly #binding: Binding;
  readonly #idle: () => Promise<void>;
  readonly #timer: NodeJS.Timeout;
  #becomeClosed!: () => void;
  #unmounting: Promise<void> | null = null;

  constructor(path: string, binding: Binding, idle: () => Promise<void>) {
    this.#path = path;
    this.#binding = binding;
    this.#idle = idle;
    this.closed = new Promise((resolve) => {
      this.#becomeClosed = resolve;
    });
    this.#timer = setInterval(() => {
      if (mountedType(path) === null) this.#end();
    }, WATCH_INTERVAL_MS).unref();
  }

  unmount(): Promise<void> {
    this.#unmounting ??= this.#unmount();
    return this.#unmounting;
  }

  async #unmount(): Promise<void> {
    if (mountedType(this.#path) !== null) await takeAway(this.#path);
    await this.#idle();
    this.#end();
    await this.closed;
  }

  #end(): void {
    clearInterval(this.#timer);
    this.#binding.unmount((error) => {
      if (error) throw error;
      this.#becomeClosed();
    });
  }
}

/** In a process of its own: it may ask for the mount point's attributes, which this process has to answer. */
async function takeAway(path: string): Promise<void> {
  const attempts: [command: string, args: string[]][] =
    process.getuid?.() === 0
      ? [['umount', ['-i', '-l', path]]]
      : [
          ['fusermount3', ['-u', '-z', path]],
          ['fusermount', ['-u', '-z', path]],
        ];
  const reasons: string[] = [];
  for (const [command, args] of attempts) {
    try {
      await execute(command, args);
      return;
    } catch (error) {
      reasons.push((error as Error).message.trim().replace(/\s*\n\s*/g, ' '));
    }
  }
  throw new NativeError('UNMOUNT_FAILED', `cannot unmount ${path}: ${reasons.join('; ')}`);
}

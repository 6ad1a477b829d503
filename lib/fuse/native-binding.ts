import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type Fuse from 'fuse-native';
import { ERRNO } from './errno.js';
import { MOUNT_TYPE } from './mount.js';

const UINT32 = 0x1_0000_0000;
/** What programs are told to read and write at least. */
const BLOCK_BYTES = 4096;

export type NativeErrorCode = 'LIBFUSE_MISSING' | 'UNSUPPORTED' | 'MOUNT_FAILED' | 'UNMOUNT_FAILED';

/** The native backend cannot be used, or a mount failed; the message is one line that says what to do. */
export class NativeError extends Error {
  readonly code: NativeErrorCode;

  constructor(code: NativeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'NativeError';
    this.code = code;
  }
}

export interface BindingOptions {
  allowOther: boolean;
}

type Signal = (result: number, ...rest: unknown[]) => void;

/** The addon's own functions; its JavaScript calls this one only after it ran fusermount. */
interface Addon {
  fuse_native_unmount(mount: string, thread: Buffer): void;
}

export interface Binding {
  mount(done: (error: Error | null) => void): void;
  /** Lets go of the mount, which must be unmounted already. */
  unmount(done: (error: Error | null) => void): void;
}

export type MakeBinding = (path: string, handlers: Fuse.Handlers, options: BindingOptions) => Binding;

/**
 * Loads the addon, which links with libfuse.so.2: not before it is wanted, so that nothing else needs that library.
 *
 * @throws NativeError LIBFUSE_MISSING without the library, UNSUPPORTED where there is no build for this machine.
 */
export async function loadBinding(): Promise<MakeBinding> {
  let base: typeof Fuse;
  let addon: Addon;
  try {
    base = (await import('fuse-native')).default;
    const entry = createRequire(import.meta.url).resolve('fuse-native');
    addon = (createRequire(entry)('node-gyp-build') as (directory: string) => Addon)(dirname(entry));
  } catch (error) {
    throw explain(error as NodeJS.ErrnoException);
  }
  const Corrected = correct(base, addon);
  return (path, handlers, options) => new Corrected(path, handlers, options);
}

function explain(error: NodeJS.ErrnoException): NativeError {
  if (error.code === 'ERR_DLOPEN_FAILED' && /libfuse/.test(error.message)) {
    return new NativeError(
      'LIBFUSE_MISSING',
      'the native FUSE backend needs libfuse.so.2; install the package libfuse2 (libfuse2t64 from Debian 13 on)',
      { cause: error },
    );
  }
  const why = error.message.split('\n')[0];
  return new NativeError('UNSUPPORTED', `the native FUSE backend cannot be used on this machine: ${why}`, {
    cause: error,
  });
}

/** The package's class with what is wrong in it put right, as far as JavaScript can. */
function correct(base: typeof Fuse, addon: Addon) {
  return class extends base {
    readonly #handlers: Fuse.Handlers;
    readonly #options: BindingOptions;

    constructor(path: string, handlers: Fuse.Handlers, options: BindingOptions) {
      // Without its own time limit: a stalled request waits, it does not fail.
      super(path, handlers, { timeout: false });
      this.#handlers = handlers;
      this.#options = options;
    }

    // The package has no names for most of these. direct_io and the zero times: another host may change a file, so
    // nothing is cached. big_writes: 128 KiB a write instead of 4.
    protected override _fuseOptions(): string {
      const options = [
        'direct_io',
        'big_writes',
        'use_ino',
        'entry_timeout=0',
        'negative_timeout=0',
        'attr_timeout=0',
        'default_permissions',
        'nosuid',
        'nodev',
        'fsname=sheepdog',
        `subtype=${MOUNT_TYPE.slice('fuse.'.length)}`,
      ];
      if (this.#options.allowOther) options.push('allow_other');
      return `-o${options.join(',')}`;
    }

    // Unmounting is done before, without a shell and without need of fusermount for root.
    protected override _close(done: (error: Error | null) => void): void {
      addon.fuse_native_unmount(this.mnt, this._thread);
      done(null);
    }

    // The package takes no link for one, and cannot say that a file has none.
    protected override _op_getattr(signal: Signal, path: string): void {
      this.#handlers.getattr(path, (result, stat) => signal(result, encodeStat(stat)));
    }

    // The package drops the handle and asks by path.
    protected override _op_fgetattr(signal: Signal, path: string, handle: number): void {
      this.#handlers.fgetattr(path, handle, (result, stat) => signal(result, encodeStat(stat)));
    }

    // The package answers a value that is longer than the caller's buffer, and libfuse then reads past its end.
    protected override _op_getxattr(signal: Signal, path: string, name: string, value: Buffer): void {
      this.#handlers.getxattr(path, name, 0, (result, content) => {
        if (result !== 0 || !content) signal(result, value.buffer);
        else signal(fill(value, content), value.buffer);
      });
    }

    protected override _op_listxattr(signal: Signal, path: string, list: Buffer): void {
      this.#handlers.listxattr(path, (result, names) => {
        if (result !== 0 || !names) signal(result, list.buffer);
        else signal(fill(list, Buffer.from(names.map((name) => `${name}\0`).join(''))), list.buffer);
      });
    }
  };
}

const STAT_WORDS = 18;

/** As the addon takes a struct stat: words of 32 bits, sizes and times (in milliseconds) as two, the lower first. */
function encodeStat(stat: Fuse.Stat | undefined): Uint32Array {
  const words = new Uint32Array(STAT_WORDS);
  if (!stat) return words;
  const long = (index: number, value: number) => {
    words[index] = value % UINT32;
    words[index + 1] = Math.floor(value / UINT32);
  };
  words[0] = stat.mode;
  words[1] = stat.uid;
  words[2] = stat.gid;
  long(3, stat.size);
  words[6] = stat.nlink;
  words[7] = stat.ino;
  words[9] = BLOCK_BYTES;
  long(10, stat.blocks);
  long(12, stat.atime);
  long(14, stat.mtime);
  long(16, stat.ctime);
  return words;
}

/** Copies into the caller's buffer; an empty one asks for the length alone. */
function fill(target: Buffer, content: Buffer): number {
  if (target.length === 0) return content.length;
  if (content.length > target.length) return -ERRNO.ERANGE!;
  content.copy(target);
  return content.length;
}

import type Fuse from 'fuse-native';
import { errnoOf, OperationError } from './errno.js';
import { DIRECTORY_STAT, statfsOf, statOf, timestampOf } from './native-attributes.js';
import { NativeHandles, type OpenFile } from './native-handles.js';
import { NativePaths } from './native-paths.js';
import type { Context, DirectoryEntry, Operations, SetAttributes } from './operations.js';

/** An id of chown(2) that leaves the owner or the group as it is. */
const UNCHANGED_ID = 0xffffffff;

export interface NativeHandlers {
  handlers: Fuse.Handlers;
  /** Resolves when no operation is under way. */
  idle(): Promise<void>;
}

/**
 * What libfuse 2.9 can ask for, answered by the operations.
 *
 * There is no `create`: the binding drops its flags. The kernel then sends mknod, which refuses an existing name, and
 * open. The binding carries times in milliseconds, gives mtime the value of atime, and does not say who asks.
 *
 * @param onDefect called with errors that are neither an OperationError nor the system's, and what was asked.
 */
export function nativeHandlers(
  operations: Operations,
  context: Context,
  onDefect: (error: unknown, request: string) => void,
): NativeHandlers {
  const handles = new NativeHandles();
  const paths = new NativePaths(operations, context);
  const underWay = new UnderWay();

  const opened = (number: number): OpenFile => {
    const file = handles.get(number);
    if (!file) throw new OperationError('EBADF');
    return file;
  };

  const setattr = async (path: string, changes: SetAttributes): Promise<void> => {
    const node = await paths.node(path);
    const handle = paths.hidden(path) === null ? null : handles.handleOf(node);
    await operations.setattr(node, handle, changes, context);
  };

  /** Runs the operation and answers what it resolves with, or its errno. */
  function answer<T>(request: string, operation: () => Promise<T>, done: (result: number, value?: T) => void): void {
    underWay.begin();
    operation()
      .then(
        (value) => done(0, value),
        (error) => {
          const errno = errnoOf(error);
          if (!isErrno(error)) onDefect(error, request);
          done(-errno);
        },
      )
      .finally(() => underWay.end());
  }

  const handlers: Fuse.Handlers = {
    getattr(path, done) {
      const attributes = async () => {
        const hidden = paths.hidden(path);
        if (hidden !== null) return operations.getattr(hidden, handles.handleOf(hidden), context);
        return path === '/' ? operations.getattr(await paths.node(path), null, context) : paths.attributes(path);
      };
      answer('getattr', async () => statOf(await attributes()), done);
    },

    fgetattr(_path, number, done) {
      answer(
        'fgetattr',
        async () => {
          const { node, handle } = opened(number);
          return statOf(await operations.getattr(node, handle, context));
        },
        done,
      );
    },

    statfs(_path, done) {
      answer('statfs', async () => statfsOf(await operations.statfs(context)), done);
    },

    readdir(path, done) {
      const list = async () => entriesOf(await paths.node(path));
      answer('readdir', list, (result, entries) => {
        if (!entries) return done(result);
        const others = entries.filter(({ name }) => name !== '.' && name !== '..');
        const own = others.map(({ name }) => name);
        const stats = others.map(({ attributes }) => statOf(attributes));
        // libfuse adds neither of these two; their numbers are of no use to anybody.
        done(0, ['.', '..', ...own], [DIRECTORY_STAT, DIRECTORY_STAT, ...stats]);
      });
    },

    open(path, flags, done) {
      answer(
        'open',
        async () => {
          const node = await paths.node(path);
          const { handle } = await operations.open(node, flags, context);
          return handles.add({ node, handle, flags });
        },
        done,
      );
    },

    // The two hot ones go by the handle alone.
    read(_path, number, buffer, _length, offset, done) {
      answer(
        'read',
        async () => {
          const { node, handle, flags } = opened(number);
          return operations.read(node, handle, offset, buffer, flags);
        },
        // A positive result is the count.
        (result, bytes) => done(bytes ?? result),
      );
    },

    write(_path, number, buffer, _length, offset, done) {
      answer(
        'write',
        async () => {
          const { node, handle, flags } = opened(number);
          return operations.write(node, handle, offset, buffer, flags);
        },
        (result, bytes) => done(bytes ?? result),
      );
    },

    flush(_path, number, done) {
      const flush = async () => {
        const { node, handle } = opened(number);
        await operations.flush(node, handle, 0n, context);
      };
      answer('flush', flush, done);
    },

    fsync(_path, dataOnly, number, done) {
      const sync = async () => {
        const { node, handle } = opened(number);
        await operations.fsync(node, handle, dataOnly !== 0, context);
      };
      answer('fsync', sync, done);
    },

    fsyncdir(path, _dataOnly, _number, done) {
      answer('fsyncdir', async () => operations.fsyncdir(await paths.node(path), context), done);
    },

    release(_path, number, done) {
      const release = async () => {
        const { node, handle } = opened(number);
        handles.remove(number);
        await operations.release(node, handle, null, context);
      };
      answer('release', release, done);
    },

    truncate(path, size, done) {
      answer('truncate', () => setattr(path, { size }), done);
    },

    ftruncate(_path, number, size, done) {
      const truncate = async () => {
        const { node, handle } = opened(number);
        await operations.setattr(node, handle, { size }, context);
      };
      answer('ftruncate', truncate, done);
    },

    chmod(path, mode, done) {
      answer('chmod', () => setattr(path, { mode }), done);
    },

    chown(path, uid, gid, done) {
      const changes: SetAttributes = {};
      if (uid !== UNCHANGED_ID) changes.uid = uid;
      if (gid !== UNCHANGED_ID) changes.gid = gid;
      answer('chown', () => setattr(path, changes), done);
    },

    utimens(path, atime, mtime, done) {
      answer('utimens', () => setattr(path, { atime: timestampOf(atime), mtime: timestampOf(mtime) }), done);
    },

    mknod(path, mode, _device, done) {
      const make = async () => {
        const { parent, name } = await paths.newPlace(path);
        await operations.mknod(parent, name, mode, context);
      };
      answer('mknod', make, done);
    },

    mkdir(path, mode, done) {
      const make = async () => {
        const { parent, name } = await paths.newPlace(path);
        await operations.mkdir(parent, name, mode, context);
      };
      answer('mkdir', make, done);
    },

    rmdir(path, done) {
      const remove = async () => {
        const { parent, name } = await paths.place(path);
        await operations.rmdir(parent, name, context);
      };
      answer('rmdir', remove, done);
    },

    unlink(path, done) {
      const remove = async () => {
        if (paths.forget(path)) return;
        const { parent, name } = await paths.place(path);
        await operations.unlink(parent, name, context);
      };
      answer('unlink', remove, done);
    },

    rename(source, target, done) {
      const move = async () => {
        const from = await paths.place(source);
        if (paths.hides(target)) {
          const { node } = await operations.lookup(from.parent, from.name, context);
          await operations.unlink(from.parent, from.name, context);
          paths.hide(target, node);
          return;
        }
        const to = await paths.newPlace(target);
        await operations.rename(from.parent, from.name, to.parent, to.name, 0, context);
      };
      answer('rename', move, done);
    },

    symlink(_source, _target, done) {
      answer('symlink', refuse, done);
    },

    link(_source, _target, done) {
      answer('link', refuse, done);
    },

    setxattr(path, name, value, _position, flags, done) {
      answer('setxattr', async () => operations.setxattr(await paths.node(path), name, value, flags, context), done);
    },

    getxattr(path, name, _position, done) {
      const get = async () => Buffer.from(await operations.getxattr(await paths.node(path), name, context));
      answer('getxattr', get, done);
    },

    listxattr(path, done) {
      answer('listxattr', async () => operations.listxattr(await paths.node(path), context), done);
    },

    removexattr(path, name, done) {
      answer('removexattr', async () => operations.removexattr(await paths.node(path), name, context), done);
    },
  };

  async function entriesOf(node: number): Promise<DirectoryEntry[]> {
    const entries: DirectoryEntry[] = [];
    for (;;) {
      const more = await operations.readdir(node, entries.at(-1)?.cookie ?? 0, context);
      if (more.length === 0) return entries;
      entries.push(...more);
    }
  }

  return { handlers, idle: () => underWay.idle() };
}

/** Counts operations. */
class UnderWay {
  #count = 0;
  readonly #waiters: (() => void)[] = [];

  begin(): void {
    this.#count++;
  }

  end(): void {
    this.#count--;
    if (this.#count > 0) return;
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  idle(): Promise<void> {
    return this.#count === 0 ? Promise.resolve() : new Promise((resolve) => this.#waiters.push(resolve));
  }
}

async function refuse(): Promise<void> {
  throw new OperationError('EPERM', 'there are regular files only');
}

function isErrno(error: unknown): boolean {
  return typeof (error as { code?: unknown } | null)?.code === 'string';
}

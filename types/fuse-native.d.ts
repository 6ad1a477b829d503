/** The part of fuse-native that the second backend uses; the package ships no types. */
declare module 'fuse-native' {
  /** Zero or a negative errno. */
  type Done = (result: number) => void;
  type Signal = (result: number, ...rest: unknown[]) => void;

  namespace Fuse {
    interface Stat {
      mode: number;
      uid: number;
      gid: number;
      size: number;
      nlink: number;
      ino: number;
      blocks: number;
      /** Milliseconds since 1970. */
      atime: number;
      mtime: number;
      ctime: number;
    }

    interface Statfs {
      bsize: number;
      frsize: number;
      blocks: number;
      bfree: number;
      bavail: number;
      files: number;
      ffree: number;
      favail: number;
      namemax: number;
    }

    interface Handlers {
      getattr(path: string, done: (result: number, stat?: Stat) => void): void;
      /** The package itself calls `getattr` in its place. */
      fgetattr(path: string, handle: number, done: (result: number, stat?: Stat) => void): void;
      statfs(path: string, done: (result: number, statfs?: Statfs) => void): void;
      readdir(path: string, done: (result: number, names?: string[], stats?: Stat[]) => void): void;
      open(path: string, flags: number, done: (result: number, handle?: number) => void): void;
      read(
        path: string,
        handle: number,
        buffer: Buffer,
        length: number,
        offset: number,
        done: (result: number, bytes?: number) => void,
      ): void;
      write(
        path: string,
        handle: number,
        buffer: Buffer,
        length: number,
        offset: number,
        done: (result: number, bytes?: number) => void,
      ): void;
      flush(path: string, handle: number, done: Done): void;
      fsync(path: string, dataOnly: number, handle: number, done: Done): void;
      fsyncdir(path: string, dataOnly: number, handle: number, done: Done): void;
      release(path: string, handle: number, done: Done): void;
      truncate(path: string, size: number, done: Done): void;
      ftruncate(path: string, handle: number, size: number, done: Done): void;
      chmod(path: string, mode: number, done: Done): void;
      chown(path: string, uid: number, gid: number, done: Done): void;
      utimens(path: string, atime: number, mtime: number, done: Done): void;
      mknod(path: string, mode: number, device: number, done: Done): void;
      mkdir(path: string, mode: number, done: Done): void;
      rmdir(path: string, done: Done): void;
      unlink(path: string, done: Done): void;
      rename(source: string, target: string, done: Done): void;
      symlink(source: string, target: string, done: Done): void;
      link(source: string, target: string, done: Done): void;
      setxattr(path: string, name: string, value: Buffer, position: number, flags: number, done: Done): void;
      getxattr(path: string, name: string, position: number, done: (result: number, value?: Buffer) => void): void;
      listxattr(path: string, done: (result: number, names?: string[]) => void): void;
      removexattr(path: string, name: string, done: Done): void;
    }
  }

  class Fuse {
    constructor(mount: string, handlers: Fuse.Handlers, options: { timeout: false });
    mount(done: (error: Error | null) => void): void;
    unmount(done: (error: Error | null) => void): void;
    protected readonly mnt: string;
    protected readonly _thread: Buffer;
    protected _fuseOptions(): string;
    protected _close(done: (error: Error | null) => void): void;
    protected _op_getattr(signal: Signal, path: string): void;
    protected _op_fgetattr(signal: Signal, path: string, handle: number): void;
    protected _op_getxattr(signal: Signal, path: string, name: string, value: Buffer, position: number): void;
    protected _op_listxattr(signal: Signal, path: string, list: Buffer): void;
  }

  export = Fuse;
}

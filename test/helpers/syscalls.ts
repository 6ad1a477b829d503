/** System calls that Node does not offer, carried out by a small Python program that is started once and kept. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { until } from './until.js';

const SCRIPT = fileURLToPath(new URL('../../../test/helpers/syscalls.py', import.meta.url));

/** The system's own where there is one: a version manager's wrapper costs more than the calls. */
const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';

/** Numbers of fcntl(2) and flock(2), to see a process wait in them. */
const FCNTL_NUMBER: Partial<Record<string, number>> = { x64: 72, arm64: 25 };
const FLOCK_NUMBER: Partial<Record<string, number>> = { x64: 73, arm64: 32 };

export type LockKind = 'posix' | 'ofd';
export type LockType = 'read' | 'write' | 'unlock';

export interface LockArguments {
  fd: number;
  kind: LockKind;
  /** `wait` waits for the lock, `get` answers what stands in its way. */
  command: 'set' | 'wait' | 'get';
  type: LockType;
  start?: number;
  /** Bytes; 0, the default, reaches to the end of every file. */
  length?: number;
}

export interface LockFound {
  /** 'unlock' when nothing stands in the way. */
  type: LockType;
  start: number;
  length: number;
  pid: number;
}

/** Nanosecond times as utimensat(2) takes them. */
export type TimeArgument = { seconds: number; nanoseconds: number } | 'now' | 'omit';

export interface Statvfs {
  blockSize: number;
  fragmentSize: number;
  blocks: number;
  blocksFree: number;
  blocksAvailable: number;
  files: number;
  filesFree: number;
  nameLengthMax: number;
}

/** Each call's arguments and value. Bytes travel as base64. */
export interface Calls {
  open: { arguments: { path: string; flags: number; mode?: number }; value: number };
  close: { arguments: { fd: number }; value: null };
  pread: { arguments: { fd: number; length: number; offset: number }; value: string };
  pwrite: { arguments: { fd: number; data: string; offset: number }; value: number };
  /** With memory that is aligned to pages. */
  direct_pread: { arguments: { fd: number; length: number; offset: number }; value: string };
  direct_pwrite: { arguments: { fd: number; data: string; offset: number }; value: number };
  fallocate: { arguments: { fd: number; mode: number; offset: number; length: number }; value: null };
  lseek: { arguments: { fd: number; offset: number; whence: number }; value: number };
  /** The ranges of data from the offset on, as pairs of start and end. */
  extents: { arguments: { fd: number; offset: number }; value: [start: number, end: number][] };
  copy_file_range: {
    arguments: { source: number; sourceOffset: number; target: number; targetOffset: number; length: number };
    value: number;
  };
  rename: { arguments: { source: string; target: string; flags: number }; value: null };
  ftruncate: { arguments: { fd: number; size: number }; value: null };
  lock: { arguments: LockArguments; value: LockFound | null };
  flock: { arguments: { fd: number; type: LockType; wait?: boolean }; value: null };
  mmap: { arguments: { fd: number; length: number; shared?: boolean; writable?: boolean }; value: number };
  map_read: { arguments: { map: number; offset: number; length: number }; value: string };
  map_write: { arguments: { map: number; offset: number; data: string }; value: null };
  map_sync: { arguments: { map: number }; value: null };
  munmap: { arguments: { map: number }; value: null };
  utimens: { arguments: { path: string; atime: TimeArgument; mtime: TimeArgument }; value: null };
  statvfs: { arguments: { path: string }; value: Statvfs };
  setxattr: { arguments: { path: string; name: string; value: string; flags?: number }; value: null };
  /** With a size, the raw call with a buffer of that size: its count when the size is 0. */
  getxattr: { arguments: { path: string; name: string; size?: number }; value: string | number };
  listxattr: { arguments: { path: string }; value: string[] };
  removexattr: { arguments: { path: string; name: string }; value: null };
  mkfifo: { arguments: { path: string }; value: null };
  umask: { arguments: { mask: number }; value: number };
  /** One of the other calls, carried out by a child process with these ids. */
  as_user: { arguments: { uid: number; gid: number; call: string; arguments: object }; value: unknown };
}

/** A call that failed; `code` is the errno's name. */
export class SyscallError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = 'SyscallError';
    this.code = code;
  }
}

interface Waiter {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

type Reply = { value: unknown } | { errno: string; message: string };

/** One process that carries out calls, one after the other. */
export class Syscalls {
  private readonly child: ChildProcessByStdio<Writable, Readable, null>;
  private readonly waiters: Waiter[] = [];
  private readonly ended: Promise<void>;

  private constructor() {
    this.child = spawn(PYTHON, ['-S', '-u', SCRIPT], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.ended = new Promise((resolve) => {
      this.child.on('error', (error) => this.fail(error));
      this.child.on('close', () => {
        this.fail(new Error('the process that carries out system calls has ended'));
        resolve();
      });
    });
    createInterface({ input: this.child.stdout }).on('line', (line) => this.settle(JSON.parse(line) as Reply));
    // A call to a process that died is rejected when its end is seen.
    this.child.stdin.on('error', () => {});
    this.hold(false);
  }

  static start(): Syscalls {
    return new Syscalls();
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** @throws SyscallError when the call fails. */
  call<K extends keyof Calls>(name: K, args: Calls[K]['arguments']): Promise<Calls[K]['value']> {
    return new Promise((resolve, reject) => {
      if (this.waiters.length === 0) this.hold(true);
      this.waiters.push({ resolve: resolve as (value: unknown) => void, reject });
      this.child.stdin.write(`${JSON.stringify({ call: name, arguments: args })}\n`);
    });
  }

  /** Waits until the process waits inside fcntl(2) or flock(2). */
  async waitBlocked(): Promise<void> {
    const numbers = [FCNTL_NUMBER[process.arch], FLOCK_NUMBER[process.arch]];
    await until('a process that waits for a lock', () => {
      const number = Number(readFileSync(`/proc/${this.pid}/syscall`, 'utf8').split(' ')[0]);
      return numbers.includes(number);
    });
  }

  /** Interrupts the call that waits. */
  interrupt(): void {
    process.kill(this.pid, 'SIGUSR1');
  }

  /** Ends the process at once, as a crash would, and waits for its end. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    this.child.ref();
    await this.ended;
  }

  /** The process must not keep the test alive, except while it owes an answer. */
  private hold(held: boolean): void {
    for (const part of [this.child, this.child.stdin as Socket, this.child.stdout as Socket]) {
      if (held) part.ref();
      else part.unref();
    }
  }

  private settle(reply: Reply): void {
    const waiter = this.waiters.shift();
    if (this.waiters.length === 0) this.hold(false);
    if ('errno' in reply) waiter?.reject(new SyscallError(reply.errno, reply.message));
    else waiter?.resolve(reply.value);
  }

  private fail(error: Error): void {
    for (const waiter of this.waiters.splice(0)) waiter.reject(error);
  }
}

let shared: Syscalls | null = null;

/** The process that serves all checks of this test file. It ends with it. */
export function syscalls(): Syscalls {
  shared ??= Syscalls.start();
  return shared;
}

export function encode(data: Uint8Array): string {
  return Buffer.from(data).toString('base64');
}

export function decode(text: string): Buffer {
  return Buffer.from(text, 'base64');
}

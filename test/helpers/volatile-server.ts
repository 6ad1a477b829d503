/**
 * A program: serves a volatile file system on the directory given, as its parent tells it over IPC. It is a process of
 * its own so that whoever runs on it, and whoever tests that, may block.
 */
import { closeSync, openSync, write as writeDevice } from 'node:fs';
import { promisify } from 'node:util';
import { OperationError } from '../../lib/fuse/errno.js';
import { mountDevice, unmount } from '../../lib/fuse/mount.js';
import type { Operations } from '../../lib/fuse/operations.js';
import { Session } from '../../lib/fuse/session.js';
import { Random } from './random.js';
import { sleep } from './until.js';
import { type CutMode, HOLD_NAME, VolatileFilesystem, type VolatileOptions } from './volatile-filesystem.js';

export type ServerRequest =
  | { kind: 'arm'; after: number }
  | { kind: 'go-on' }
  | { kind: 'cut'; seed: number; mode: CutMode }
  | { kind: 'remount' }
  | { kind: 'stop' };

export type ServerReply = { kind: 'done'; lost: number } | { kind: 'held' };

/** Operations that change something, or make it durable. */
const CHANGES = new Set<string | symbol>([
  'setattr',
  'mknod',
  'mkdir',
  'unlink',
  'rmdir',
  'rename',
  'create',
  'write',
  'fsync',
  'fsyncdir',
  'fallocate',
] satisfies (keyof Operations)[]);
/**
 * A file that is read through a mapping while it is written to by direct writes. The kernel drops what it has of the
 * range before such a write, not after: a page that was read in between would show the old bytes for ever. It is not
 * written to through the mapping, or dropping would wait for the very write that it answers.
 */
const MAPPED_NAME = 'data.mdb';
const NOTIFY_INVALIDATE = 2;
const SYNC_MS_MAX = 5;
const HEADER_BYTES = 16;

const path = process.argv[2];
if (!path) throw new Error('usage: MOUNT-POINT, as a child with IPC');
const options: VolatileOptions = { capacity: Number(process.env.CAPACITY ?? 2 ** 30), seed: 1 };

const random = new Random(options.seed);
let filesystem = new VolatileFilesystem(options);
let left: VolatileFilesystem | null = null;
/** Changes that are still let through; then `held` begins. */
let changesLeft = Number.POSITIVE_INFINITY;
let off = false;
let held: (() => void)[] = [];
let mounted = await mount();

async function mount(): Promise<{ device: number; session: Session }> {
  const device = openSync('/dev/fuse', 'r+');
  mountDevice(device, path!);
  const session = new Session({
    device,
    operations: gated(filesystem, device),
    onDefect: (error, request) => console.error(request, error),
  });
  session.start();
  await session.ready;
  return { device, session };
}

function gated(target: VolatileFilesystem, device: number): Operations {
  return new Proxy<Operations>(target, {
    get(_, key) {
      if (key === 'lookup') {
        return (parent: number, name: string) => {
          if (name === HOLD_NAME) holdNow();
          return target.lookup(parent, name);
        };
      }
      const operation = Reflect.get(target, key) as (...args: unknown[]) => Promise<unknown>;
      if (!CHANGES.has(key)) return operation.bind(target);
      return async (...args: unknown[]) => {
        // As on a real disk, a sync takes its time, and others go on meanwhile.
        if (key === 'fsync' || key === 'fsyncdir') await sleep(random.below(SYNC_MS_MAX));
        await turn();
        if (off) throw new OperationError('EIO', 'the power is off');
        const result = await operation.apply(target, args);
        if (key === 'write' && target.nameOf(args[0] as number) === MAPPED_NAME) {
          await invalidate(device, args[0] as number, args[2] as number, result as number);
        }
        return result;
      };
    },
  });
}

/** Lets a change through, or keeps it until it is known what becomes of it. */
async function turn(): Promise<void> {
  if (off) return;
  if (changesLeft > 0) {
    changesLeft--;
    return;
  }
  await new Promise<void>((resolve) => {
    held.push(resolve);
    if (held.length === 1) reply({ kind: 'held' });
  });
}

function holdNow(): void {
  if (changesLeft === 0) return;
  changesLeft = 0;
  if (held.length === 0) reply({ kind: 'held' });
}

function goOn(): void {
  changesLeft = Number.POSITIVE_INFINITY;
  const waiting = held;
  held = [];
  for (const resolve of waiting) resolve();
}

async function invalidate(device: number, node: number, offset: number, length: number): Promise<void> {
  const message = Buffer.alloc(HEADER_BYTES + 24);
  message.writeUInt32LE(message.length, 0);
  message.writeInt32LE(NOTIFY_INVALIDATE, 4);
  message.writeBigUInt64LE(BigInt(node), HEADER_BYTES);
  message.writeBigInt64LE(BigInt(offset), HEADER_BYTES + 8);
  message.writeBigInt64LE(BigInt(length), HEADER_BYTES + 16);
  // On a thread of its own: it waits for pages that are being read, which this thread has to serve.
  try {
    await promisify(writeDevice)(device, message, 0, message.length, null);
  } catch (error) {
    // The kernel has forgotten the file, or the mount is gone.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENODEV' && code !== 'ECONNABORTED') throw error;
  }
}

async function unmountNow(): Promise<void> {
  unmount(path!, true);
  await mounted.session.closed;
  closeSync(mounted.device);
}

async function handle(request: ServerRequest): Promise<void> {
  switch (request.kind) {
    case 'arm':
      changesLeft = request.after;
      break;
    case 'go-on':
      goOn();
      break;
    case 'cut':
      left = filesystem.powerCut(request.seed, request.mode);
      off = true;
      goOn();
      break;
    case 'remount': {
      await unmountNow();
      if (!left) throw new Error('there was no power cut');
      filesystem = left;
      left = null;
      off = false;
      mounted = await mount();
      break;
    }
    case 'stop':
      goOn();
      await unmountNow();
      break;
  }
  reply({ kind: 'done', lost: filesystem.counts.lost });
  if (request.kind === 'stop') process.disconnect();
}

function reply(message: ServerReply): void {
  process.send!(message);
}

process.on('message', (request: ServerRequest) => {
  handle(request).catch((error) => {
    console.error(error);
    process.exit(1);
  });
});
process.on('disconnect', () => process.exit());
reply({ kind: 'done', lost: 0 });

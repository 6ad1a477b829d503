import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, realpathSync, statfs, statSync } from 'node:fs';
import { REQUEST_BYTES_MAX } from './protocol.js';

/** What our mounts show as their type in /proc/mounts. */
export const MOUNT_TYPE = 'fuse.sheepdog';

/** How long a mount point may take to answer before it counts as held by a daemon that hangs. */
const PROBE_MS = 3000;

/** The kernel asks for the root's attributes before it lets a mount go. */
const UNMOUNT_MS_MAX = 10_000;

export type MountErrorCode = 'NOT_A_DIRECTORY' | 'NOT_EMPTY' | 'BUSY' | 'MOUNT_FAILED' | 'UNMOUNT_BUSY' | 'NO_ACCESS';

/** A mount point that cannot be used, or a mount that failed; the message is one line that says what to do. */
export class MountError extends Error {
  readonly code: MountErrorCode;

  constructor(code: MountErrorCode, message: string) {
    super(message);
    this.name = 'MountError';
    this.code = code;
  }
}

/** mountinfo writes space, tab, newline and backslash in octal (proc(5)). */
function unescapeMountinfo(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** The type of the file system mounted last at exactly `path`, or null where none is. */
export function mountedType(path: string, mountinfo = readFileSync('/proc/self/mountinfo', 'utf8')): string | null {
  let type: string | null = null;
  for (const line of mountinfo.split('\n')) {
    const fields = line.split(' ');
    if (fields.length < 9 || unescapeMountinfo(fields[4]!) !== path) continue;
    type = fields[fields.indexOf('-') + 1] ?? null;
  }
  return type;
}

/** Whether the daemon behind a mount point answers, is gone (ENOTCONN), or hangs. */
function probe(path: string): Promise<'alive' | 'dead' | 'hangs'> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve('hangs'), PROBE_MS);
    statfs(path, (error) => {
      clearTimeout(timer);
      resolve(error?.code === 'ENOTCONN' || error?.code === 'ECONNABORTED' ? 'dead' : 'alive');
    });
  });
}

/**
 * Makes a mount point usable: creates the directory, clears mounts that a dead daemon left. Answers its real path and
 * the first directory on the way that was made, if any.
 * Throws MountError for a path that is no directory, holds files, or has something mounted on it.
 */
export async function prepareMountPoint(path: string): Promise<{ path: string; made: string | undefined }> {
  // A path under a dead mount cannot even be resolved, so the dead mount goes first.
  if (mountedType(path) === MOUNT_TYPE) await clearLeftOver(path);
  let made: string | undefined;
  try {
    made = mkdirSync(path, { recursive: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' || code === 'ENOTDIR') {
      throw new MountError('NOT_A_DIRECTORY', `mount point ${path} is not a directory; name another with --mount`);
    }
    throw new MountError(
      'NO_ACCESS',
      `mount point ${path} cannot be made (${code}); make it, or name another with --mount`,
    );
  }
  const real = realpathSync(path);
  if (mountedType(real) === MOUNT_TYPE) await clearLeftOver(real);
  const type = mountedType(real);
  if (type !== null) {
    throw new MountError(
      'BUSY',
      `mount point ${real} is busy: ${type} is mounted there; unmount it, or name another with --mount`,
    );
  }
  if (!statSync(real).isDirectory()) {
    throw new MountError('NOT_A_DIRECTORY', `mount point ${real} is not a directory; name another with --mount`);
  }
  const [first] = readdirSync(real);
  if (first !== undefined) {
    throw new MountError(
      'NOT_EMPTY',
      `mount point ${real} is not empty (it holds ${first}), and mounting would hide that; move it away, or name another with --mount`,
    );
  }
  return { path: real, made };
}

async function clearLeftOver(path: string): Promise<void> {
  while (mountedType(path) === MOUNT_TYPE) {
    const state = await probe(path);
    if (state !== 'dead') {
      const how = state === 'alive' ? 'serves' : 'holds';
      throw new MountError(
        'BUSY',
        `mount point ${path} is busy: another sheep ${how} it; stop that one, or name another with --mount`,
      );
    }
    unmount(path, true);
  }
}

/**
 * Mounts an open /dev/fuse on `path`. The helper mount(8) of util-linux does it, so that /proc and utab agree.
 * Needs root. Throws MountError.
 */
export function mountDevice(device: number, path: string): void {
  const options = [
    'fd=3',
    'rootmode=40000',
    'user_id=0',
    'group_id=0',
    'allow_other',
    'default_permissions',
    `max_read=${REQUEST_BYTES_MAX}`,
    'nosuid',
    'nodev',
  ].join(',');
  const args = ['-i', '-t', MOUNT_TYPE, '-o', options, 'sheepdog', path];
  const result = spawnSync('mount', args, { stdio: ['ignore', 'ignore', 'pipe', device], encoding: 'utf8' });
  if (result.status === 0) return;
  const why = (result.error?.message ?? result.stderr).trim().replace(/\s*\n\s*/g, ' ');
  throw new MountError('MOUNT_FAILED', `cannot mount on ${path}: ${why}`);
}

/**
 * Unmounts `path`. Throws MountError UNMOUNT_BUSY while files on it are open, or nobody answers for it, unless `lazy`: then
 * the name goes at once and the mount ends with the last open file.
 */
export function unmount(path: string, lazy: boolean): void {
  const args = lazy ? ['-i', '-l', path] : ['-i', path];
  const result = spawnSync('umount', args, {
    ...{ stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' },
    ...{ timeout: UNMOUNT_MS_MAX, killSignal: 'SIGKILL' },
  });
  if (result.status === 0) return;
  if ((result.error as NodeJS.ErrnoException | undefined)?.code === 'ETIMEDOUT') {
    throw new MountError('UNMOUNT_BUSY', `cannot unmount ${path}: nobody answers for it`);
  }
  const why = (result.error?.message ?? result.stderr).trim().replace(/\s*\n\s*/g, ' ');
  throw new MountError(/busy/.test(why) ? 'UNMOUNT_BUSY' : 'MOUNT_FAILED', `cannot unmount ${path}: ${why}`);
}

/** What is the native backend's own: its library, its refusals, its numbers. */
import { readdirSync, writeFileSync } from 'node:fs';
import { chmod, chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'brittle';
import { mountNative, NativeError } from '../lib/fuse/native.js';
import { timestampOf } from '../lib/fuse/native-attributes.js';
import { isMounted, temporaryDirectory, trackMount } from './helpers/cleanup.js';
import { CAPACITY_BYTES, MemoryFilesystem } from './helpers/memory-filesystem.js';
import { MemoryMount } from './helpers/memory-mount.js';
import { must, run } from './helpers/run.js';
import { syscalls } from './helpers/syscalls.js';

const NOBODY = 65534;

test('without libfuse the error names its package, and the kernel backend goes on', async (t) => {
  const { stdout } = await must('ldconfig', ['-p']);
  const library = /libfuse\.so\.2 .*=> (\S+)/.exec(stdout)?.[1];
  t.ok(library, 'the library is here to be hidden');
  const native = new URL('../lib/fuse/native.js', import.meta.url).href;
  const program = `
    const { mountNative } = await import(${JSON.stringify(native)});
    await mountNative('/nowhere', {}).catch((error) => console.log(error.code + ': ' + error.message));
    console.log('goes on');`;
  // In a mount namespace of its own, with an empty file in the library's place.
  const hidden = `mount --bind /dev/null ${library} && exec "$@"`;
  const node = [process.execPath, '--input-type=module', '--eval', program];
  const result = await must('unshare', ['--mount', 'sh', '-c', hidden, 'sh', ...node]);
  const [error, next, ...rest] = result.stdout.split('\n');
  t.ok(/^LIBFUSE_MISSING: .*\blibfuse2\b/.test(error ?? ''), error ?? 'no output');
  t.is(next, 'goes on');
  t.alike(rest, [''], 'one line');
});

test('a time before 1970 has its fraction counted upwards too', (t) => {
  t.alike(timestampOf(1500), { seconds: 1, nanoseconds: 500_000_000 });
  t.alike(timestampOf(-1250), { seconds: -2, nanoseconds: 750_000_000 });
});

test('a mount point that cannot be used', async (t) => {
  const directory = await temporaryDirectory(t);
  const file = join(directory, 'file');
  writeFileSync(file, '');
  for (const path of [join(directory, 'absent'), file]) {
    const error = await mountNative(path, new MemoryFilesystem()).then(
      () => null,
      (reason: unknown) => reason,
    );
    t.ok(error instanceof NativeError && error.code === 'MOUNT_FAILED', String(error));
  }
});

test('unmounting ends the mount, once', async (t) => {
  const path = await temporaryDirectory(t);
  trackMount(path);
  const mount = await mountNative(path, new MemoryFilesystem());
  t.ok(isMounted(path));
  const first = mount.unmount();
  t.is(mount.unmount(), first, 'the same promise');
  await first;
  await mount.closed;
  t.absent(isMounted(path));
  t.alike(readdirSync(path), []);
  const again = await mountNative(path, new MemoryFilesystem());
  t.ok(isMounted(path), 'and the place can be used again');
  await again.unmount();
});

test('a user who is not root mounts, writes and unmounts', async (t) => {
  const directory = await temporaryDirectory(t);
  const mount = join(directory, 'mount');
  await mkdir(mount);
  await chmod(directory, 0o755);
  await chown(mount, NOBODY, NOBODY);
  const server = fileURLToPath(new URL('./helpers/memory-server.js', import.meta.url));
  // In a mount namespace of its own, where anybody may open /dev/fuse, as is usual.
  const script = `
    mknod "$2/fuse" c 10 229 && chmod 666 "$2/fuse" && mount --bind "$2/fuse" /dev/fuse
    exec setpriv --reuid ${NOBODY} --regid ${NOBODY} --clear-groups sh -c '
      "$3" "$4" native "$1" & server=$!
      until grep -q " $1 fuse.sheepdog " /proc/mounts; do kill -0 $server || exit 1; sleep 0.05; done
      echo content > "$1/file" && cat "$1/file" && stat -c %u "$1/file"
      kill $server; wait $server; echo "server: $?"
      grep -c " $1 " /proc/mounts' "$0" "$@"`;
  const args = ['--mount', 'sh', '-c', script, 'sh', mount, directory, process.execPath, server];
  const { stdout } = await run('unshare', args, { deadlineMs: 20_000 });
  const lines = stdout.trim().split('\n');
  t.alike(lines, ['ready', 'content', `${NOBODY}`, 'closed', 'server: 0', '0']);
});

test('more capacity than 32 bits can count in blocks', async (t) => {
  const mount = await MemoryMount.start('native');
  t.teardown(() => mount.takeAway(), { force: true });
  const { blocks, fragmentSize } = await syscalls().call('statvfs', { path: mount.path });
  t.is(blocks * fragmentSize, CAPACITY_BYTES);
});

/** A program: serves a file system in memory. Arguments: kernel or native, and the mount point. Ends with SIGTERM. */
import { openSync } from 'node:fs';
import { mountDevice } from '../../lib/fuse/mount.js';
import { mountNative } from '../../lib/fuse/native.js';
import { Session } from '../../lib/fuse/session.js';
import { MemoryFilesystem } from './memory-filesystem.js';

const [backend, path] = process.argv.slice(2);
if (!path || (backend !== 'kernel' && backend !== 'native')) throw new Error('usage: kernel|native MOUNT-POINT');

const operations = new MemoryFilesystem();
const onDefect = (error: unknown, request: string) => console.error(request, error);

if (backend === 'native') {
  const mount = await mountNative(path, operations, { onDefect });
  process.on('SIGTERM', () => void mount.unmount());
  console.log('ready');
  await mount.closed;
} else {
  const device = openSync('/dev/fuse', 'r+');
  mountDevice(device, path);
  const trace = process.env.TRACE ? (line: string) => console.error(line) : undefined;
  const session = new Session({ device, operations, onDefect, ...(trace && { trace }) });
  session.start();
  await session.ready;
  console.log('ready');
  await session.closed;
}
console.log('closed');

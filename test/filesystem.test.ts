/** The mount's operations where requests meet one another, or come twice. */
import { constants } from 'node:fs';
import { type Assertions, test } from 'brittle';
import { HostClock } from '../lib/cluster/host-clock.js';
import { Directory } from '../lib/filesystem/directory.js';
import { Filesystem } from '../lib/filesystem/filesystem.js';
import { Handles } from '../lib/filesystem/handles.js';
import { Locks } from '../lib/filesystem/locks.js';
import { type Context, ROOT_NODE, XATTR_CREATE } from '../lib/fuse/operations.js';
import { Vdis } from '../lib/vdi/vdis.js';
import { temporaryDirectory } from './helpers/cleanup.js';
import { onlyDisk, openImages } from './helpers/images.js';
import { LocalImages } from './helpers/local-images.js';
import { sleep } from './helpers/until.js';

const { O_RDWR, O_CREAT } = constants;
const ROUNDS_MAX = 1000;
let unique = 1n;

function request(resent = false): Context {
  if (!resent) unique += 2n;
  return { uid: 0, gid: 0, pid: 0, unique, resent, signal: { aborted: false, onAbort: () => {} } };
}

async function setup(t: Assertions) {
  const { coordination, objects, families } = await openImages(t);
  const handles = new Handles(await temporaryDirectory(t), 'boot');
  t.teardown(() => handles.close());
  const isOpen = (id: number) => handles.opens(id) > 0;
  const failures: unknown[] = [];
  const onError = (error: unknown) => failures.push(error);
  const vdis = new Vdis({
    ...{ coordination, host: 'h', clock: new HostClock(), families, allDisks: onlyDisk, isOpen, onError },
    objects: new LocalImages(objects, coordination),
  });
  t.teardown(() => vdis.close(), { order: -1 });
  const locks = new Locks(coordination, 'h');
  const directory = await Directory.open(coordination, false);
  const space = () => ({ total: 2 ** 40, free: 2 ** 40 });
  const filesystem = new Filesystem({ vdis, handles, locks, directory, mountPoint: '/mnt', copies: 1, space });
  return { filesystem, vdis, handles };
}

test('an image that is opened while it is unlinked is there or is not', async (t) => {
  const { filesystem, handles } = await setup(t);
  const counts = { opened: 0, gone: 0 };
  for (let round = 0; counts.gone < 5 && round < ROUNDS_MAX; round++) {
    const { node } = await filesystem.mknod(ROOT_NODE, 'image', 0o644, request());
    const unlinking = filesystem.unlink(ROOT_NODE, 'image', request());
    // Later from round to round, until the image is gone before.
    if (round % 2 === 0) for (let turn = 0; turn < round; turn++) await Promise.resolve();
    else await sleep(round / 8);
    const opened = await filesystem.open(node, O_RDWR, request()).catch((error: { code: string }) => {
      if (error.code !== 'ESTALE') throw error;
      return null;
    });
    await unlinking;
    if (opened === null) {
      counts.gone++;
      t.is(handles.opens(node), 0, 'no handle is left');
      continue;
    }
    counts.opened++;
    t.is((await filesystem.getattr(node, null, request())).links, 0);
    await filesystem.write(node, opened.handle, 0, Buffer.from('content'), 0);
    const buffer = Buffer.alloc(7);
    await filesystem.read(node, opened.handle, 0, buffer, 0);
    t.is(buffer.toString(), 'content', `opened in round ${round}`);
    await filesystem.fsync(node, opened.handle, false);
    await filesystem.setattr(node, opened.handle, { size: 3 });
    await filesystem.release(node, opened.handle);
    await t.exception(filesystem.getattr(node, null, request()), /gone/);
  }
  t.ok(counts.opened > 0 && counts.gone > 0, `${counts.opened} times opened, ${counts.gone} times gone`);
});

test('requests that come twice are done once', async (t) => {
  const { filesystem, handles } = await setup(t);
  const { attributes, opened } = await filesystem.create(ROOT_NODE, 'image', O_RDWR | O_CREAT, 0o644, request());
  const again = await filesystem.create(ROOT_NODE, 'image', O_RDWR | O_CREAT, 0o644, request(true));
  t.is(again.attributes.node, attributes.node);
  t.is(again.opened.handle, opened.handle, 'the same handle');
  const { node } = attributes;
  t.is(handles.opens(node), 1);

  await filesystem.setxattr(node, 'user.x', Buffer.from('1'), XATTR_CREATE, request());
  await filesystem.setxattr(node, 'user.x', Buffer.from('1'), XATTR_CREATE, request(true));
  await t.exception(filesystem.setxattr(node, 'user.x', Buffer.from('1'), XATTR_CREATE, request()), /EEXIST/);
  await filesystem.removexattr(node, 'user.x', request());
  await filesystem.removexattr(node, 'user.x', request(true));
  await t.exception(filesystem.removexattr(node, 'user.x', request()), /ENODATA/);

  await filesystem.rename(ROOT_NODE, 'image', ROOT_NODE, 'other', 0, request());
  await filesystem.rename(ROOT_NODE, 'image', ROOT_NODE, 'other', 0, request(true));
  await filesystem.release(node, opened.handle);
  await filesystem.release(node, opened.handle);
  await filesystem.unlink(ROOT_NODE, 'other', request());
  await filesystem.unlink(ROOT_NODE, 'other', request(true));
  await t.exception(filesystem.lookup(ROOT_NODE, 'other'), /there is no other/);
});

test('a name that is being imported cannot be opened', async (t) => {
  const { filesystem, vdis } = await setup(t);
  await vdis.create('image', { size: 0, mode: 0o644, uid: 0, gid: 0, copies: 1, importing: true });
  await t.exception(filesystem.create(ROOT_NODE, 'image', O_CREAT, 0o644, request()), /imported/);
});

test('attributes that no image has are not found', async (t) => {
  const { filesystem } = await setup(t);
  const { node } = await filesystem.mknod(ROOT_NODE, 'image', 0o644, request());
  await t.exception(filesystem.getxattr(node, 'user.sheepdog.constructor'), /ENODATA/);
});

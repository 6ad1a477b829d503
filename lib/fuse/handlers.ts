import { type ErrnoName, OperationError } from './errno.js';
import type { Context, Operations } from './operations.js';
import { OPCODE } from './protocol.js';
import {
  encodeAttributes,
  encodeCreated,
  encodeDirectory,
  encodeEntry,
  encodeLock,
  encodeOpened,
  encodeOpenedDirectory,
  encodeStatfs,
  encodeU64,
  encodeWritten,
  encodeXattrSize,
} from './replies.js';
import { type Body, REQUEST } from './requests.js';

/**
 * For each opcode, from the decoded request through the file system's operation to the bytes of the answer (null: a
 * header alone). READ and WRITE are not here: the session serves them without the table.
 */
export type Handler = (
  operations: Operations,
  node: number,
  body: Body,
  context: Context,
) => Promise<Buffer | null> | Buffer | null;

/** What COPY_FILE_RANGE's 32-bit answer can say; the 64-bit opcode has no such bound. */
const COPY_BYTES_MAX = 0xfffff000;

function xattrAnswer(value: Uint8Array, size: number): Buffer {
  if (size === 0) return encodeXattrSize(value.length);
  if (value.length > size) throw new OperationError('ERANGE');
  return Buffer.from(value);
}

async function directory(operations: Operations, node: number, body: Body, context: Context, plus: boolean) {
  const { after, size } = (plus ? REQUEST.readdirplus : REQUEST.readdir).decode(body);
  return encodeDirectory(await operations.readdir(node, after, context), size, plus);
}

async function rename(operations: Operations, parent: number, body: Body, context: Context, second: boolean) {
  const decoded = (second ? REQUEST.rename2 : REQUEST.rename).decode(body);
  await operations.rename(parent, decoded.name, decoded.newParent, decoded.newName, decoded.flags, context);
  return null;
}

async function copy(operations: Operations, node: number, body: Body, context: Context, max: number): Promise<number> {
  const { handle, offset, targetNode, targetHandle, targetOffset, length } = REQUEST.copyFileRange.decode(body);
  const source = { node, handle, offset };
  const target = { node: targetNode, handle: targetHandle, offset: targetOffset };
  return operations.copyFileRange(source, target, Math.min(length, max), context);
}

async function setlk(operations: Operations, node: number, body: Body, context: Context, wait: boolean) {
  const { handle, lock } = REQUEST.setlk.decode(body);
  await operations.setlk(node, handle, { ...lock, wait }, context);
  return null;
}

/** What no file system behind this interface has, and what its caller expects to hear. */
function refuse(code: ErrnoName): Handler {
  return () => {
    throw new OperationError(code);
  };
}

export const HANDLERS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [
    OPCODE.LOOKUP,
    async (operations, node, body, context) =>
      encodeEntry(await operations.lookup(node, REQUEST.lookup.decode(body).name, context)),
  ],
  [
    OPCODE.GETATTR,
    async (operations, node, body, context) =>
      encodeAttributes(await operations.getattr(node, REQUEST.getattr.decode(body).handle, context)),
  ],
  [
    OPCODE.SETATTR,
    async (operations, node, body, context) => {
      const { handle, changes } = REQUEST.setattr.decode(body);
      return encodeAttributes(await operations.setattr(node, handle, changes, context));
    },
  ],
  [
    OPCODE.MKNOD,
    async (operations, node, body, context) => {
      const { mode, name } = REQUEST.mknod.decode(body);
      return encodeEntry(await operations.mknod(node, name, mode, context));
    },
  ],
  [
    OPCODE.MKDIR,
    async (operations, node, body, context) => {
      const { mode, name } = REQUEST.mkdir.decode(body);
      return encodeEntry(await operations.mkdir(node, name, mode, context));
    },
  ],
  [
    OPCODE.UNLINK,
    async (operations, node, body, context) => {
      await operations.unlink(node, REQUEST.unlink.decode(body).name, context);
      return null;
    },
  ],
  [
    OPCODE.RMDIR,
    async (operations, node, body, context) => {
      await operations.rmdir(node, REQUEST.rmdir.decode(body).name, context);
      return null;
    },
  ],
  [OPCODE.RENAME, (operations, node, body, context) => rename(operations, node, body, context, false)],
  [OPCODE.RENAME2, (operations, node, body, context) => rename(operations, node, body, context, true)],
  [
    OPCODE.CREATE,
    async (operations, node, body, context) => {
      const { flags, mode, name } = REQUEST.create.decode(body);
      const { attributes, opened } = await operations.create(node, name, flags, mode, context);
      return encodeCreated(attributes, opened.handle);
    },
  ],
  [
    OPCODE.OPEN,
    async (operations, node, body, context) =>
      encodeOpened((await operations.open(node, REQUEST.open.decode(body).flags, context)).handle),
  ],
  [
    OPCODE.FLUSH,
    async (operations, node, body, context) => {
      const { handle, owner } = REQUEST.flush.decode(body);
      await operations.flush(node, handle, owner, context);
      return null;
    },
  ],
  [
    OPCODE.FSYNC,
    async (operations, node, body, context) => {
      const { handle, dataOnly } = REQUEST.fsync.decode(body);
      await operations.fsync(node, handle, dataOnly, context);
      return null;
    },
  ],
  [
    OPCODE.RELEASE,
    async (operations, node, body, context) => {
      const { handle, owner } = REQUEST.release.decode(body);
      await operations.release(node, handle, owner, context);
      return null;
    },
  ],
  [OPCODE.SYMLINK, refuse('EPERM')],
  [OPCODE.LINK, refuse('EPERM')],
  [OPCODE.IOCTL, refuse('ENOTTY')],
  [OPCODE.OPENDIR, () => encodeOpenedDirectory()],
  [OPCODE.RELEASEDIR, () => null],
  [OPCODE.READDIR, (operations, node, body, context) => directory(operations, node, body, context, false)],
  [OPCODE.READDIRPLUS, (operations, node, body, context) => directory(operations, node, body, context, true)],
  [
    OPCODE.FSYNCDIR,
    async (operations, node, _body, context) => {
      await operations.fsyncdir(node, context);
      return null;
    },
  ],
  [OPCODE.STATFS, async (operations, _node, _body, context) => encodeStatfs(await operations.statfs(context))],
  [
    OPCODE.GETXATTR,
    async (operations, node, body, context) => {
      const { size, name } = REQUEST.getxattr.decode(body);
      return xattrAnswer(await operations.getxattr(node, name, context), size);
    },
  ],
  [
    OPCODE.LISTXATTR,
    async (operations, node, body, context) => {
      const { size } = REQUEST.listxattr.decode(body);
      const names = await operations.listxattr(node, context);
      return xattrAnswer(Buffer.from(names.map((name) => `${name}\0`).join('')), size);
    },
  ],
  [
    OPCODE.SETXATTR,
    async (operations, node, body, context) => {
      const { name, value, flags } = REQUEST.setxattr.decode(body);
      await operations.setxattr(node, name, value, flags, context);
      return null;
    },
  ],
  [
    OPCODE.REMOVEXATTR,
    async (operations, node, body, context) => {
      await operations.removexattr(node, REQUEST.removexattr.decode(body).name, context);
      return null;
    },
  ],
  [
    OPCODE.FALLOCATE,
    async (operations, node, body, context) => {
      const { handle, mode, offset, length } = REQUEST.fallocate.decode(body);
      await operations.fallocate(node, handle, mode, offset, length, context);
      return null;
    },
  ],
  [
    OPCODE.LSEEK,
    async (operations, node, body, context) => {
      const { handle, offset, whence } = REQUEST.lseek.decode(body);
      return encodeU64(await operations.lseek(node, handle, offset, whence, context));
    },
  ],
  [
    OPCODE.COPY_FILE_RANGE,
    async (operations, node, body, context) =>
      encodeWritten(await copy(operations, node, body, context, COPY_BYTES_MAX)),
  ],
  [
    OPCODE.COPY_FILE_RANGE_64,
    async (operations, node, body, context) =>
      encodeU64(await copy(operations, node, body, context, Number.MAX_SAFE_INTEGER)),
  ],
  [
    OPCODE.GETLK,
    async (operations, node, body, context) => {
      const { handle, lock } = REQUEST.getlk.decode(body);
      return encodeLock(await operations.getlk(node, handle, { ...lock, wait: false }, context));
    },
  ],
  [OPCODE.SETLK, (operations, node, body, context) => setlk(operations, node, body, context, false)],
  [OPCODE.SETLKW, (operations, node, body, context) => setlk(operations, node, body, context, true)],
]);

import { test } from 'brittle';
import { ERRNO, errnoOf, OperationError } from '../lib/fuse/errno.js';
import { HANDLERS } from '../lib/fuse/handlers.js';
import { Interrupts } from '../lib/fuse/interrupts.js';
import { mountedType } from '../lib/fuse/mount.js';
import type { Attributes, DirectoryEntry } from '../lib/fuse/operations.js';
import { printReply, printRequest } from '../lib/fuse/printer.js';
import { FATTR, IN_HEADER_BYTES, OPCODE, UNIQUE_RESEND } from '../lib/fuse/protocol.js';
import {
  encodeAttributes,
  encodeDirectory,
  encodeEntry,
  encodeInit,
  encodeLock,
  encodeStatfs,
} from '../lib/fuse/replies.js';
import { Body, decodeHeader, kindOf, REQUEST } from '../lib/fuse/requests.js';

/** A request's body out of little-endian fields: [bits, value], text with its NUL, or bytes. */
function body(...fields: ([32 | 64, number | bigint] | string | Buffer)[]): Body {
  const parts = fields.map((field) => {
    if (typeof field === 'string') return Buffer.from(`${field}\0`);
    if (Buffer.isBuffer(field)) return field;
    const part = Buffer.alloc(field[0] / 8);
    if (field[0] === 32) part.writeUInt32LE(Number(field[1]));
    else part.writeBigUInt64LE(BigInt(field[1]));
    return part;
  });
  const bytes = Buffer.concat(parts);
  return new Body(bytes, 0, bytes.length);
}

const ATTRIBUTES: Attributes = {
  node: 17,
  size: 2 ** 40 + 5,
  blocks: 8,
  mode: 0o100640,
  links: 1,
  uid: 3,
  gid: 4,
  atime: { seconds: 1, nanoseconds: 2 },
  mtime: { seconds: -3, nanoseconds: 4 },
  ctime: { seconds: 5, nanoseconds: 6 },
};

test('every opcode that is served can be decoded and named', (t) => {
  for (const opcode of HANDLERS.keys()) {
    if (opcode === OPCODE.SYMLINK || opcode === OPCODE.LINK || opcode === OPCODE.IOCTL) continue;
    t.ok(kindOf(opcode), `opcode ${opcode}`);
  }
  t.is(new Set(Object.values(REQUEST).map((kind) => kind.opcode)).size, Object.keys(REQUEST).length);
});

test('SETATTR carries only what its bits say', (t) => {
  const zeros = Buffer.alloc(80);
  zeros.writeBigUInt64LE(4096n, 8);
  zeros.writeUInt32LE(0o600, 60);
  const decode = (valid: number) => REQUEST.setattr.decode(body([32, valid], [32, 0], zeros));
  t.alike(decode(0), { handle: null, changes: {} });
  t.alike(decode(FATTR.SIZE | FATTR.FH), { handle: 0, changes: { size: 4096 } });
  t.alike(decode(FATTR.MODE | FATTR.ATIME_NOW).changes, { mode: 0o600, atime: 'now' });
  t.alike(decode(FATTR.MTIME).changes, { mtime: { seconds: 0, nanoseconds: 0 } });
});

test('a lock to the end of the file, and its owner, keep all their bits', (t) => {
  const owner = 0xfedcba9876543210n;
  const { handle, lock } = REQUEST.setlk.decode(
    body([64, 9], [64, owner], [64, 100], [64, 0x7fffffffffffffffn], [32, 1], [32, 77], [32, 0], [32, 0]),
  );
  t.is(handle, 9);
  t.alike(lock, { owner, start: 100, end: Number.MAX_SAFE_INTEGER, type: 'write', pid: 77, flock: false });
  const answer = encodeLock({ ...lock, start: 5 });
  t.is(answer.readBigUInt64LE(0), 5n);
  t.is(answer.readBigUInt64LE(8), 0x7fffffffffffffffn);
  t.is(encodeLock(null).readUInt32LE(16), 2, 'no lock in the way is F_UNLCK');
});

test('names: without NUL, not UTF-8, two in one request', (t) => {
  t.exception(() => REQUEST.lookup.decode(new Body(Buffer.from('abc'), 0, 3)), /NUL/);
  const code = (bytes: number[]) => {
    try {
      REQUEST.lookup.decode(new Body(Buffer.from(bytes), 0, bytes.length));
      return null;
    } catch (error) {
      return (error as OperationError).code;
    }
  };
  t.is(code([0xff, 0xfe, 0]), 'EILSEQ');
  t.is(code([0x61, 0]), null);
  const renamed = REQUEST.rename2.decode(body([64, 1], [32, 2], [32, 0], 'a', 'ü b'));
  t.alike(renamed, { newParent: 1, flags: 2, name: 'a', newName: 'ü b' });
});

test('numbers beyond what is safe are refused, or clamped where they mean the end', (t) => {
  const huge = 2n ** 63n;
  t.exception(() => body([64, huge]).number(), /safe/);
  t.is(body([64, huge]).clampedOffset(), Number.MAX_SAFE_INTEGER);
  try {
    body([64, huge]).offset();
    t.fail('an offset beyond the greatest image');
  } catch (error) {
    t.is((error as OperationError).code, 'EFBIG');
  }
  t.exception(() => body([32, 1]).u64(), /short/);
});

test('attributes and entries are laid out as the kernel reads them', (t) => {
  const out = encodeAttributes(ATTRIBUTES);
  t.is(out.length, 104);
  t.is(out.readBigUInt64LE(16), 17n);
  t.is(out.readBigUInt64LE(24), BigInt(ATTRIBUTES.size));
  t.is(out.readBigInt64LE(16 + 32), -3n, 'times before 1970');
  t.is(out.readUInt32LE(16 + 60), 0o100640);
  t.is(encodeEntry(ATTRIBUTES).length, 128);
  t.is(encodeEntry(ATTRIBUTES).readBigUInt64LE(16), 0n, 'names may change at any moment');
  const init = encodeInit(41, 131072, (1n << 39n) | 1n);
  t.is(init.length, 64);
  t.is(init.readUInt32LE(12), 1);
  t.is(init.readUInt32LE(32), 1 << 7, 'bits from 32 on are in flags2');
  const statfs = encodeStatfs({
    blockSize: 4096,
    blocks: 10,
    blocksFree: -1,
    blocksAvailable: 4.7,
    files: 1,
    filesFree: 1,
    nameLengthMax: 255,
  });
  t.alike([statfs.readBigUInt64LE(8), statfs.readBigUInt64LE(16)], [0n, 4n]);
});

test('a directory is cut after whole entries, and "." has no node to look up', (t) => {
  const entry = (name: string, cookie: number): DirectoryEntry => ({ name, node: 17, cookie, attributes: ATTRIBUTES });
  const entries = [entry('.', 1), entry('image-one', 2), entry('b', 3)];
  const plain = encodeDirectory(entries, 4096, false);
  t.is(plain.length, 32 + 40 + 32);
  t.is(plain.readUInt32LE(20), 0o10, 'a regular file');
  t.is(plain.toString('utf8', 32 + 24, 32 + 33), 'image-one');
  t.is(encodeDirectory(entries, 75, false).length, 72);
  const plus = encodeDirectory(entries, 4096, true);
  t.is(plus.readBigUInt64LE(0), 0n);
  t.is(plus.readBigUInt64LE(128 + 32), 17n);
});

test('errno: of an operation, of the system, of a defect', (t) => {
  t.is(errnoOf(new OperationError('ENODATA')), ERRNO.ENODATA);
  t.is(errnoOf(Object.assign(new Error('x'), { code: 'ENOSPC' })), ERRNO.ENOSPC);
  t.is(errnoOf(new TypeError('x')), ERRNO.EIO);
  t.is(errnoOf(null), ERRNO.EIO);
});

test('an interrupt reaches its request, before or after it was read', (t) => {
  const interrupts = new Interrupts();
  const first = interrupts.begin(2n);
  let heard = 0;
  first.onAbort(() => heard++);
  interrupts.interrupt(2n);
  interrupts.interrupt(2n);
  t.is(heard, 1);
  interrupts.interrupt(4n);
  t.is(interrupts.begin(4n).aborted, true);
  interrupts.end(2n);
  interrupts.end(4n);
  for (let unique = 6n; unique < 1000n; unique += 2n) interrupts.interrupt(unique);
  t.is(interrupts.size, 0);
  t.is(interrupts.begin(6n).aborted, false, 'interrupts of requests that never come are forgotten');
});

test('the trace reads well, whatever comes', (t) => {
  const buffer = Buffer.alloc(IN_HEADER_BYTES + 8);
  buffer.writeUInt32LE(buffer.length, 0);
  buffer.writeUInt32LE(OPCODE.LOOKUP, 4);
  buffer.writeBigUInt64LE(6n | UNIQUE_RESEND, 8);
  buffer.writeBigUInt64LE(1n, 16);
  buffer.write('vm1.img\0', IN_HEADER_BYTES);
  const header = decodeHeader(buffer, buffer.length);
  t.is(printRequest(header, buffer, buffer.length), '-> #6 (sent again) LOOKUP node=1 pid=0 name="vm1.img"');
  t.ok(printRequest({ ...header, opcode: 4095 }, buffer, buffer.length).includes('opcode 4095'));
  t.ok(printRequest({ ...header, opcode: OPCODE.MKNOD }, buffer, buffer.length).includes('cut short'));
  t.is(printReply(6n, ERRNO.ENOENT!, 0), '<- #6 ENOENT');
});

test('mountinfo: the last mount at a path counts, and octal escapes are read', (t) => {
  const mountinfo = [
    '36 35 98:0 / /mnt/a\\040b rw shared:1 - ext4 /dev/x rw',
    '37 35 0:40 / /mnt/a\\040b rw shared:2 - fuse.sheepdog sheepdog rw',
    '38 35 0:41 / /mnt/c rw - tmpfs none rw',
  ].join('\n');
  t.is(mountedType('/mnt/a b', mountinfo), 'fuse.sheepdog');
  t.is(mountedType('/mnt/c', mountinfo), 'tmpfs');
  t.is(mountedType('/mnt', mountinfo), null);
});

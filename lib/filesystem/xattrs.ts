import { OperationError } from '../fuse/errno.js';
import { XATTR_CREATE, XATTR_REPLACE } from '../fuse/operations.js';
import { topOf } from '../vdi/family.js';
import type { FamilyRecord, VdiRecord } from '../vdi/records.js';

/** All extended attributes of an image together, as their names and values: they share one stored value. */
const XATTR_BYTES_MAX = 64 * 1024;

/** What Sheepdog itself tells of an image; read only. */
const OWN_PREFIX = 'user.sheepdog.';

function own(record: VdiRecord, family: FamilyRecord | null): Record<string, string> {
  const parent = family?.layers[topOf(family, record.id)]?.parent;
  return {
    id: String(record.id),
    family: String(record.family),
    copies: String(family?.copies ?? 1),
    ...(parent ? { parent: String(parent) } : {}),
  };
}

export function listXattrs(record: VdiRecord, family: FamilyRecord | null): string[] {
  return [...Object.keys(own(record, family)).map((name) => OWN_PREFIX + name), ...Object.keys(record.xattrs ?? {})];
}

/** Throws ENODATA. */
export function getXattr(record: VdiRecord, family: FamilyRecord | null, name: string): Uint8Array {
  if (name.startsWith(OWN_PREFIX)) {
    const value = new Map(Object.entries(own(record, family))).get(name.slice(OWN_PREFIX.length));
    if (value === undefined) throw new OperationError('ENODATA');
    return Buffer.from(value);
  }
  const value = record.xattrs?.[name];
  if (value === undefined) throw new OperationError('ENODATA');
  return Buffer.from(value, 'base64');
}

/** Whether the attribute is set, to just that value. */
export function hasXattr(record: VdiRecord, name: string, value: Uint8Array): boolean {
  const found = record.xattrs?.[name];
  return found !== undefined && Buffer.from(found, 'base64').equals(value);
}

function refuse(name: string): void {
  if (name.startsWith(OWN_PREFIX)) throw new OperationError('EPERM', `${name} is read only`);
  // POSIX ACLs and the like: nothing here would obey them.
  if (name.startsWith('system.')) throw new OperationError('EOPNOTSUPP');
}

/** Answers the record with the attribute set. Throws EEXIST, ENODATA, ENOSPC, EPERM, EOPNOTSUPP. */
export function setXattr(record: VdiRecord, name: string, value: Uint8Array, flags: number): VdiRecord {
  refuse(name);
  const exists = record.xattrs?.[name] !== undefined;
  if (flags & XATTR_CREATE && exists) throw new OperationError('EEXIST');
  if (flags & XATTR_REPLACE && !exists) throw new OperationError('ENODATA');
  const xattrs = { ...record.xattrs, [name]: Buffer.from(value).toString('base64') };
  const bytes = Object.entries(xattrs).reduce((sum, [key, text]) => sum + key.length + text.length, 0);
  if (bytes > XATTR_BYTES_MAX) throw new OperationError('ENOSPC');
  return { ...record, xattrs };
}

/** Answers the record without the attribute. Throws ENODATA, EPERM, EOPNOTSUPP. */
export function removeXattr(record: VdiRecord, name: string): VdiRecord {
  refuse(name);
  if (record.xattrs?.[name] === undefined) throw new OperationError('ENODATA');
  const { [name]: _gone, ...xattrs } = record.xattrs;
  return { ...record, xattrs };
}

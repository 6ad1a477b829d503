export { BLOCK_BYTES, FORMAT_VERSION, OBJECT_BYTES } from './constants.js';
export { Disk, type DiskEvents, type DiskOptions, type LayerView } from './disk.js';
export { eraseDisk } from './erase.js';
export type { DiskIdentity, DiskRecord } from './identity.js';
export { readRecord } from './identity.js';
export type { SpaceReport, SpaceState } from './space.js';
export { StoreError, type StoreErrorCode } from './store-error.js';
export { SYSTEM, type System } from './system.js';

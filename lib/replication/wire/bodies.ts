import { WireError } from '../../net/links.js';
import type { EntryKind } from '../../store/entry.js';
import { HOLE, OBJECT } from '../../store/entry.js';
import type { ListedEntry } from '../../store/group-list.js';
import type { IndexDescription } from '../../store/object-describe.js';
import type {
  ActiveName,
  Body,
  DescribeAnswer,
  FenceAnswer,
  FencedDisk,
  FencedRange,
  FetchAnswer,
  Inspected,
  ListAnswer,
  Released,
} from '../messages.js';
import { OTHER_ERA } from '../messages.js';
import type { ImageAttributes, Timestamp } from '../object-io.js';
import { blocks, era } from './change.js';
import { checked, constant, list, nullable, type Option, option, record } from './composites.js';
import { describedLayer } from './described-layer.js';
import {
  ACTIVE_MAX,
  BOOT_ID_BYTES_MAX,
  DISKS_MAX,
  ENTRIES_MAX,
  INDEXES_MAX,
  LAYERS_MAX,
  MERGES_BYTES_MAX,
  RANGES_MAX,
  RING_RANGES_MAX,
} from './limits.js';
import { ringDoubts } from './places.js';
import { boolean, bulk, counter, field, objectBytes, seconds, text, wholeNumber } from './primitives.js';
import type { Encoding } from './wire-state.js';

/*
 * What answers consist of: one of these kinds, whatever was asked.
 */

const activeName = record<ActiveName>({ family: field, layer: field, index: field, isOthers: boolean });

const fencedRange = record<FencedRange>({ family: field, index: field, offset: objectBytes, length: objectBytes });

const fencedDisk = record<FencedDisk>({
  disk: field,
  active: list(activeName, ACTIVE_MAX, 'active objects'),
  ring: record<FencedDisk['ring']>({
    bootId: text(BOOT_ID_BYTES_MAX, 'a boot id'),
    complete: boolean,
    ranges: list(fencedRange, RING_RANGES_MAX, 'ranges'),
  }),
});

const listedEntry = record<ListedEntry>({
  family: field,
  index: field,
  layer: field,
  kind: wholeNumber(Math.max(OBJECT, HOLE), 'kind of entry', Math.min(OBJECT, HOLE)) as Encoding<EntryKind>,
  modified: counter,
  active: boolean,
});

const description = record<IndexDescription>({
  family: field,
  index: field,
  layers: list(describedLayer, LAYERS_MAX, 'layers'),
});

const merges = text(MERGES_BYTES_MAX, 'merges');

const mtime = record<Timestamp>({ seconds, nanoseconds: wholeNumber(999_999_999, 'nanoseconds') });

const KINDS = {
  bytes: option(2, bulk),
  nothing: option(3, constant(null)),
  number: option(4, counter),
  boolean: option(5, boolean),
  indexes: option(6, list(field, INDEXES_MAX, 'indexes')),
  // Of none: see indexes.
  blocks: option(
    7,
    checked(blocks, (all) => {
      if (all.length === 0) throw new WireError('an answer of no blocks is one of no indexes');
    }),
  ),
  otherEra: option(8, constant(OTHER_ERA)),
  inspected: option(9, record<Inspected>({ merges, era, layer: nullable(describedLayer) })),
  fenced: option(10, record<FenceAnswer>({ disks: list(fencedDisk, DISKS_MAX, 'disks') })),
  listed: option(11, record<ListAnswer>({ entries: list(listedEntry, ENTRIES_MAX, 'entries'), complete: boolean })),
  described: option(12, record<DescribeAnswer>({ description, doubts: ringDoubts })),
  fetched: option(13, record<FetchAnswer>({ doubts: ringDoubts, blocks: list(bulk, RANGES_MAX, 'blocks') })),
  released: option(14, record<Released>({ released: boolean })),
  attributes: option(15, record<ImageAttributes>({ size: counter, mtime })),
} as const;

function kindOf(body: Body): keyof typeof KINDS {
  if (body === null) return 'nothing';
  if (typeof body === 'number') return 'number';
  if (typeof body === 'boolean') return 'boolean';
  if (typeof body === 'string') return 'otherEra';
  if (Buffer.isBuffer(body)) return 'bytes';
  if (Array.isArray(body)) return typeof body[0] === 'object' ? 'blocks' : 'indexes';
  if ('merges' in body) return 'inspected';
  if ('disks' in body) return 'fenced';
  if ('entries' in body) return 'listed';
  if ('description' in body) return 'described';
  if ('blocks' in body) return 'fetched';
  if ('released' in body) return 'released';
  return 'attributes';
}

/** From 2 on: see reply.ts. */
export const BODY_OPTIONS = Object.values(KINDS) as readonly Option<unknown>[] as readonly Option<Body>[];

/** The kind that a body is of. */
export function bodyOption(body: Body): Option<Body> {
  return KINDS[kindOf(body)] as Option<unknown> as Option<Body>;
}

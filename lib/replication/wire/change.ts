import type { Change, DiskEra, Shape } from '../messages.js';
import { checked, choice, constant, list, nullable, option, record, word } from './composites.js';
import { COMPARED_MAX, ERA_BYTES_MAX, RANGES_MAX } from './limits.js';
import { byteRange, byteRanges, checkRange, soughtRanges } from './places.js';
import { bulk, field, objectBytes, text } from './primitives.js';

/** Data at its place in an object. */
export interface Block {
  readonly offset: number;
  readonly data: Buffer;
}

export const era = text(ERA_BYTES_MAX, 'era');

const eras = list(record<DiskEra>({ disk: field, era }), COMPARED_MAX, 'eras');

function checkBlock({ offset, data }: Block): void {
  checkRange({ offset, length: data.length });
}

export const blocks = list(
  checked(record<Block>({ offset: objectBytes, data: bulk }), checkBlock),
  RANGES_MAX,
  'blocks',
);

const shape = choice<Shape, 'kind'>('kind', 'shape', {
  object: option(1, record({ kind: constant('object'), end: objectBytes })),
  hole: option(2, record({ kind: constant('hole') })),
  nothing: option(3, record({ kind: constant('nothing') })),
});

type ChangeOf<Kind extends Change['kind']> = Extract<Change, { readonly kind: Kind }>;

const write = record<ChangeOf<'write'>>({ kind: constant('write'), offset: objectBytes, data: bulk });
const discard = record<ChangeOf<'discard'>>({ kind: constant('discard'), offset: objectBytes, length: objectBytes });

const use = word(['write', 'discard'] as const, 'use of room');

export const change = choice<Change, 'kind'>('kind', 'change', {
  write: option(1, checked(write, checkBlock)),
  discard: option(2, checked(discard, checkRange)),
  allocate: option(3, record({ kind: constant('allocate'), end: objectBytes })),
  cut: option(4, record({ kind: constant('cut'), length: objectBytes })),
  room: option(5, record({ kind: constant('room'), use })),
  inspect: option(6, record({ kind: constant('inspect'), layer: field, blocks: nullable(byteRanges) })),
  extract: option(7, record({ kind: constant('extract'), layer: field, ranges: soughtRanges })),
  equal: option(8, record({ kind: constant('equal'), eras, layer: field, shape, within: byteRange, blocks })),
});

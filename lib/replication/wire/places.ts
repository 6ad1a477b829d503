import { WireError } from '../../net/links.js';
import { OBJECT_BYTES } from '../../store/constants.js';
import type { WriteOrder } from '../../store/write-order.js';
import type { RingDoubts, RingRange } from '../../store/write-ring.js';
import type { ByteRange } from '../messages.js';
import type { Chain, ChainLayer } from '../object-io.js';
import { checked, list, record } from './composites.js';
import { INCOMPLETE_MAX, LAYERS_MAX, RANGES_MAX, RING_RANGES_MAX } from './limits.js';
import { boolean, counter, field, objectBytes } from './primitives.js';

/*
 * What messages of several kinds have: where something is, and which write it was.
 */

export const chain = record<Chain>({
  family: field,
  layers: list(record<ChainLayer>({ layer: field, limit: counter }), LAYERS_MAX, 'layers'),
});

export const byteRange = record<ByteRange>({ offset: objectBytes, length: objectBytes });

export const byteRanges = list(byteRange, RANGES_MAX, 'ranges');

/** Throws WireError where a range goes beyond the object. */
export function checkRange({ offset, length }: ByteRange): void {
  if (offset + length > OBJECT_BYTES) throw new WireError('a range goes beyond its object');
}

/** Ranges that are answered with their bytes: no more of them than an object has. */
export const soughtRanges = checked(byteRanges, (ranges) => {
  let bytes = 0;
  for (const range of ranges) {
    checkRange(range);
    bytes += range.length;
  }
  if (bytes > OBJECT_BYTES) throw new WireError('more is asked for than an object has');
});

const order = { vdi: field, generation: counter, sequence: counter };

export const writeOrder = record<WriteOrder>(order);

const ringRange = record<RingRange>({
  ...order,
  family: field,
  index: field,
  offset: objectBytes,
  length: objectBytes,
});

export const ringDoubts = record<RingDoubts>({
  ranges: list(ringRange, RING_RANGES_MAX, 'ranges'),
  incomplete: list(record({ ...order, family: field }), INCOMPLETE_MAX, 'images'),
  lost: boolean,
});

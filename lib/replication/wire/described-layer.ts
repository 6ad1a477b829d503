import { WireError } from '../../net/links.js';
import { blockCount, PULL_HASH_BYTES } from '../../store/block-hashes.js';
import { OBJECT_BYTES } from '../../store/constants.js';
import { HOLE, NOTHING, OBJECT } from '../../store/entry.js';
import type { DescribedLayer } from '../../store/object-describe.js';
import { nullable, record } from './composites.js';
import { writeOrder } from './places.js';
import { boolean, counter, field, fromMinusOne, objectBytes, wholeNumber } from './primitives.js';
import type { Encoding, WireState } from './wire-state.js';

type Described = Omit<DescribedLayer, 'source' | 'hashes'> & { readonly source: number | null };

const described = record<Described>({
  layer: field,
  source: nullable(field),
  kind: wholeNumber(Math.max(NOTHING, OBJECT, HOLE), 'kind of entry') as Encoding<DescribedLayer['kind']>,
  modified: counter,
  end: fromMinusOne(OBJECT_BYTES, 'end of an object'),
  active: nullable(writeOrder),
  serial: counter,
  length: objectBytes,
  whole: boolean,
});

function hashBytes(length: number): number {
  return blockCount(length) * PULL_HASH_BYTES;
}

/** Its hashes are as many as its length has blocks; they are short enough to be copied. */
export const describedLayer: Encoding<DescribedLayer> = {
  preencode(state, layer) {
    described.preencode(state, withSource(layer));
    state.end += hashBytes(layer.length);
  },
  encode(state, layer) {
    const { hashes, length } = layer;
    if (hashes.length !== hashBytes(length)) throw new WireError(`${hashes.length} bytes of hashes for ${length}`);
    described.encode(state, withSource(layer));
    state.start += hashes.copy(state.buffer, state.start);
  },
  decode(state) {
    const { source, ...layer } = described.decode(state);
    const hashes = takeHashes(state, hashBytes(layer.length));
    return { ...layer, ...(source !== null && { source }), hashes };
  },
};

function withSource(layer: DescribedLayer): Described {
  return { ...layer, source: layer.source ?? null };
}

function takeHashes(state: WireState, bytes: number): Buffer {
  const start = state.take(bytes);
  return state.buffer.subarray(start, start + bytes);
}

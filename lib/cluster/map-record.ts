import { z } from 'zod';
import { type ClusterMap, MAP_FORMAT, MapError } from './map.js';
import { PGS_MAX } from './placement.js';

const diskNumber = z.int().nonnegative();

const mapRecord = z.strictObject({
  format: z.literal(MAP_FORMAT),
  epoch: z.int().positive(),
  groups: z.array(diskNumber).min(1).max(PGS_MAX),
  moves: z.record(z.string().regex(/^(0|[1-9]\d*)$/), diskNumber),
});

export function encodeMap(map: ClusterMap): Uint8Array {
  return Buffer.from(JSON.stringify(map));
}

/** Throws MapError WRONG_FORMAT for a map that a newer release wrote, or that is none. */
export function decodeMap(value: Uint8Array): ClusterMap {
  const json = parseJson(value);
  const format = (json as { format?: unknown } | null)?.format;
  if (typeof format === 'number' && format > MAP_FORMAT) {
    throw new MapError(
      'WRONG_FORMAT',
      `the map has format ${format}, this release reads ${MAP_FORMAT}: use a newer one`,
    );
  }
  const parsed = mapRecord.safeParse(json);
  if (!parsed.success)
    throw new MapError('WRONG_FORMAT', `the stored map is damaged: ${z.prettifyError(parsed.error)}`);
  const map = parsed.data;
  for (const group of Object.keys(map.moves)) {
    if (Number(group) >= map.groups.length) throw new MapError('WRONG_FORMAT', `the stored map moves group ${group}`);
  }
  return map;
}

function parseJson(value: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(value).toString());
  } catch (error) {
    throw new MapError('WRONG_FORMAT', `the stored map is damaged: ${(error as Error).message}`);
  }
}

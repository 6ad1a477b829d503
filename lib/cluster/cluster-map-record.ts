import { z } from 'zod';
import { CLUSTER_MAP_FORMAT, type ClusterMap, type Leaving, type MapGroup } from './cluster-map.js';
import { RecordCodec } from './record.js';

/** The map's key in the coordination store. */
export const MAP_KEY = '/map';

/**
 * The map as `/map` holds it. A group is a list, `[acting, insync, since, lossy]`, with an object of what only some have
 * at its end; a cluster has thousands of them in one value.
 */

const number = z.int().nonnegative();
const epoch = z.int().positive();
const key = z.string().regex(/^(0|[1-9]\d*)$/);
const disks = z.array(number);
const standing = z.enum(['in', 'draining', 'out']);

const extras = z.strictObject({
  joined: z.record(key, epoch).optional(),
  /** By disk, epoch and incarnation. */
  leaving: z.record(key, z.tuple([epoch, number])).optional(),
  rebooted: disks.optional(),
  forced: epoch.optional(),
});
type Extras = z.infer<typeof extras>;
type StoredGroup = [acting: number[], insync: number[], since: number, lossy: number, extras?: Extras];
/** By hand, as there are thousands, and a worker that starts waits for them: a schema takes several times as long. */
const group = z.custom<StoredGroup>((value) => {
  if (!Array.isArray(value) || value.length < 4 || value.length > 5) return false;
  const [acting, insync, since, lossy, extra] = value;
  if (!isDisks(acting) || !isDisks(insync) || insync.length === 0) return false;
  if (!isNumber(since) || since === 0 || !isNumber(lossy)) return false;
  return value.length === 4 || extras.safeParse(extra).success;
}, 'no group');

function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isDisks(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isNumber);
}

const schema = z.strictObject({
  epoch,
  hosts: z.record(
    z.string(),
    z.strictObject({ up: z.boolean(), standing, incarnation: number, bootId: z.string(), zone: z.string().optional() }),
  ),
  disks: z.record(
    key,
    z.strictObject({
      host: z.string(),
      standing: z.enum(['in', 'removing', 'failed']),
      absent: z.literal(true).optional(),
      room: z.enum(['scarce', 'none']).optional(),
    }),
  ),
  tables: z.record(key, z.array(group).min(1)),
});

type StoredMap = z.infer<typeof schema>;

const codec = new RecordCodec<StoredMap>('the map', CLUSTER_MAP_FORMAT, schema);

/** The map that was decoded last: it is large, comes by several ways, and nobody changes it. */
let last: { readonly bytes: Buffer; readonly map: ClusterMap } | null = null;

export function encodeClusterMap(map: ClusterMap): Uint8Array {
  const { epoch, hosts, disks, tables } = map;
  const stored = Object.entries(tables).map(([copies, groups]) => [copies, groups.map(encodeGroup)] as const);
  return codec.encode({ epoch, hosts, disks, tables: Object.fromEntries(stored) });
}

/** Throws RecordError WRONG_FORMAT for a map that a newer release wrote, or that is none. */
export function decodeClusterMap(bytes: Uint8Array): ClusterMap {
  if (last?.bytes.equals(bytes)) return last.map;
  const { tables: stored, ...rest } = codec.decode(bytes);
  const tables = Object.entries(stored).map(([copies, groups]) => [copies, groups.map(decodeGroup)] as const);
  const map: ClusterMap = { format: CLUSTER_MAP_FORMAT, ...rest, tables: Object.fromEntries(tables) };
  checkMap(map);
  last = { bytes: Buffer.from(bytes), map };
  return map;
}

function encodeGroup({ acting, insync, since, lossy, joined, leaving, rebooted, forced }: MapGroup): StoredGroup {
  const lists: [number[], number[], number, number] = [[...acting], [...insync], since, lossy];
  if ([joined, leaving, rebooted, forced].every((extra) => extra === undefined)) return lists;
  const left = leaving && Object.entries(leaving).map(([disk, { epoch, incarnation }]) => [disk, [epoch, incarnation]]);
  return [
    ...lists,
    {
      ...(joined && { joined: { ...joined } }),
      ...(left && { leaving: Object.fromEntries(left) as Record<string, [number, number]> }),
      ...(rebooted && { rebooted: [...rebooted] }),
      ...(forced && { forced }),
    },
  ];
}

function decodeGroup([acting, insync, since, lossy, extra]: StoredGroup): MapGroup {
  const leaving =
    extra?.leaving &&
    Object.entries(extra.leaving).map(([disk, [epoch, incarnation]]): [string, Leaving] => {
      return [disk, { epoch, incarnation }];
    });
  return {
    acting,
    insync,
    since,
    lossy,
    ...(extra?.joined && { joined: extra.joined as Record<number, number> }),
    ...(leaving && { leaving: Object.fromEntries(leaving) as Record<number, Leaving> }),
    ...(extra?.rebooted && { rebooted: extra.rebooted }),
    ...(extra?.forced && { forced: extra.forced }),
  };
}

/** What no release ever stored is damage, and is not acted on. */
function checkMap(map: ClusterMap): void {
  for (const [copies, groups] of Object.entries(map.tables)) {
    groups.forEach(({ acting, insync, since, lossy }, pg) => {
      const name = `group ${pg} of ${copies} copies`;
      const unknown = [...acting, ...insync].find((disk) => map.disks[disk] === undefined);
      if (unknown !== undefined) throw codec.damaged(`${name} is on disk ${unknown}, which it has not`);
      if (acting.length > 0 && !insync.every((disk) => acting.includes(disk))) {
        throw codec.damaged(`${name} has a complete copy that is not written to`);
      }
      if (since > map.epoch || lossy > map.epoch) throw codec.damaged(`${name} is of a later epoch`);
    });
  }
}

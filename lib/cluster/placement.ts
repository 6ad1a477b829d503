import { crypto_generichash } from 'sodium-native';

/**
 * Where a copy should be: pure functions of ids and weights, which every host must compute alike for ever. They use
 * BLAKE2b and the four operations of arithmetic, which IEEE 754 rounds the same everywhere, and not Math.log, which
 * each engine may round as it likes. What they answer is stored, so a change of formula moves data.
 */

/** Placement groups of a cluster unless set at its creation. */
export const PGS_DEFAULT = 1024;

interface PlacementDisk {
  /** Unique in the cluster and never used again. */
  number: number;
  /** Bytes of the disk, a whole number; 0 for one that is to hold nothing, as it failed or is being removed. */
  weight: number;
}

export interface PlacementHost {
  id: string;
  /** Hosts that share a zone may fail together: a group has at most one copy in it. */
  zone: string;
  disks: readonly PlacementDisk[];
}

// The seeds are part of the formula.
const FAMILY_SEED = Buffer.from('sheepdog placement: family');
const HOST_SEED = Buffer.from('sheepdog placement: host');
const DISK_SEED = Buffer.from('sheepdog placement: disk');

const HASH_BYTES = 16;
const hash = Buffer.alloc(HASH_BYTES);
const UNIT = 2 ** -52;

/** The group of a family's index 0; index i is i groups further. A caller on the path of I/O keeps it. */
export function familyOffset(family: number, pgs: number): number {
  const input = Buffer.alloc(8);
  input.writeBigUInt64BE(BigInt(family));
  crypto_generichash(hash, input, FAMILY_SEED);
  return Number(hash.readBigUInt64BE() % BigInt(pgs));
}

/** The group of an index, by its family's familyOffset: consecutive ones go round all groups, which is the striping. */
export function groupAt(offset: number, index: number, pgs: number): number {
  return (offset + index) % pgs;
}

/**
 * The disks that should hold a group's `copies`, best first: the first hosts by weighted rendezvous hashing, at most
 * one a zone, and on each the first of its disks in the same way. Fewer where there are fewer zones with space.
 */
export function wantedDisks(group: number, hosts: readonly PlacementHost[], copies: number): number[] {
  const ranked = hosts
    .map((host) => ({ host, score: score(HOST_SEED, host.id, group, weightOf(host)) }))
    .filter((candidate) => candidate.score > 0)
    .sort((a, b) => b.score - a.score || (a.host.id < b.host.id ? -1 : 1));
  const zones = new Set<string>();
  const disks: number[] = [];
  for (const { host } of ranked) {
    if (disks.length === copies) break;
    if (zones.has(host.zone)) continue;
    zones.add(host.zone);
    disks.push(wantedDisk(group, host.disks));
  }
  return disks;
}

/** The disk of one host that should hold its copy of a group. */
function wantedDisk(group: number, disks: readonly PlacementDisk[]): number {
  const [best] = disks
    .map(({ number, weight }) => ({ number, score: score(DISK_SEED, String(number), group, weight) }))
    .sort((a, b) => b.score - a.score || a.number - b.number);
  return best!.number;
}

function weightOf(host: PlacementHost): number {
  return host.disks.reduce((sum, disk) => sum + disk.weight, 0);
}

/**
 * weight / -ln(u), u being the hash of the two as a number between 0 and 1: the candidate with the highest score wins
 * a group with a probability that is its share of all weights, and a candidate that comes or goes changes no other's.
 */
function score(seed: Buffer, candidate: string, group: number, weight: number): number {
  return weight === 0 ? 0 : weight / distance(seed, candidate, group);
}

/** How far a group is from a host, over 0: the weight divided by it is the host's score. */
export function hostDistance(host: string, group: number): number {
  return distance(HOST_SEED, host, group);
}

/** How far a group is from a disk, as hostDistance. */
export function diskDistance(disk: number, group: number): number {
  return distance(DISK_SEED, String(disk), group);
}

function distance(seed: Buffer, candidate: string, group: number): number {
  crypto_generichash(hash, Buffer.from(`${group} ${candidate}`), seed);
  // 52 bits and a half: never 0 and never 1.
  const bits = hash.readUInt32BE(0) * 2 ** 20 + (hash.readUInt32BE(4) >>> 12);
  return -logarithm((bits + 0.5) * UNIT);
}

/** The series' terms: what follows is below the last bit, as z is at most 0.172. */
const SERIES_TERMS = 11;

/**
 * Natural logarithm of u, 0 < u < 1, the same on every machine: u is doubled k times into [√½, √2), and
 * ln(u) = 2 (z + z³/3 + z⁵/5 + …) - k ln 2, where z = (u - 1) / (u + 1).
 */
function logarithm(u: number): number {
  let mantissa = u;
  let doublings = 0;
  while (mantissa < Math.SQRT1_2) {
    mantissa *= 2;
    doublings++;
  }
  const z = (mantissa - 1) / (mantissa + 1);
  const square = z * z;
  let sum = 0;
  for (let term = SERIES_TERMS - 1; term >= 0; term--) sum = sum * square + 1 / (2 * term + 1);
  return 2 * z * sum - doublings * Math.LN2;
}

/** A family's number tells how many copies it has, so that a disk alone can tell to which table its objects belong. */
const COPIES_RADIX = 8;

/** Number of the family that is made as the `number`th, from 1, with so many copies (1 to 7). Never used again. */
export function familyNumber(number: number, copies: number): number {
  if (!(copies >= 1 && copies < COPIES_RADIX)) throw new RangeError(`${copies} copies`);
  return number * COPIES_RADIX + copies;
}

/** How many copies a family has. */
export function copiesOf(family: number): number {
  return family % COPIES_RADIX;
}

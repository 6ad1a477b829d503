import { isIP, isIPv4 } from 'node:net';
import { z } from 'zod';
import type { HostPort } from './address.js';
import { WireError } from './links.js';
import { ADDRESSES_MAX } from './local-addresses.js';

/** What a host tells of itself on each connection of the swarm, and again when it changes. */
export interface Introduction {
  /** Its id. */
  readonly host: string;
  /** Where it listens for links of TCP, best first; addresses, never names. */
  readonly links: readonly HostPort[];
  /** Where its node of the DHT is; of IPv4. */
  readonly dht: readonly HostPort[];
}

/** Bytes of one that is read. */
export const INTRODUCTION_BYTES_MAX = 8192;

const VERSION = 1;
const HOST_ID = /^[A-Za-z0-9_-]{1,64}$/;
const IPV6_LENGTH_MAX = 45;

export const Port = z.int().min(1).max(65_535);
const LinkAddress = z.strictObject({
  // A zone means nothing to another host.
  host: z
    .string()
    .max(IPV6_LENGTH_MAX)
    .refine((text) => isIP(text) !== 0 && !text.includes('%')),
  port: Port,
});
export const DhtAddress = z.strictObject({ host: z.string().refine(isIPv4), port: Port });
export const HostId = z.string().regex(HOST_ID);
const Told = z.strictObject({
  version: z.literal(VERSION),
  host: HostId,
  links: z.array(LinkAddress).max(ADDRESSES_MAX),
  dht: z.array(DhtAddress).max(ADDRESSES_MAX),
});

export function encodeIntroduction(introduction: Introduction): Buffer {
  return Buffer.from(JSON.stringify({ version: VERSION, ...introduction }));
}

/** Throws WireError for whatever else than one of this version comes. */
export function decodeIntroduction(body: Uint8Array): Introduction {
  if (body.byteLength > INTRODUCTION_BYTES_MAX) throw new WireError(`an introduction of ${body.byteLength} bytes`);
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString());
  } catch {
    // What the parser says quotes what came.
    throw new WireError('an introduction that is no JSON');
  }
  const parsed = Told.safeParse(json);
  if (!parsed.success) throw new WireError(`an introduction that is none: ${parsed.error.issues[0]?.path.join('.')}`);
  const { host, links, dht } = parsed.data;
  return { host, links, dht };
}

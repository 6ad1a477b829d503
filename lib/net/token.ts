import { randomBytes } from 'node:crypto';
import HyperDHT from 'hyperdht';
import type { Coordination } from '../coordination/coordination.js';
import { formatHostPort, type HostPort, parseHostPort } from './address.js';
import type { HostKeyPair } from './host-key.js';
import { JoinError } from './join-error.js';
import { keyedHash } from './keyed-hash.js';
import { storeToken } from './token-record.js';

/** First byte of a token. */
const VERSION = 1;
const ID_BYTES = 8;
const SECRET_BYTES = 32;
const KEY_BYTES = 32;
const CHECKSUM_BYTES = 4;
/** Of a line that is read. */
const TEXT_LENGTH_MAX = 2048;
/** Addresses in a token: one of these hosts has to be up, at the address it has now, when another joins. */
export const TOKEN_BOOTSTRAP_MAX = 4;
const DAY_MS = 1000 * 60 * 60 * 24;
const CHECKSUM_KEY = Buffer.from('checksum of a sheepdog token');

/** What a host has to know to join a cluster. */
export interface JoinToken {
  /** In hexadecimal; the cluster has the token's record under it. */
  readonly id: string;
  readonly secret: Buffer;
  /** By this key the cluster's hosts answer those that want to join. */
  readonly clusterKey: Buffer;
  /** Nodes of the cluster's DHT. */
  readonly bootstrap: readonly HostPort[];
}

export interface TokenOptions {
  /** The cluster's secret. */
  readonly secret: Uint8Array;
  /** `HOST:PORT` of nodes of the cluster's DHT, the likeliest first; those beyond TOKEN_BOOTSTRAP_MAX are left out. */
  readonly bootstrap: readonly string[];
  /** Milliseconds; a day unless given. */
  readonly ttlMs?: number;
  /** How many hosts it lets in; any number unless given. */
  readonly uses?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** The key pair by which every host of the cluster answers those that want to join. */
export function joinKeyPair(clusterSecret: Uint8Array): HostKeyPair {
  return HyperDHT.keyPair(keyedHash(clusterSecret, 'key pair for hosts that join'));
}

/**
 * Makes a token and stores what the hosts need to check it by. Answers its line. Rejects as the store does; with
 * NetError for a bootstrap address that is none, with JoinError BAD_OPTION for a time or number that makes no sense.
 */
export async function createToken(coordination: Coordination, options: TokenOptions): Promise<string> {
  const { secret: clusterSecret, ttlMs = DAY_MS, uses = null, now = Date.now } = options;
  const token: JoinToken = {
    id: randomBytes(ID_BYTES).toString('hex'),
    secret: randomBytes(SECRET_BYTES),
    clusterKey: joinKeyPair(clusterSecret).publicKey,
    bootstrap: options.bootstrap.slice(0, TOKEN_BOOTSTRAP_MAX).map(parseHostPort),
  };
  if (token.bootstrap.length === 0) {
    throw new JoinError('BAD_OPTION', 'a token needs an address at which a host of the cluster can be reached');
  }
  await storeToken(coordination, token.id, { key: proofKey(token.secret), ttlMs, uses }, now());
  return formatToken(token);
}

/** What both ends of a join know by the token. Whoever reads it in the store can make no token of it. */
export function proofKey(secret: Uint8Array): Buffer {
  return keyedHash(secret, 'proof of a token');
}

export function formatToken({ id, secret, clusterKey, bootstrap }: JoinToken): string {
  const addresses = Buffer.from(bootstrap.map(formatHostPort).join(' '));
  const body = Buffer.concat([Buffer.from([VERSION]), Buffer.from(id, 'hex'), secret, clusterKey, addresses]);
  return Buffer.concat([body, checksum(body)]).toString('base64url');
}

/** Throws JoinError BAD_TOKEN for a line that is none, was not copied whole, or is of another release. */
export function parseToken(text: string): JoinToken {
  const line = text.trim();
  const bytes = Buffer.from(line.slice(0, TEXT_LENGTH_MAX), 'base64url');
  const body = bytes.subarray(0, -CHECKSUM_BYTES);
  // A decoder skips what is no base64, and some of the last bits.
  const isWhole = bytes.toString('base64url') === line && checksum(body).equals(bytes.subarray(body.length));
  if (!isWhole)
    throw badToken('this is no join token, or not all of one; copy the line that `dog cluster token` prints');
  if (body[0] !== VERSION) {
    throw badToken(
      `this join token is of version ${body[0]}, and this sheep knows ${VERSION}; use the cluster's release`,
    );
  }
  const [id, secret, clusterKey, addresses] = split(body.subarray(1), [ID_BYTES, SECRET_BYTES, KEY_BYTES]);
  try {
    const bootstrap = addresses!.toString().split(' ').map(parseHostPort);
    return { id: id!.toString('hex'), secret: secret!, clusterKey: clusterKey!, bootstrap };
  } catch (error) {
    throw badToken(`this join token has a bad address (${(error as Error).message}); make a new one`);
  }
}

/** Parts of these lengths, and the rest. */
function split(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const [length, ...others] = lengths;
  if (length === undefined) return [bytes];
  return [bytes.subarray(0, length), ...split(bytes.subarray(length), others)];
}

function checksum(body: Uint8Array): Buffer {
  return keyedHash(CHECKSUM_KEY, 'token', body).subarray(0, CHECKSUM_BYTES);
}

function badToken(message: string): JoinError {
  return new JoinError('BAD_TOKEN', message);
}

import { z } from 'zod';
import type { Coordination, KeyValue } from '../coordination/coordination.js';
import { JoinError } from './join-error.js';

/** What the cluster knows of a token: `/tokens/<id>`. */
export interface TokenRecord {
  /** What a proof is checked by. */
  readonly key: Buffer;
  /** Milliseconds since 1970. */
  readonly expiresMs: number;
  /** How many hosts it lets in; null for any number. */
  readonly uses: number | null;
  /** Who has used it, where uses are counted: one that lost the answer may ask again. */
  readonly usedBy: readonly TokenUser[];
}

export interface TokenUser {
  readonly host: string;
  /** Noise, in hexadecimal. */
  readonly publicKey: string;
}

export const TOKEN_USES_MAX = 1000;
export const TOKEN_TTL_MS_MAX = 1000 * 60 * 60 * 24 * 365; // a year

const PREFIX = '/tokens/';
const FORMAT = 1;
/** A token is remembered for so long after its end: whoever comes late is told so. */
const KEPT_MS = 1000 * 60 * 60 * 24 * 7; // a week
/** Old ones that are forgotten with each new one. */
const FORGOTTEN_MAX = 64;
/** Others that count a use of the same token at the same moment. */
const RIVALS_MAX = 1000;

const NEW_ONE = 'make a new one with `dog cluster token` on a host of the cluster';

const Record = z.strictObject({
  format: z.literal(FORMAT),
  key: z.string().regex(/^[0-9a-f]{64}$/),
  expiresMs: z.int(),
  uses: z.int().min(1).nullable(),
  usedBy: z.array(z.strictObject({ host: z.string(), publicKey: z.string() })),
});

/** Stores a new token, and forgets some that ended long ago. Rejects with JoinError BAD_OPTION, and as the
 * store does. */
export async function storeToken(
  coordination: Coordination,
  id: string,
  { key, ttlMs, uses }: { key: Buffer; ttlMs: number; uses: number | null },
  nowMs: number,
): Promise<void> {
  if (!(ttlMs > 0 && ttlMs <= TOKEN_TTL_MS_MAX))
    throw new JoinError('BAD_OPTION', 'a token is good for some time, up to a year');
  if (uses !== null && !(Number.isInteger(uses) && uses > 0 && uses <= TOKEN_USES_MAX)) {
    throw new JoinError('BAD_OPTION', `a token is good for 1 to ${TOKEN_USES_MAX} hosts, or for any number of them`);
  }
  const old = (await coordination.range(PREFIX)).filter(({ value }) => decode(value).expiresMs + KEPT_MS < nowMs);
  const record: TokenRecord = { key, expiresMs: Math.ceil(nowMs + ttlMs), uses, usedBy: [] };
  await coordination.transaction({
    success: [
      { put: PREFIX + id, value: encode(record) },
      ...old.slice(0, FORGOTTEN_MAX).map(({ key }) => ({ delete: key })),
    ],
  });
}

export async function readToken(coordination: Coordination, id: string): Promise<TokenRecord | null> {
  const found = await coordination.get(PREFIX + id);
  return found && decode(found.value);
}

/**
 * Counts that the host joins by the token. One that is counted already is counted no second time, and let in though the
 * token is used up. Throws JoinError EXPIRED, USED_UP, WRONG_TOKEN; rejects as the store does.
 */
export async function useToken(coordination: Coordination, id: string, user: TokenUser, nowMs: number): Promise<void> {
  for (let attempt = 0; attempt < RIVALS_MAX; attempt++) {
    const found = await coordination.get(PREFIX + id);
    if (!found) throw wrongToken();
    if (await tryUse(coordination, found, user, nowMs)) return;
  }
  throw new JoinError('NOT_NOW', 'too many hosts join by this token at the same moment; try again');
}

export function wrongToken(): JoinError {
  return new JoinError('WRONG_TOKEN', `the cluster does not know this token; ${NEW_ONE}`);
}

/** Answers false where another host was counted meanwhile. */
async function tryUse(
  coordination: Coordination,
  found: KeyValue,
  { host, publicKey }: TokenUser,
  nowMs: number,
): Promise<boolean> {
  const record = decode(found.value);
  if (nowMs >= record.expiresMs) throw new JoinError('EXPIRED', `this token's time is over; ${NEW_ONE}`);
  const { uses, usedBy } = record;
  if (uses === null || usedBy.some((user) => user.host === host && user.publicKey === publicKey)) return true;
  if (usedBy.length >= uses) {
    const hosts = uses === 1 ? '1 host' : `${uses} hosts`;
    throw new JoinError('USED_UP', `this token was good for ${hosts}, and has let in as many; ${NEW_ONE}`);
  }
  const value = encode({ ...record, usedBy: [...usedBy, { host, publicKey }] });
  const { succeeded } = await coordination.transaction({
    compare: [{ key: found.key, modRevision: found.modRevision }],
    success: [{ put: found.key, value }],
  });
  return succeeded;
}

function encode(record: TokenRecord): Uint8Array {
  return Buffer.from(JSON.stringify({ format: FORMAT, ...record, key: record.key.toString('hex') }));
}

function decode(value: Uint8Array): TokenRecord {
  const { key, expiresMs, uses, usedBy } = Record.parse(JSON.parse(Buffer.from(value).toString()));
  return { key: Buffer.from(key, 'hex'), expiresMs, uses, usedBy };
}

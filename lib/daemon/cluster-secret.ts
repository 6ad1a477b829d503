import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readIfThere, replaceDurably } from '../net/durable-file.js';
import { StateError } from './state-error.js';

const FILE = 'secret';
const SECRET_BYTES = 32;

/** The cluster's secret, by which its hosts find one another. Throws StateError DAMAGED. */
export async function readSecret(directory: string): Promise<Buffer> {
  const path = join(directory, FILE);
  const secret = Buffer.from((await readIfThere(path))?.toString().trim() ?? '', 'hex');
  if (secret.length === SECRET_BYTES) return secret;
  throw new StateError(
    'DAMAGED',
    `${path} is missing or damaged; restore it, or join the cluster anew with another --state`,
  );
}

/** Durable when it resolves. */
export async function storeSecret(directory: string, secret: Uint8Array): Promise<void> {
  await replaceDurably(join(directory, FILE), `${Buffer.from(secret).toString('hex')}\n`);
}

export function newSecret(): Buffer {
  return randomBytes(SECRET_BYTES);
}

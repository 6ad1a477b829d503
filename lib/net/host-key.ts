import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import HyperDHT from 'hyperdht';
import { readIfThere, replaceDurably } from './durable-file.js';
import { NetError } from './net-error.js';

export type HostKeyPair = HyperDHT.KeyPair;

const FILE = 'key';
const SEED_BYTES = 32;

/**
 * The Noise key pair that is this host's identity on the network, from the file `key` in `directory`, which is made where
 * there is none. Throws NetError.
 */
export async function openHostKey(directory: string): Promise<HostKeyPair> {
  const path = join(directory, FILE);
  try {
    const found = await readIfThere(path);
    if (found) return HyperDHT.keyPair(seedOf(found.toString('latin1'), path));
    const seed = randomBytes(SEED_BYTES);
    await replaceDurably(path, `${seed.toString('hex')}\n`);
    return HyperDHT.keyPair(seed);
  } catch (error) {
    if (error instanceof NetError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new NetError('NO_ACCESS', `${path} cannot be used (${code ?? error}); check the disk it is on`);
  }
}

function seedOf(text: string, path: string): Buffer {
  const hex = text.trimEnd();
  if (/^[0-9a-f]{64}$/.test(hex)) return Buffer.from(hex, 'hex');
  throw new NetError(
    'DAMAGED',
    `${path}, this host's identity on the network, is damaged; restore it, or remove it and let the host join again`,
  );
}

/**
 * Writes to a local store until it is killed: transaction n puts n under two keys at once, and n is printed once the
 * transaction is done. Several run at a time.
 */
import { writeSync } from 'node:fs';
import { openLocal } from '../../lib/coordination/local.js';

const store = await openLocal(process.argv[2]!);
let next = Number(process.argv[3]);

async function write(): Promise<void> {
  for (;;) {
    const number = next++;
    const value = Buffer.from(String(number));
    await store.transaction({
      success: [
        { put: `/left/${number}`, value },
        { put: `/right/${number}`, value },
        { put: '/last', value },
      ],
    });
    writeSync(1, `${number}\n`);
  }
}

await Promise.all([write(), write(), write(), write()]);

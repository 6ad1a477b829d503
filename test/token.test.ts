import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'brittle';
import { openLocal } from '../lib/coordination/local.js';
import { AttemptLimit } from '../lib/net/attempt-limit.js';
import { createToken, joinKeyPair, parseToken } from '../lib/net/token.js';
import { temporaryDirectory } from './helpers/cleanup.js';

const BOOTSTRAP = ['192.168.1.7:7001', '[2001:db8::7]:7001', 'sheep-3.example.com:7001'];

test('a token is one line that has what a host needs', async (t) => {
  const store = await openLocal(join(await temporaryDirectory(t), 'store'));
  t.teardown(() => store.close());
  const secret = randomBytes(32);
  const line = await createToken(store, { secret, bootstrap: [...BOOTSTRAP, 'a:1', 'b:1'] });
  t.ok(/^[A-Za-z0-9_-]{100,400}$/.test(line), line);
  const token = parseToken(` ${line}\n`);
  t.alike(token.bootstrap, [
    { host: '192.168.1.7', port: 7001 },
    { host: '2001:db8::7', port: 7001 },
    { host: 'sheep-3.example.com', port: 7001 },
    { host: 'a', port: 1 },
  ]);
  t.ok(token.clusterKey.equals(joinKeyPair(secret).publicKey));
  const [record] = await store.range('/tokens/');
  t.is(record!.key, `/tokens/${token.id}`);
  t.absent(Buffer.from(record!.value).toString().includes(token.secret.toString('hex')), 'the store has no secret');

  for (let index = 0; index < line.length; index++) {
    const other = line[index] === 'B' ? 'C' : 'B';
    if (!isRefused(line.slice(0, index) + other + line.slice(index + 1))) t.fail(`mistyped at ${index}`);
    if (!isRefused(line.slice(0, index))) t.fail(`cut at ${index}`);
  }
  t.ok(isRefused(`${line}A`));
  t.ok(isRefused(line.toLowerCase()));
  t.ok(isRefused('x'.repeat(100_000)));
});

test('old tokens are forgotten a week after their end', async (t) => {
  const store = await openLocal(join(await temporaryDirectory(t), 'store'));
  t.teardown(() => store.close());
  let nowMs = Date.UTC(2030, 0, 1);
  const make = (ttlMs?: number) =>
    createToken(store, { secret: randomBytes(32), bootstrap: BOOTSTRAP, ttlMs, now: () => nowMs });
  const day = 1000 * 60 * 60 * 24;
  const first = parseToken(await make());
  await make(30 * day);
  nowMs += 8 * day - 1;
  await make();
  t.is((await store.range('/tokens/')).length, 3);
  nowMs += 2;
  await make();
  t.is((await store.range('/tokens/')).length, 3);
  t.is(await store.get(`/tokens/${first.id}`), null);
});

test('a token of no time, or of no use, is not made', async (t) => {
  const store = await openLocal(join(await temporaryDirectory(t), 'store'));
  t.teardown(() => store.close());
  const secret = randomBytes(32);
  for (const wrong of [
    { ttlMs: 0 },
    { ttlMs: Number.NaN },
    { ttlMs: 1e15 },
    { uses: 0 },
    { uses: 1.5 },
    { uses: 1e6 },
  ]) {
    await t.exception(createToken(store, { secret, bootstrap: BOOTSTRAP, ...wrong }), JSON.stringify(wrong));
  }
  await t.exception(createToken(store, { secret, bootstrap: [] }));
  await t.exception(createToken(store, { secret, bootstrap: ['nowhere'] }));
  t.is((await store.range('/')).length, 0);
});

test('attempts are counted by address, for a while', (t) => {
  let nowMs = 0;
  const limit = new AttemptLimit(2, 1000, () => nowMs);
  limit.count('a');
  t.absent(limit.isExceeded('a'));
  nowMs = 500;
  limit.count('a');
  t.ok(limit.isExceeded('a'));
  t.absent(limit.isExceeded('b'));
  nowMs = 999;
  t.ok(limit.isExceeded('a'));
  nowMs = 1000;
  t.absent(limit.isExceeded('a'));
  limit.count('a');
  t.absent(limit.isExceeded('a'));
  limit.count('a');
  for (let index = 0; index < 1024; index++) limit.count(`c${index}`);
  t.absent(limit.isExceeded('a'), 'the oldest is forgotten');
});

function isRefused(line: string): boolean {
  try {
    parseToken(line);
    return false;
  } catch (error) {
    return (error as { code?: string }).code === 'BAD_TOKEN';
  }
}

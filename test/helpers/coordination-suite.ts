import { type Assertions, test } from 'brittle';
import {
  type Coordination,
  type Operation,
  TRANSACTION_BYTES_MAX,
  TRANSACTION_OPERATIONS_MAX,
  VALUE_BYTES_MAX,
  type WatchEvent,
} from '../../lib/coordination/coordination.js';
import { until } from './until.js';

/** Opens an empty store, and closes and removes it when the test ends. */
export type OpenStore = (t: Assertions) => Promise<Coordination>;

export const bytes = (text: string): Uint8Array => Buffer.from(text);
export const text = (value: Uint8Array | undefined): string | undefined => value && Buffer.from(value).toString();
const put = (key: string, value = ''): Operation => ({ put: key, value: bytes(value) });

/** What every engine of the coordination store must do, in etcd's own terms. */
export function coordinationSuite(name: string, open: OpenStore): void {
  basics(name, open);
  transactions(name, open);
  limits(name, open);
  watches(name, open);
}

function basics(name: string, open: OpenStore): void {
  test(`${name}: revisions and versions count as in etcd`, async (t) => {
    const store = await open(t);
    const start = await store.revision();
    t.is(await store.get('/a'), null);
    const first = await store.transaction({ success: [put('/a', 'one')] });
    t.is(first.revision, start + 1);
    t.is(first.succeeded, true);
    await store.transaction({ success: [put('/b', 'x')] });
    await store.transaction({ success: [put('/a', 'two')] });
    const a = await store.get('/a');
    t.is(text(a?.value), 'two');
    t.is(a?.createRevision, start + 1);
    t.is(a?.modRevision, start + 3);
    t.is(a?.version, 2);
    const gone = await store.transaction({ success: [{ delete: '/a' }] });
    t.is(gone.revision, start + 4);
    t.is(await store.get('/a'), null);
    await store.transaction({ success: [put('/a', 'three')] });
    const again = await store.get('/a');
    t.is(again?.createRevision, start + 5, 'a key that was deleted starts anew');
    t.is(again?.version, 1);
    t.is(await store.revision(), start + 5);
  });

  test(`${name}: what changes nothing leaves the revision`, async (t) => {
    const store = await open(t);
    const { revision } = await store.transaction({ success: [put('/a')] });
    t.is((await store.transaction({ success: [{ delete: '/none' }, { deletePrefix: '/no' }] })).revision, revision);
    t.is((await store.transaction({ success: [{ get: '/a' }] })).revision, revision);
    t.is((await store.transaction({})).revision, revision);
    t.is(await store.revision(), revision);
    const all = await store.transaction({ success: [put('/b'), put('/c'), { delete: '/a' }] });
    t.is(all.revision, revision + 1, 'one transaction, one revision');
    t.alike(
      (await store.range('/')).map((found) => [found.key, found.modRevision]),
      [
        ['/b', revision + 1],
        ['/c', revision + 1],
      ],
    );
  });

  test(`${name}: a range has every key of a prefix, and no other, in byte order`, async (t) => {
    const store = await open(t);
    const keys = ['/vdi/2', '/vdi/10', '/vdi', '/vdj', '/vdi/é', '/vdi/\u{1f411}', '/vdi/\uffff', '/vdi0', '/vdi/'];
    for (const key of keys) await store.transaction({ success: [put(key, key)] });
    const byteOrder = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
    for (const prefix of ['/vdi/', '/vdi', '/', '', '/vdi/1', '/vdi/é', '/x']) {
      const wanted = keys.filter((key) => key.startsWith(prefix)).sort(byteOrder);
      const found = await store.range(prefix);
      t.alike(
        found.map((one) => one.key),
        wanted,
        `prefix ${prefix}`,
      );
      t.alike(
        found.map((one) => text(one.value)),
        wanted,
      );
    }
  });

  test(`${name}: values are kept to the byte`, async (t) => {
    const store = await open(t);
    const values = [new Uint8Array(0), Uint8Array.of(0, 255, 0), Uint8Array.from({ length: 5000 }, (_, i) => i * 7)];
    for (const value of values) {
      const given = Uint8Array.from(value);
      await store.transaction({ success: [{ put: '/v', value: given }] });
      given.fill(1);
      const found = await store.get('/v');
      t.alike(Buffer.from(found!.value), Buffer.from(value), `${value.length} bytes`);
    }
  });
}

function transactions(name: string, open: OpenStore): void {
  test(`${name}: comparisons choose the branch`, async (t) => {
    const store = await open(t);
    await store.transaction({ success: [put('/a', 'one')] });
    await store.transaction({ success: [put('/a', 'two')] });
    const a = (await store.get('/a'))!;
    const chooses = async (compare: Parameters<Coordination['transaction']>[0]['compare'], succeeded: boolean) => {
      const result = await store.transaction({ compare, success: [{ get: '/a' }], failure: [{ get: '/b' }] });
      t.is(result.succeeded, succeeded, JSON.stringify(compare));
      t.is(result.responses[0]!.length, succeeded ? 1 : 0, 'the other branch did not run');
    };
    await chooses([{ key: '/a', modRevision: a.modRevision }], true);
    await chooses([{ key: '/a', modRevision: a.modRevision - 1 }], false);
    await chooses([{ key: '/a', modRevision: 0 }], false);
    await chooses([{ key: '/none', modRevision: 0 }], true);
    await chooses([{ key: '/a', createRevision: a.createRevision }], true);
    await chooses([{ key: '/a', createRevision: 0 }], false);
    await chooses([{ key: '/a', version: 2 }], true);
    await chooses([{ key: '/a', version: 1 }], false);
    await chooses([{ key: '/none', version: 0 }], true);
    await chooses([{ key: '/a', value: bytes('two') }], true);
    await chooses([{ key: '/a', value: bytes('tw') }], false);
    await chooses([{ key: '/none', value: bytes('') }], false);
    await chooses(
      [
        { key: '/a', version: 2 },
        { key: '/none', version: 1 },
      ],
      false,
    );
    await chooses([], true);
  });

  test(`${name}: operations run in order and see those before them`, async (t) => {
    const store = await open(t);
    await store.transaction({ success: [put('/p/1'), put('/p/2')] });
    const result = await store.transaction({
      success: [{ get: '/a' }, put('/a', 'new'), { get: '/a' }, { deletePrefix: '/p/' }, { range: '/' }],
    });
    t.alike(
      result.responses.map((response) => response.map((found) => found.key)),
      [[], [], ['/a'], [], ['/a']],
    );
    t.is(result.responses[2]![0]!.modRevision, result.revision);
  });

  test(`${name}: deleting a prefix leaves its neighbours`, async (t) => {
    const store = await open(t);
    for (const key of ['/p', '/p/', '/p/1', '/p/1/2', '/p0', '/o']) await store.transaction({ success: [put(key)] });
    await store.transaction({ success: [{ deletePrefix: '/p/' }] });
    t.alike(
      (await store.range('')).map((found) => found.key),
      ['/o', '/p', '/p0'],
    );
  });

  test(`${name}: counters by compare-and-put lose nothing`, async (t) => {
    const store = await open(t);
    const start = await store.revision();
    const workers = 8;
    const rounds = 25;
    let conflicts = 0;
    const count = async () => {
      for (let done = 0; done < rounds; ) {
        const now = await store.get('/count');
        const next = String(Number(text(now?.value) ?? 0) + 1);
        const result = await store.transaction({
          compare: [{ key: '/count', modRevision: now?.modRevision ?? 0 }],
          success: [put('/count', next)],
        });
        if (result.succeeded) done++;
        else conflicts++;
      }
    };
    await Promise.all(Array.from({ length: workers }, count));
    const end = await store.get('/count');
    t.is(text(end?.value), String(workers * rounds));
    t.is(end?.version, workers * rounds);
    t.is(await store.revision(), start + workers * rounds);
    t.ok(conflicts > 0, `they did compete: ${conflicts} conflicts`);
  });
}

function limits(name: string, open: OpenStore): void {
  test(`${name}: refuses what is beyond its limits, and changes nothing`, async (t) => {
    const store = await open(t);
    const start = await store.revision();
    const refuses = async (code: string, work: () => Promise<unknown>, what: string) => {
      try {
        await work();
        t.fail(`${what} was accepted`);
      } catch (error) {
        t.is((error as { code?: string }).code, code, what);
      }
    };
    const full = (count: number): Operation[] => Array.from({ length: count }, (_, i) => put(`/k/${i}`));
    const over = full(TRANSACTION_OPERATIONS_MAX + 1);
    const large = new Uint8Array(VALUE_BYTES_MAX + 1);
    await refuses('TOO_MANY_OPERATIONS', () => store.transaction({ success: over }), 'too many operations');
    await refuses('TOO_MANY_OPERATIONS', () => store.transaction({ failure: over }), 'in the branch that does not run');
    await refuses(
      'VALUE_TOO_LARGE',
      () => store.transaction({ success: [put('/a'), { put: '/b', value: large }] }),
      'large value',
    );
    const million = new Uint8Array(VALUE_BYTES_MAX);
    const nine = Array.from({ length: 9 }, (_, i): Operation => ({ put: `/m/${i}`, value: million }));
    const halves = { success: nine.slice(0, 5), failure: nine.slice(5) };
    await refuses('VALUE_TOO_LARGE', () => store.transaction(halves), 'too many bytes in both branches');
    await refuses('BAD_KEY', () => store.transaction({ success: [put('/a'), put('/a')] }), 'two puts of a key');
    await refuses('BAD_KEY', () => store.transaction({ success: [put('/a'), { delete: '/a' }] }), 'put and delete');
    await refuses('BAD_KEY', () => store.transaction({ success: [{ deletePrefix: '/' }, put('/a')] }), 'put in prefix');
    await refuses('BAD_KEY', () => store.get(''), 'empty key');
    await refuses('BAD_KEY', () => store.get('a'), 'no slash');
    await refuses('BAD_KEY', () => store.get(`/${'x'.repeat(2000)}`), 'long key');
    await refuses('BAD_KEY', () => store.get('/\ud800'), 'half a surrogate pair');
    await refuses('BAD_KEY', () => store.transaction({ compare: [{ key: '', version: 0 }] }), 'compared key');
    t.is(await store.revision(), start);
    t.is((await store.range('')).length, 0);
    await store.transaction({ success: full(TRANSACTION_OPERATIONS_MAX) });
    t.is((await store.range('/k/')).length, TRANSACTION_OPERATIONS_MAX, 'the limit itself is allowed');
    await store.transaction({ success: [{ put: '/b', value: new Uint8Array(VALUE_BYTES_MAX).fill(7) }] });
    t.is((await store.get('/b'))?.value.byteLength, VALUE_BYTES_MAX);
    await store.transaction({ success: nine.slice(0, TRANSACTION_BYTES_MAX / VALUE_BYTES_MAX) });
    t.is((await store.range('/m/')).length, TRANSACTION_BYTES_MAX / VALUE_BYTES_MAX, 'so is that of bytes');
  });

  test(`${name}: is closed once and then refuses`, async (t) => {
    const store = await open(t);
    await Promise.all([store.close(), store.close()]);
    for (const call of [
      () => store.get('/a'),
      () => store.range('/'),
      () => store.revision(),
      () => store.transaction({ success: [put('/a')] }),
      async () => store.watch('/', () => {}),
    ]) {
      try {
        await call();
        t.fail('a closed store answered');
      } catch (error) {
        t.is((error as { code?: string }).code, 'CLOSED');
      }
    }
  });
}

function watches(name: string, open: OpenStore): void {
  test(`${name}: a watch sees each revision whole, in order, once`, async (t) => {
    const store = await open(t);
    await store.transaction({ success: [put('/w/before')] });
    const seen: { revision: number; events: WatchEvent[] }[] = [];
    const watch = store.watch('/w/', (events, revision) => seen.push({ revision, events }));
    const two = await store.transaction({ success: [put('/w/b', '1'), put('/other'), put('/w/a', '2')] });
    await store.transaction({ success: [put('/other', 'no event')] });
    await store.transaction({ success: [{ delete: '/w/none' }] });
    const gone = await store.transaction({ success: [{ deletePrefix: '/w/' }, put('/other', 'more')] });
    await until('both events', () => seen.length >= 2);
    t.alike(
      seen.map((one) => one.revision),
      [two.revision, gone.revision],
    );
    t.alike(
      seen[0]!.events.map(({ type, keyValue }) => [type, keyValue.key, text(keyValue.value), keyValue.modRevision]),
      [
        ['put', '/w/b', '1', two.revision],
        ['put', '/w/a', '2', two.revision],
      ],
    );
    t.alike(
      seen[1]!.events.map(({ type, keyValue }) => [type, keyValue.key, text(keyValue.value), keyValue.modRevision]),
      ['/w/a', '/w/b', '/w/before'].map((key) => ['delete', key, '', gone.revision]),
    );
    watch.close();
    watch.close();
    const other: number[] = [];
    store.watch('/w/', (_, revision) => other.push(revision));
    const last = await store.transaction({ success: [put('/w/c')] });
    await until('an event', () => other.length > 0);
    t.alike(other, [last.revision]);
    t.is(seen.length, 2, 'a closed watch hears nothing');
  });

  test(`${name}: watches of concurrent transactions hear the same history`, async (t) => {
    const store = await open(t);
    const start = await store.revision();
    const one: string[] = [];
    const two: string[] = [];
    const record = (into: string[]) => (events: WatchEvent[], revision: number) => {
      for (const { keyValue } of events) into.push(`${revision} ${keyValue.key}=${text(keyValue.value)}`);
    };
    store.watch('/h/', record(one));
    store.watch('', record(two));
    const results = await Promise.all(
      Array.from({ length: 100 }, (_, i) => store.transaction({ success: [put(`/h/${i % 7}`, String(i))] })),
    );
    await until('all events', () => one.length >= 100 && two.length >= 100);
    t.alike(one, two);
    const expected = results.map((result, i) => `${result.revision} /h/${i % 7}=${i}`);
    t.alike(
      one,
      expected.sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10)),
    );
    t.is(results.length, (await store.revision()) - start);
  });
}

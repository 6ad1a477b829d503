import { once } from 'node:events';
import { lstat, mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type Assertions, test } from 'brittle';
import { AdministrationError, type Extent, type WorkStatus } from '../lib/control/administration.js';
import { ControlClient } from '../lib/control/client.js';
import { decodeFrames, encodeDataHeader, encodeEnd } from '../lib/control/frames.js';
import { Metrics } from '../lib/control/metrics.js';
import { ControlServer } from '../lib/control/server.js';
import { Works } from '../lib/control/works.js';
import { temporaryDirectory } from './helpers/cleanup.js';
import { openControl, spawnControl } from './helpers/control.js';
import { host, MemoryAdministration } from './helpers/memory-administration.js';
import { until } from './helpers/until.js';

const never = new AbortController().signal;

interface Answer {
  status: number;
  text: string;
  type: string;
}

/** One plain HTTP request, as any other program would send it. */
async function ask(path: string, method: string, target: string, body?: string | Buffer): Promise<Answer> {
  const asking = request({ socketPath: path, method, path: target, agent: false });
  const answered = once(asking, 'response') as Promise<[IncomingMessage]>;
  // Once it is answered, it does not matter that the rest of the body is not wanted.
  asking.on('error', () => {});
  asking.end(body);
  const [response] = await answered;
  let text = '';
  for await (const chunk of response) text += chunk;
  return { status: response.statusCode ?? 0, text, type: response.headers['content-type'] ?? '' };
}

function open(path: string): Promise<ControlServer> {
  const onDefect = () => {};
  return ControlServer.open({
    path,
    administration: new MemoryAdministration(onDefect),
    metrics: new Metrics(),
    onDefect,
  });
}

test("the socket is its owner's alone, and its directory is made", async (t) => {
  const path = join(await temporaryDirectory(t), 'a', 'b', 'sheep.sock');
  const umask = process.umask(0);
  t.teardown(() => process.umask(umask));
  const server = await open(path);
  t.teardown(() => server.close());
  const { mode } = await lstat(path);
  t.is(mode & 0o777, 0o600);
  t.is(process.umask(), 0, 'the umask is as it was');
});

test('the socket of a dead daemon is replaced, that of a live one is not', async (t) => {
  const { path, kill } = await spawnControl(t);
  await t.exception(open(path), /listens on .* already/);
  t.is((await ask(path, 'GET', '/v1/vdis')).status, 200, 'the live one goes on');
  kill();
  const server = await until('the place of the dead one', () => open(path).catch(() => null));
  t.teardown(() => server.close());
  t.is((await ask(path, 'GET', '/v1/vdis')).status, 200);
});

test('what is no socket is left alone', async (t) => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'file');
  await writeFile(path, 'precious');
  await t.exception(open(path), /is no socket/);
  t.is((await stat(path)).size, 8);
  const link = join(directory, 'link');
  await symlink(path, link);
  await t.exception(open(link), /is no socket/);
  await mkdir(join(directory, 'directory'));
  await t.exception(open(join(directory, 'directory')), /is no socket/);
  await t.exception(open(join(directory, 'x'.repeat(120))), /longer than/);
});

test('close is idempotent, removes the socket and ends what is watched', async (t) => {
  const { path, administration, server } = await openControl(t);
  administration.pace = () => new Promise(() => {});
  const client = new ControlClient(path);
  const { id } = await client.diskAdd('/srv/c');
  const states = client.followWork(id, never);
  t.is((await states.next()).value?.state, 'running');
  const closing = server.close();
  t.is(server.close(), closing);
  await t.exception(states.next(), /went away/);
  await closing;
  await t.exception(lstat(path), /ENOENT/);
});

test('requests that make no sense are refused with a code and a message', async (t) => {
  const { path, administration, defects } = await openControl(t);
  const cases: [string, string, string | undefined, number, string][] = [
    ['GET', '/', undefined, 404, 'NOT_FOUND'],
    ['GET', '/v2/status', undefined, 404, 'NOT_FOUND'],
    ['GET', '/v1', undefined, 404, 'NOT_FOUND'],
    ['PATCH', '/v1/status', undefined, 404, 'NOT_FOUND'],
    ['GET', '/v1/status?x=1', undefined, 400, 'INVALID'],
    ['GET', '/v1/vdis/%ff', undefined, 400, 'INVALID'],
    ['GET', '/v1/vdis/none', undefined, 404, 'NOT_FOUND'],
    ['GET', '/v1/vdis/..%2f..', undefined, 404, 'NOT_FOUND'],
    ['POST', '/v1/vdis', 'no json', 400, 'INVALID'],
    ['POST', '/v1/vdis', '', 400, 'INVALID'],
    ['POST', '/v1/vdis', '[]', 400, 'INVALID'],
    ['POST', '/v1/vdis', '{"name":"a"}', 400, 'INVALID'],
    ['POST', '/v1/vdis', '{"name":"a","size":-1}', 400, 'INVALID'],
    ['POST', '/v1/vdis', '{"name":"a","size":1.5}', 400, 'INVALID'],
    ['POST', '/v1/vdis', '{"name":"a","size":1e300}', 400, 'INVALID'],
    ['POST', '/v1/vdis', '{"name":"a","size":"1"}', 400, 'INVALID'],
    ['POST', '/v1/vdis', '{"name":"","size":1}', 400, 'INVALID'],
    ['POST', '/v1/vdis', '{"name":"a","size":1,"copies":6}', 400, 'INVALID'],
    ['POST', '/v1/vdis', '{"name":"a","size":1,"more":1}', 400, 'INVALID'],
    ['DELETE', '/v1/vdis/a?force=1', undefined, 400, 'INVALID'],
    ['POST', '/v1/disks/remove', '{"disk":-1}', 400, 'INVALID'],
    ['POST', '/v1/cluster/token', '{"ttlSeconds":0}', 400, 'INVALID'],
    ['POST', '/v1/cluster/token', '{"ttlSeconds":1e9}', 400, 'INVALID'],
    ['POST', '/v1/cluster/token', '{"uses":1.5}', 400, 'INVALID'],
    ['GET', '/v1/cluster/token', undefined, 404, 'NOT_FOUND'],
    ['POST', '/v1/nodes/alpha/remove', '{"force":true}', 400, 'INVALID'],
    ['POST', '/v1/nodes/alpha/explode', '{}', 404, 'NOT_FOUND'],
    ['POST', '/v1/nodes/none/undrain', '{}', 404, 'NOT_FOUND'],
    ['PUT', '/v1/vdis/a/content?size=x', undefined, 400, 'INVALID'],
    ['GET', '/v1/works/77', undefined, 404, 'NOT_FOUND'],
  ];
  for (const [method, target, body, status, code] of cases) {
    const answer = await ask(path, method, target, body);
    const error = JSON.parse(answer.text);
    t.alike([answer.status, error.code], [status, code], `${method} ${target} ${body ?? ''}: ${error.message}`);
  }
  t.is(administration.vdis.size, 0);
  t.alike(defects, []);
});

test('a body that is too large is refused, announced or not, and the server goes on', async (t) => {
  const { path } = await openControl(t);
  const large = Buffer.alloc(8 * 1024 * 1024, 'x');
  t.is((await ask(path, 'POST', '/v1/vdis', large)).status, 413);
  const asking = request({ socketPath: path, method: 'POST', path: '/v1/vdis', agent: false });
  asking.on('error', () => {});
  asking.flushHeaders();
  const answered = once(asking, 'response') as Promise<[IncomingMessage]>;
  // Without an announced length, in pieces.
  for (let piece = 0; piece < 4; piece++) asking.write(large);
  asking.end();
  const [response] = await answered;
  t.is(response.statusCode, 413);
  response.resume();
  t.is((await ask(path, 'GET', '/v1/vdis')).status, 200);
});

test('bytes that are no HTTP end their own connection only', async (t) => {
  const { path } = await openControl(t);
  const socket = connect(path);
  socket.on('error', () => {});
  socket.write('\x16\x03\x01 what?\r\n\r\n');
  socket.resume();
  await once(socket, 'close');
  t.is((await ask(path, 'GET', '/v1/vdis')).status, 200);
});

test('a defect is told to the log, not to the asker', async (t) => {
  const { path, administration, defects } = await openControl(t);
  administration.vdiList = async () => {
    throw new TypeError('secret of the inside');
  };
  const { status, text } = await ask(path, 'GET', '/v1/vdis');
  t.is(status, 500);
  t.alike(JSON.parse(text).code, 'INTERNAL');
  t.absent(text.includes('secret'));
  t.is((defects[0] as Error).message, 'secret of the inside');
});

test('names of every kind come through', async (t) => {
  const { path } = await openControl(t);
  const client = new ControlClient(path);
  for (const name of ['vm1.img', '..', '.', 'a b', 'ä€😀', 'q?x=1', 'h#x', '100%', 'new\nline', 'x'.repeat(255)]) {
    await client.vdiCreate(name, 1, {});
    t.is((await client.vdiInfo(name)).name, name);
    await client.vdiDelete(name, { force: false });
  }
  t.alike(await client.vdiList(), []);
});

test('what the daemon refuses arrives as its own error, with the hint', async (t) => {
  const { path } = await openControl(t);
  const client = new ControlClient(path);
  await client.vdiCreate('a', 10, {});
  const error = await client.vdiResize('a', 5, { shrink: false }).catch((error) => error);
  t.ok(error instanceof AdministrationError);
  t.alike([error.code, error.hint], ['WOULD_LOSE_DATA', 'give --shrink to do so']);
});

test('an import whose stream is broken, malformed or cut leaves nothing', async (t) => {
  const { path, administration } = await openControl(t);
  const data = Buffer.concat([encodeDataHeader(4096, 3), Buffer.from('abc')]);
  const flawed = Buffer.from(data);
  flawed[1] = 1;
  const cases: [string, Buffer][] = [
    ['no end', data],
    ['cut in a header', data.subarray(0, 7)],
    ['cut in its data', data.subarray(0, 17)],
    ['nothing', Buffer.alloc(0)],
    ['no frame', Buffer.from('this is a raw image, is it not?')],
    ['bits that must be zero', Buffer.concat([flawed, encodeEnd(8192)])],
    ['backwards', Buffer.concat([data, encodeDataHeader(0, 1), Buffer.from('x'), encodeEnd(8192)])],
    ['overlapping', Buffer.concat([data, encodeDataHeader(4098, 1), Buffer.from('x'), encodeEnd(8192)])],
    ['an end before the data', Buffer.concat([data, encodeEnd(100)])],
    ['more after the end', Buffer.concat([data, encodeEnd(8192), data])],
    ['a piece too long', encodeDataHeader(0, 5 * 1024 * 1024)],
    ['an empty piece', Buffer.concat([encodeDataHeader(0, 0), encodeEnd(10)])],
    ['an offset too large', Buffer.concat([encodeDataHeader(2 ** 60, 1), Buffer.from('x')])],
  ];
  for (const [what, body] of cases) {
    const { status, text } = await ask(path, 'PUT', '/v1/vdis/a/content', body);
    t.alike([status, JSON.parse(text).code], [400, 'BROKEN_STREAM'], `${what}: ${text.trim()}`);
  }
  t.is(administration.aborted, cases.length);
  t.is(administration.vdis.size, 0);
  const { status } = await ask(path, 'PUT', '/v1/vdis/a/content', Buffer.concat([data, encodeEnd(8192)]));
  t.is(status, 200, 'the name is free again');
});

test('a sender that dies in the middle of an import leaves nothing', async (t) => {
  const { path, administration, defects } = await openControl(t);
  const asking = request({ socketPath: path, method: 'PUT', path: '/v1/vdis/a/content', agent: false });
  asking.on('error', () => {});
  asking.write(encodeDataHeader(0, 1000));
  asking.write(Buffer.alloc(1000, 1));
  await t.exception(
    until('the import to begin', () =>
      new ControlClient(path).vdiCreate('a', 1, {}).then(() => administration.vdis.delete('a') && false),
    ),
    /already/,
  );
  asking.destroy();
  await until('its end', () => administration.aborted === 1);
  t.is(administration.vdis.size, 0);
  t.alike(defects, []);
});

test('an import that is refused is told so while the sender still sends', async (t) => {
  const { path, administration } = await openControl(t);
  const client = new ControlClient(path);
  await client.vdiCreate('a', 1, {});
  let closed = false;
  async function* endless(): AsyncGenerator<Extent, number> {
    try {
      for (let offset = 0; ; offset += 65536) yield { offset, data: Buffer.alloc(65536, 7) };
    } finally {
      closed = true;
    }
  }
  await t.exception(client.vdiImport('a', endless(), null, never), /already/);
  await until('the source to be closed', () => closed);
  t.is(administration.vdis.get('a')?.used, 0);
});

test('an export that fails on the way is no shorter image but an error', async (t) => {
  const { path, administration, defects } = await openControl(t);
  const client = new ControlClient(path);
  for (const error of [new AdministrationError('INTERNAL', 'disk 1 cannot be read'), new TypeError('oops')]) {
    administration.vdiExport = async () => ({
      size: 10,
      used: null,
      extents: (async function* () {
        yield { offset: 0, data: Buffer.from('abc') };
        throw error;
      })(),
    });
    const received: string[] = [];
    const reading = (async () => {
      for await (const { data } of (await client.vdiExport('a', never)).extents) received.push(data.toString());
    })();
    await t.exception(reading, error instanceof TypeError ? /failed at it/ : /disk 1 cannot be read/);
    t.alike(received, ['abc']);
  }
  t.is(defects.length, 1);
});

test('a receiver that goes away ends the export', async (t) => {
  const { path, administration } = await openControl(t);
  let closed = false;
  administration.vdiExport = async () => ({
    size: Number.MAX_SAFE_INTEGER,
    used: null,
    extents: (async function* () {
      try {
        for (let offset = 0; ; offset += 1048576) yield { offset, data: Buffer.alloc(1048576) };
      } finally {
        closed = true;
      }
    })(),
  });
  const { extents } = await new ControlClient(path).vdiExport('a', never);
  for await (const { offset } of extents) if (offset > 10_000_000) break;
  await until('the source to be closed', () => closed);
  t.pass();
});

test('frames come through in chunks of any size', async (t) => {
  const pieces: Extent[] = [
    { offset: 0, data: Buffer.from('first') },
    { offset: 5, data: Buffer.alloc(100_000, 3) },
    { offset: 2 ** 50, data: Buffer.from('far') },
  ];
  const stream = Buffer.concat([
    ...pieces.flatMap(({ offset, data }) => [encodeDataHeader(offset, data.length), data]),
    encodeEnd(2 ** 51),
  ]);
  for (const size of [1, 15, 16, 17, 4096, stream.length]) {
    const chunks = (async function* () {
      for (let at = 0; at < stream.length; at += size) yield stream.subarray(at, at + size);
    })();
    const read: unknown[] = [];
    for await (const frame of decodeFrames(chunks)) read.push(frame);
    t.alike(
      read,
      [...pieces.map((piece) => ({ type: 'data', ...piece })), { type: 'end', size: 2 ** 51 }],
      `${size} bytes`,
    );
  }
});

async function collect(states: AsyncIterable<WorkStatus>): Promise<WorkStatus[]> {
  const all: WorkStatus[] = [];
  for await (const state of states) all.push(state);
  return all;
}

test('work goes on unwatched, and any number may watch it at any time', async (t) => {
  const { path, administration } = await openControl(t);
  let go: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  administration.pace = () => gate;
  const client = new ControlClient(path);
  const { id, state } = await client.diskAdd('/srv/c');
  t.is(state, 'running');
  t.is((await client.diskAdd('/srv/c')).id, id, 'asking again answers the same work');
  const stop = new AbortController();
  const first = client.followWork(id, stop.signal);
  t.is((await first.next()).value?.total, 1024);
  const second = collect(client.followWork(id, never));
  stop.abort(new Error('enough'));
  await t.exception(first.next());
  go();
  const seen = await second;
  t.is(seen.at(-1)?.state, 'done');
  t.is(seen.at(-1)?.done, 1024);
  t.is((await collect(client.followWork(id, never))).at(-1)?.state, 'done', 'also after its end');
});

test('work that fails says why; a defect only that it failed', async (t) => {
  const defects: unknown[] = [];
  const works = new Works((error) => void defects.push(error));
  const refused = works.start('a', 'a', 'bytes', async () => {
    throw new AdministrationError('NO_SPACE', 'full', 'add a disk');
  });
  const broken = works.start('b', 'b', 'bytes', async () => {
    throw new Error('inside');
  });
  const end = (await collect(works.follow(refused.id, never))).at(-1);
  t.alike([end?.state, end?.error], ['failed', { code: 'NO_SPACE', message: 'full', hint: 'add a disk' }]);
  t.is((await collect(works.follow(broken.id, never))).at(-1)?.error?.code, 'INTERNAL');
  t.is(defects.length, 1);
  await works.close();
  t.exception(() => works.start('c', 'c', 'bytes', async () => {}), /ending/);
});

test('works that ended are forgotten, the oldest first, those that run are not', async (t) => {
  const works = new Works(() => {});
  const long = works.start(
    'long',
    'long',
    'bytes',
    (_, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())),
  );
  const ids: string[] = [];
  for (let number = 0; number < 30; number++) {
    const { id } = works.start(`${number}`, 'short', 'bytes', async () => {});
    await collect(works.follow(id, never));
    ids.push(id);
  }
  t.is(works.find('long')?.id, long.id);
  await t.exception(collect(works.follow(ids[0]!, never)), /no work/);
  t.is((await collect(works.follow(ids.at(-1)!, never))).length, 1);
  await works.close();
  t.is(works.find('long'), null);
});

test('metrics are what was counted', async (t) => {
  const { path, metrics, administration, defects } = await openControl(t);
  const read = metrics.operation('read');
  t.is(metrics.operation('read'), read);
  read.succeeded(0.05, 4096);
  read.succeeded(0.1, 4096);
  read.succeeded(3, 100);
  read.failed(60_000);
  metrics.operation('write').succeeded(1, 10);
  metrics.workerRestarts = 2;
  administration.others.push({ ...host('h2', 'beta', []), zone: 'rack 2', state: 'down' });
  administration.recovering.push({
    ...{ host: 'alpha', disk: 1, groups: 12, objectsLeft: 345 },
    ...{ objectsDone: 7, bytesDone: 8_388_608, bytesPerSecond: 1e6, secondsLeft: null },
  });
  administration.disks[1]!.state = 'failed';
  administration.disks[1]!.directory = '/srv/"b"';
  // Twice: asking changes nothing.
  for (const _ of [1, 2]) {
    const { text, type, status } = await ask(path, 'GET', '/metrics');
    t.alike(defects, []);
    t.is(status, 200);
    t.ok(type.startsWith('text/plain'));
    const lines = text.split('\n');
    for (const line of [
      'sheepdog_requests_total{operation="read"} 4',
      'sheepdog_requests_total{operation="write"} 1',
      'sheepdog_request_errors_total{operation="read"} 1',
      'sheepdog_request_bytes_total{operation="read"} 8292',
      'sheepdog_request_seconds_bucket{operation="read",le="0.0001"} 2',
      'sheepdog_request_seconds_bucket{operation="read",le="0.005"} 3',
      'sheepdog_request_seconds_bucket{operation="read",le="10"} 3',
      'sheepdog_request_seconds_bucket{operation="read",le="+Inf"} 4',
      'sheepdog_request_seconds_count{operation="read"} 4',
      'sheepdog_worker_restarts_total 2',
      'sheepdog_healthy 0',
      'sheepdog_groups 1024',
      'sheepdog_groups_healthy 612',
      'sheepdog_groups_degraded 409',
      'sheepdog_groups_single 12',
      'sheepdog_groups_stopped 3',
      'sheepdog_host_up{host="alpha",zone="alpha"} 1',
      'sheepdog_host_up{host="beta",zone="rack 2"} 0',
      'sheepdog_recovery_active 1',
      'sheepdog_recovery_groups_left{host="alpha",disk="1"} 12',
      'sheepdog_recovery_objects_left{host="alpha",disk="1"} 345',
      'sheepdog_recovery_bytes_total{host="alpha",disk="1"} 8388608',
      'sheepdog_disk_failed{host="alpha",disk="1",directory="/srv/a"} 0',
      'sheepdog_disk_failed{host="alpha",disk="2",directory="/srv/\\"b\\""} 1',
      'sheepdog_info{version="0.1.0"} 1',
    ]) {
      t.ok(lines.includes(line), line);
    }
    t.ok(lines.some((line) => /^process_resident_memory_bytes [1-9]\d{6,}$/.test(line)));
    t.is(
      new Set(lines.filter((line) => line.startsWith('# TYPE'))).size,
      lines.filter((line) => line.startsWith('# TYPE')).length,
    );
  }
});

test('counters are told even when the status cannot be', async (t) => {
  const { path, metrics, administration } = await openControl(t);
  metrics.operation('read').succeeded(1, 5);
  administration.status = async () => {
    throw new Error('no');
  };
  administration.recovery = administration.status as never;
  const { text } = await ask(path, 'GET', '/metrics');
  t.ok(text.includes('sheepdog_requests_total{operation="read"} 1'));
  t.absent(/^sheepdog_(healthy|groups|host|recovery|info)/m.test(text));
});

test('the metrics are in the form that Prometheus reads', async (t: Assertions) => {
  const { path, metrics } = await openControl(t);
  metrics.operation('read').succeeded(1, 5);
  const { text } = await ask(path, 'GET', '/metrics');
  const number = '[-+]?(\\d+(\\.\\d+)?(e[-+]?\\d+)?|Inf|NaN)';
  const line = new RegExp(
    `^([a-z_]+)(\\{[a-z]+="([^"\\\\\\n]|\\\\.)*"(,[a-z]+="([^"\\\\\\n]|\\\\.)*")*\\})? ${number}$`,
    'i',
  );
  const bad = text.split('\n').filter((entry) => entry !== '' && !entry.startsWith('# ') && !line.test(entry));
  t.alike(bad, []);
});

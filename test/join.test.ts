import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'brittle';
import HyperDHT from 'hyperdht';
import { JoinChannel } from '../lib/net/join-channel.js';
import { type JoinOptions, joinCluster } from '../lib/net/join-client.js';
import { JoinError } from '../lib/net/join-error.js';
import { Answer, proofOf, type Welcome } from '../lib/net/join-messages.js';
import { formatToken, joinKeyPair, parseToken, proofKey } from '../lib/net/token.js';
import { freePort, JoinCluster, newcomer, welcomeOf } from './helpers/join-cluster.js';
import { run } from './helpers/run.js';
import { until } from './helpers/until.js';

const PROCESS = fileURLToPath(new URL('./helpers/join-process.js', import.meta.url));
const TEST_TIMEOUT = { timeout: 60_000 };

test('hosts join a cluster of one host, and of two, by a token', TEST_TIMEOUT, async (t) => {
  const cluster = await JoinCluster.make(t);
  const ports = [await freePort(), await freePort()];
  await cluster.host(ports[0]!);
  const token = await cluster.token(ports);
  const { status, stdout } = await run(process.execPath, [PROCESS, token]);
  t.is(status, 0);
  const [request] = cluster.requests;
  t.alike(JSON.parse(stdout), welcomeOf(request!, cluster.secret), 'it gets what the cluster gives');
  t.is(request!.name, 'newcomer');
  await cluster.host(ports[1]!);
  const more = await Promise.all([1, 2, 3].map(() => run(process.execPath, [PROCESS, token])));
  t.alike(
    more.map(({ stdout }) => (JSON.parse(stdout) as Welcome).cluster),
    ['c', 'c', 'c'],
    'any number of them',
  );
  t.is(cluster.requests.length, 4);
});

test('a host that asks before any host of the cluster listens is let in when one does', TEST_TIMEOUT, async (t) => {
  const cluster = await JoinCluster.make(t);
  const port = await freePort();
  const token = await cluster.token([port]);
  const child = spawn(process.execPath, [PROCESS, token], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (text) => {
    output.stdout += text;
  });
  child.stderr.on('data', (text) => {
    output.stderr += text;
  });
  await until('a line', () => output.stderr.includes('trying on'), 20_000);
  t.is(output.stderr, `no host of the cluster answers at 127.0.0.1:${port} (UDP); trying on\n`);
  await cluster.host(port);
  await until('the answer', () => output.stdout.endsWith('}'), 20_000);
  t.is((JSON.parse(output.stdout) as Welcome).cluster, 'c');
  await until('its end', () => child.exitCode === 0);
});

test('tokens that are unknown, over or used up are refused, with a line that says what to do', async (t) => {
  const cluster = await JoinCluster.make(t);
  const port = await freePort();
  await cluster.host(port);

  const token = parseToken(await cluster.token([port]));
  await refused(t, { token: { ...token, id: '0123456789abcdef' } }, 'WRONG_TOKEN');
  await refused(t, { token: { ...token, secret: Buffer.alloc(32) } }, 'WRONG_TOKEN');
  t.is(cluster.requests.length, 0);

  const short = parseToken(await cluster.token([port], { ttlMs: 5000 }));
  await joined({ token: short });
  cluster.shiftMs = 6000;
  await refused(t, { token: short }, 'EXPIRED');
  await joined({ token });
  cluster.shiftMs = 1000 * 60 * 60 * 24 + 1000;
  await refused(t, { token }, 'EXPIRED');

  const twice = parseToken(await cluster.token([port], { uses: 2 }));
  const hosts = [newcomer(), newcomer(), newcomer()];
  await joined({ token: twice, ...hosts[0]! });
  await joined({ token: twice, ...hosts[1]! });
  await refused(t, { token: twice, ...hosts[2]! }, 'USED_UP');
  await joined({ token: twice, ...hosts[0]! });
  t.pass('one that is counted may ask again');
  const { request } = hosts[0]!;
  await refused(t, { token: twice, ...withKey(request.host) }, 'USED_UP');
});

test('hosts that join at the same moment do not use a token more often than it is good for', async (t) => {
  const cluster = await JoinCluster.make(t);
  const port = await freePort();
  await cluster.host(port);
  const token = parseToken(await cluster.token([port], { uses: 3 }));
  const outcomes = await Promise.all(Array.from({ length: 6 }, () => outcomeOf({ token })));
  t.alike(outcomes.sort(), ['USED_UP', 'USED_UP', 'USED_UP', 'in', 'in', 'in']);
  t.is(cluster.requests.length, 3);
});

test('what the cluster has against a host reaches it; what passes is tried again', TEST_TIMEOUT, async (t) => {
  const cluster = await JoinCluster.make(t);
  const port = await freePort();
  await cluster.host(port);
  const token = parseToken(await cluster.token([port], { uses: 1 }));
  const host = newcomer();
  cluster.welcome = async () => {
    throw new JoinError('REFUSED', 'the name newcomer is taken; give another with --name');
  };
  const error = await refused(t, { token, ...host }, 'REFUSED');
  t.is(error.message, 'the name newcomer is taken; give another with --name');

  let attempts = 0;
  cluster.welcome = async (request) => {
    if (++attempts < 3) throw new Error('a secret of the cluster');
    return welcomeOf(request, cluster.secret);
  };
  const lines: string[] = [];
  await joined({ token, ...host, log: { info: (line) => lines.push(line) } });
  t.is(attempts, 3);
  t.is(lines.length, 1, 'said once');
  t.absent(lines[0]!.includes('a secret'), 'and no more than is good for it');
});

test('a host that has lost the answer gets it again', TEST_TIMEOUT, async (t) => {
  const cluster = await JoinCluster.make(t);
  const ports = [await freePort(), await freePort()];
  const first = await cluster.host(ports[0]!);
  const token = parseToken(await cluster.token(ports, { uses: 1 }));
  // The host that has let it in dies before it answers.
  cluster.welcome = async (request) => {
    await first.dht.destroy({ force: true });
    cluster.welcome = async (again) => welcomeOf(again, cluster.secret);
    return welcomeOf(request, cluster.secret);
  };
  const joining = joined({ token });
  await until('the first answer', () => cluster.requests.length === 1);
  await cluster.host(ports[1]!);
  t.is((await joining).cluster, 'c');
  t.alike(cluster.requests[0], cluster.requests[1], 'the same request');
});

test('a proof is of no use on another connection, or at the other end', async (t) => {
  const cluster = await JoinCluster.make(t);
  const port = await freePort();
  const { dht } = await cluster.host(port);
  const token = parseToken(await cluster.token([port]));
  const key = proofKey(token.secret);

  // On a connection of its own, whoever has seen the proof of another one.
  const [mine, others] = [await dialled(t, port, cluster.secret), await dialled(t, port, cluster.secret)];
  const proof = proofOf(key, 'host', others.stream.handshakeHash);
  mine.send({ kind: 'proof', version: 1, token: token.id, proof });
  t.alike(await mine.receive(Answer, 5000), {
    ...{ kind: 'refused', code: 'WRONG_TOKEN' },
    reason: 'the cluster does not know this token; make a new one with `dog cluster token` on a host of the cluster',
  });
  // And the cluster's proof for the host's.
  const swapped = proofOf(key, 'cluster', others.stream.handshakeHash);
  others.send({ kind: 'proof', version: 1, token: token.id, proof: swapped });
  t.is((await others.receive(Answer, 5000)).kind, 'refused');

  // Before the proof, nothing else is heard.
  const early = await dialled(t, port, cluster.secret);
  early.send({ kind: 'request', request: newcomer().request });
  await t.exception(early.receive(Answer, 5000));
  t.is(cluster.requests.length, 0);
  t.is(dht.toArray().length, 0);
});

test('a host does not give itself to whoever answers without the token', async (t) => {
  const cluster = await JoinCluster.make(t);
  const port = await freePort();
  const token = parseToken(await cluster.token([port]));
  // It has the cluster's key, but not its store: it gives back the proof that it gets, or says yes to everything.
  const heard: unknown[] = [];
  const dht = new HyperDHT({ port: [port, port + 1], host: '127.0.0.1', bootstrap: [], nodes: [], firewalled: false });
  let answer = (message: { proof?: string }): object => ({ kind: 'proof', proof: message.proof });
  const server = dht.createServer({}, (stream) => {
    stream.on('error', () => {});
    stream.on('data', (bytes: Buffer) => {
      const message = JSON.parse(bytes.toString());
      heard.push(message.kind);
      stream.write(Buffer.from(JSON.stringify(answer(message))));
    });
  });
  t.teardown(async () => {
    await Promise.all([server.close(), dht.destroy({ force: true })]);
  });
  await server.listen(joinKeyPair(cluster.secret));
  await refused(t, { token }, 'STRANGER');
  answer = () => ({ kind: 'welcome', welcome: welcomeOf(newcomer().request, cluster.secret) });
  await refused(t, { token }, 'STRANGER');
  t.alike(heard, ['proof', 'proof'], 'it was told nothing');

  // And one that has not even the cluster's key is not spoken to.
  const other = parseToken(formatToken({ ...token, clusterKey: HyperDHT.keyPair().publicKey }));
  await refused(t, { token: other, timeoutMs: 100 }, 'UNREACHABLE');
});

test('wrong tokens from one address are counted, and heard no more', TEST_TIMEOUT, async (t) => {
  const cluster = await JoinCluster.make(t);
  const port = await freePort();
  await cluster.host(port);
  const token = parseToken(await cluster.token([port]));
  const outcomes: string[] = [];
  for (let attempt = 0; attempt < 11; attempt++) {
    outcomes.push(await outcomeOf({ token: { ...token, secret: Buffer.alloc(32) } }));
  }
  t.alike([...new Set(outcomes.slice(0, 10))], ['WRONG_TOKEN']);
  t.is(outcomes[10], 'TOO_MANY_ATTEMPTS');
  t.is(await outcomeOf({ token }), 'TOO_MANY_ATTEMPTS', 'the right one has to wait too');
});

test('whatever is malformed ends the connection', async (t) => {
  const cluster = await JoinCluster.make(t);
  const port = await freePort();
  await cluster.host(port);
  const token = parseToken(await cluster.token([port]));
  const bodies = ['', '{', '[]', '{"kind":"proof"}', 'x'.repeat(100_000)];
  for (const body of bodies) {
    const channel = await dialled(t, port, cluster.secret);
    channel.stream.write(Buffer.from(body || '0'));
    await t.exception(channel.receive(Answer, 5000), body.slice(0, 20));
  }
  for (const change of [
    { name: '' },
    { name: 'x'.repeat(300) },
    { tlsPublicKey: 'x' },
    { more: 1 },
    { publicKey: '' },
  ]) {
    const channel = await dialled(t, port, cluster.secret);
    const key = proofKey(token.secret);
    const proof = proofOf(key, 'host', channel.stream.handshakeHash);
    channel.send({ kind: 'proof', version: 1, token: token.id, proof });
    t.is((await channel.receive(Answer, 5000)).kind, 'proof');
    channel.send({ kind: 'request', request: { ...newcomer().request, ...change } });
    await t.exception(channel.receive(Answer, 5000), JSON.stringify(change).slice(0, 30));
  }
  // And a request with the key of somebody else.
  t.is(await outcomeOf({ token, request: newcomer().request, timeoutMs: 1 }), 'UNREACHABLE');
  t.is(cluster.requests.length, 0);
});

test('an attempt to join can be given up', async (t) => {
  const token = parseToken(await (await JoinCluster.make(t)).token([await freePort()]));
  const controller = new AbortController();
  const joining = joinCluster({ token, ...newcomer(), signal: controller.signal, log: { info: () => {} } });
  setTimeout(() => controller.abort(new Error('told to')), 200);
  await t.exception(joining, /told to/);
});

type Ask = { token: JoinOptions['token'] } & Partial<JoinOptions>;

function joined(ask: Ask): Promise<Welcome> {
  return joinCluster({ ...newcomer(), log: { info: () => {} }, ...ask });
}

async function outcomeOf(ask: Ask): Promise<string> {
  try {
    await joined(ask);
    return 'in';
  } catch (error) {
    if (error instanceof JoinError) return error.code;
    throw error;
  }
}

async function refused(
  t: { is(a: unknown, b: unknown, message?: string): void },
  ask: Ask,
  code: string,
): Promise<Error> {
  try {
    await joined(ask);
  } catch (error) {
    t.is((error as JoinError).code, code, (error as Error).message);
    return error as Error;
  }
  t.is('in', code);
  return new Error('it was let in');
}

/** A connection to the cluster's key that says what the test says. */
async function dialled(t: Parameters<typeof JoinCluster.make>[0], port: number, secret: Buffer): Promise<JoinChannel> {
  const dht = new HyperDHT({ port: [0, 0], bootstrap: [], nodes: [] });
  t.teardown(() => dht.destroy({ force: true }));
  const stream = dht.connect(joinKeyPair(secret).publicKey, { relayAddresses: [{ host: '127.0.0.1', port }] });
  stream.on('error', () => {});
  await new Promise((resolve) => stream.on('open', resolve));
  return new JoinChannel(stream, 1024 * 1024);
}

/** Another host that says that it has this id. */
function withKey(host: string): ReturnType<typeof newcomer> {
  const { keyPair, request } = newcomer();
  return { keyPair, request: { ...request, host } };
}

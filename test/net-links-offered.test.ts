import { type Assertions, test } from 'brittle';
import { createAuthority } from '../lib/net/authority.js';
import { connected, hostId, LinkHost } from './helpers/link-host.js';
import { socketPair } from './helpers/socket-pair.js';
import { TcpProxy } from './helpers/tcp-proxy.js';
import { bulk, control } from './helpers/test-codec.js';
import { until } from './helpers/until.js';

const authority = await createAuthority('6f2d1c7e-4f0b-4a77-9a5e-0d6f6a1c2b3d');
const [A, B] = [hostId(1), hostId(2)];

async function pair(t: Assertions): Promise<[LinkHost, LinkHost]> {
  return [await LinkHost.open(t, A, { authority }), await LinkHost.open(t, B, { authority })];
}

/** Gives both hosts an end of one stream, in place of the swarm. */
async function offer(t: Assertions, a: LinkHost, b: LinkHost) {
  const [near, far] = await socketPair(t);
  a.call(() => a.links.offer(b.id, near));
  b.call(() => b.links.offer(a.id, far));
  return { near, far };
}

function sound(t: Assertions, ...hosts: LinkHost[]): void {
  for (const host of hosts) t.alike(host.faults, [], 'events are in order');
}

test('where there is no TCP, a session goes by a stream that is offered', async (t) => {
  const [a, b] = await pair(t);
  a.connect([b]);
  b.connect([a]);
  await offer(t, a, b);
  await connected(a, b);
  const piece = Buffer.alloc(1024 * 1024, 5);
  for (let number = 0; number < 40; number++) a.send(b, bulk(number, piece));
  for (let number = 0; number < 10; number++) a.send(b, control(number));
  b.send(a, control(1));
  await until('all', () => b.receipts.length === 50 && a.receipts.length === 1);
  const place = b.receipts.findIndex(({ message }) => message.lane === 'control');
  t.ok(place < 20, `control messages overtake: the first came as number ${place}`);
  for (const lane of ['control', 'data'] as const) {
    const numbers = b.receipts.filter(({ message }) => message.lane === lane).map(({ message }) => message.number);
    t.alike(
      numbers,
      numbers.map((_, index) => index),
      lane,
    );
  }
  sound(t, a, b);
});

test('TCP takes the place of a stream that was offered', async (t) => {
  const [a, b] = await pair(t);
  a.connect([b]);
  b.connect([a]);
  const { near, far } = await offer(t, a, b);
  const first = await connected(a, b);
  b.connect([a, a.address]);
  t.is(await connected(a, b, first), first + 1);
  await until('the stream to be given back', () => near.destroyed && far.destroyed);
  for (const host of [a, b]) t.is(host.events.length, 3, 'opened, lost, opened');
  sound(t, a, b);
});

test('with TCP, a stream that is offered is kept, and used when TCP is gone for long', async (t) => {
  const [a, b] = await pair(t);
  const proxy = await TcpProxy.open(t, a.links.port);
  a.connect([b]);
  b.connect([a, proxy.address]);
  const first = await connected(a, b);
  const { near } = await offer(t, a, b);
  proxy.reset();
  const second = await connected(a, b, first);
  t.absent(near.destroyed, 'TCP that is back soon is preferred');
  b.connect([a, '127.0.0.1:1']);
  proxy.reset();
  const third = await connected(a, b, second);
  t.is(third, second + 1);
  a.send(b, control(7));
  await until('the message', () => b.receipts.length === 1);
  t.absent(near.destroyed);
  near.destroy();
  await until('its end to be noticed', () => a.sessions.size === 0 && b.sessions.size === 0);
  sound(t, a, b);
});

test('a host that starts anew has its session by another stream at once', async (t) => {
  const a = await LinkHost.open(t, A, { authority });
  const before = await LinkHost.open(t, B, { authority });
  a.connect([before]);
  before.connect([a]);
  const { near } = await offer(t, a, before);
  const first = await connected(a, before);
  const after = await LinkHost.open(t, B, { authority });
  after.connect([a]);
  await offer(t, a, after);
  t.is(await connected(a, after, first), first + 1);
  t.is(a.links.counters.closed.silent, 0, 'before the old one was missed');
  t.ok(near.destroyed);
  sound(t, a, before, after);
});

test('of streams that are offered, the last one is kept', async (t) => {
  const [a, b] = await pair(t);
  a.connect([b, b.address]);
  b.connect([a]);
  await connected(a, b);
  const first = await offer(t, a, b);
  const second = await offer(t, a, b);
  await until('the first to be given back', () => first.near.destroyed && first.far.destroyed);
  t.absent(second.near.destroyed || second.far.destroyed);
  t.is(a.events.length + b.events.length, 2, 'the session is not touched');
  sound(t, a, b);
});

test('a stream to a host that is none to be connected with is given back', async (t) => {
  const [a, b] = await pair(t);
  const [near] = await socketPair(t);
  a.links.offer(B, near);
  t.ok(near.destroyed);
  a.connect([b]);
  a.banned.add(B);
  const [other] = await socketPair(t);
  a.links.offer(B, other);
  t.ok(other.destroyed);
  const { closed } = a.links.counters;
  t.alike([closed['not-a-peer'], closed['not-admitted']], [1, 1]);
});

test('a stream that is cut is noticed', async (t) => {
  const [a, b] = await pair(t);
  a.connect([b]);
  b.connect([a]);
  const { near, far } = await offer(t, a, b);
  await connected(a, b);
  near.pause();
  far.pause();
  await until('it to be noticed', () => a.sessions.size === 0 && b.sessions.size === 0, 4000);
  t.is(a.links.counters.closed.silent + b.links.counters.closed.silent > 0, true);
  sound(t, a, b);
});

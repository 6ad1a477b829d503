import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, createServer as createTcpServer, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { type Assertions, test } from 'brittle';
import { createAuthority, serverNameOf } from '../lib/net/authority.js';
import { createCredentials } from '../lib/net/credentials.js';
import {
  BEAT,
  FRAME_HEADER_BYTES,
  type FrameKind,
  HELLO,
  MESSAGE,
  MESSAGE_BYTES_MAX,
  OPEN,
  OPENED,
  writeFrameHeader,
} from '../lib/net/frames.js';
import { CARRIES_CONTROL, CARRIES_DATA, type Carries, encodeHello, encodeOpen } from '../lib/net/hello.js';
import { NetError } from '../lib/net/net-error.js';
import { UNSETTLED_MAX } from '../lib/net/peer.js';
import { TlsLinks } from '../lib/net/tls-links.js';
import { connected, hostId, LinkHost } from './helpers/link-host.js';
import { Random } from './helpers/random.js';
import { TcpProxy } from './helpers/tcp-proxy.js';
import { bulk, control, testCodec } from './helpers/test-codec.js';
import { sleep, until } from './helpers/until.js';

const authority = await createAuthority('6f2d1c7e-4f0b-4a77-9a5e-0d6f6a1c2b3d');
const [A, B, C] = [hostId(1), hostId(2), hostId(3)];

/** Nothing happened to the hosts that must not. */
function sound(t: Assertions, ...hosts: LinkHost[]): void {
  for (const host of hosts) t.alike(host.faults, [], 'events are in order');
}

/** Whatever the other end does to it, by errors too. */
function end(socket: Socket): Promise<void> {
  socket.on('error', () => {});
  socket.resume();
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.on('close', () => resolve());
  });
}

async function pair(t: Assertions, queueBytesMax?: number): Promise<[LinkHost, LinkHost]> {
  const a = await LinkHost.open(t, A, { authority, queueBytesMax });
  const b = await LinkHost.open(t, B, { authority, queueBytesMax });
  return [a, b];
}

test('messages arrive by their lane in the order in which they were sent, and are their receiver’s', async (t) => {
  const [a, b] = await pair(t);
  a.connect([b, b.address]);
  b.connect([a, a.address]);
  const session = await connected(a, b);
  const random = new Random(1);
  const sent = { control: [] as Buffer[], data: [] as Buffer[] };
  for (let number = 0; number < 2000; number++) {
    const lane = random.chance(0.5) ? 'control' : 'data';
    const data = Buffer.alloc(random.chance(0.02) ? random.below(1_500_000) : random.below(6000), number);
    if (a.send(b, { lane, number: sent[lane].length, data }, session) !== session) t.fail(`${number} is not sent`);
    sent[lane].push(Buffer.from(data));
    // The sender uses its buffer again.
    data.fill(0xff);
    if (random.chance(0.05)) await new Promise(setImmediate);
  }
  await until('all of it', () => b.receipts.length === 2000);
  for (const lane of ['control', 'data'] as const) {
    const received = b.receipts.filter(({ message }) => message.lane === lane);
    t.alike(
      received.map(({ message }) => message.number),
      sent[lane].map((_, index) => index),
      lane,
    );
    t.ok(
      received.every(({ message }, index) => message.data.equals(sent[lane][index]!)),
      'as it was sent',
    );
  }
  sound(t, a, b);
});

test('two hosts that dial one another at the same time have one session', async (t) => {
  const [a, b] = await pair(t);
  for (let round = 0; round < 100; round++) {
    for (const host of [a, b]) host.events.length = 0;
    if (round % 2 === 0) {
      a.connect([b, b.address]);
      b.connect([a, a.address]);
    } else {
      b.connect([a, a.address]);
      a.connect([b, b.address]);
    }
    const session = await connected(a, b, 0, 2000);
    b.send(a, control(round));
    await until('the message', () => a.receipts.length === round + 1);
    // The other one's attempts have come to nothing meanwhile.
    if (round % 10 === 0) await sleep(100);
    if (a.events.length !== 1 || b.events.length !== 1) t.fail(`round ${round}: ${a.events}, ${b.events}`);
    if (session !== round + 1) t.fail(`round ${round} has session ${session}`);
    a.connect();
    b.connect();
    await until('the end', () => a.events.length === 2 && b.events.length === 2);
  }
  t.is(a.links.counters.sessions, 100);
  t.is(b.links.counters.sessions, 100);
  sound(t, a, b);
});

test('either of the two may be the one that cannot be reached', async (t) => {
  const [a, b] = await pair(t);
  a.connect([b]);
  b.connect([a, a.address]);
  const first = await connected(a, b);
  a.connect();
  b.connect();
  a.connect([b, '127.0.0.1:1', 'nonsense', b.address]);
  b.connect([a]);
  t.ok((await connected(a, b, first)) > first, 'and is found at its last address');
  sound(t, a, b);
});

test('three hosts have a session each with the two others', async (t) => {
  const hosts = await Promise.all([A, B, C].map((id) => LinkHost.open(t, id, { authority })));
  const [a, b, c] = hosts as [LinkHost, LinkHost, LinkHost];
  for (const host of hosts) host.connect(...hosts.map((peer) => [peer, peer.address] as const));
  for (const [one, other] of [
    [a, b],
    [a, c],
    [b, c],
  ] as const)
    await connected(one, other);
  for (const host of hosts) {
    const isConnected = (id: string) => host.links.isConnected(id);
    t.alike(
      [A, B, C].filter(isConnected),
      [A, B, C].filter((id) => id !== host.id),
    );
  }
  await c.links.close();
  await until('it to be lost', () => !a.sessions.has(C) && !b.sessions.has(C));
  t.is(a.sessions.size, 1, 'the others go on');
  sound(t, a, b, c);
});

test('a host that starts anew replaces its session at once, though the old connection looks alive', async (t) => {
  for (const restarts of [A, B]) {
    const [stays, id] = restarts === A ? [B, A] : [A, B];
    const other = await LinkHost.open(t, stays, { authority });
    const before = await LinkHost.open(t, id, { authority, incarnation: 1 });
    // The old process stands still behind a network that tells nobody anything.
    const proxy = await TcpProxy.open(t, other.links.port);
    before.connect([other, proxy.address]);
    other.connect([before]);
    const first = await connected(other, before);
    t.ok(first > 2 ** 20, 'numbers grow with incarnations');
    proxy.cut();
    const after = await LinkHost.open(t, id, { authority, incarnation: 1 });
    after.connect([other, other.address]);
    t.is(await connected(other, after, first), first + 1, 'though the new process knows nothing of the old one');
    t.is(other.links.counters.closed.silent, 0, 'before it was missed');
    t.alike(other.events, [`opened ${id} ${first}`, `lost ${id} ${first}`, `opened ${id} ${first + 1}`]);
    before.send(other, control(666));
    proxy.heal();
    await until('the old process to know', () => before.events.length === 2);
    after.send(other, control(1));
    await until('a message', () => other.receipts.length === 1);
    t.is(other.receipts[0]!.message.number, 1);
    sound(t, other, before, after);
  }
});

test('what a lost session still carried never arrives', async (t) => {
  const [a, b] = await pair(t);
  const proxy = await TcpProxy.open(t, b.links.port);
  a.connect([b, proxy.address]);
  b.connect([a]);
  let above = 0;
  for (let round = 1; round <= 5; round++) {
    const session = await connected(a, b, above);
    above = session;
    b.receipts.length = 0;
    for (let number = 0; number < 50; number++) a.send(b, bulk(round, Buffer.alloc(100_000)));
    await until('some of it', () => b.receipts.length > 0);
    proxy.cut();
    for (let number = 0; number < 50; number++) a.send(b, bulk(round, Buffer.alloc(100_000)));
    // A notices nothing yet; B is made to want another session.
    b.connect();
    b.connect([a, a.address]);
    await connected(a, b, session);
    const late = b.receipts.length;
    proxy.heal();
    a.send(b, control(0));
    await until('the new session', () => b.receipts.at(-1)?.message.number === 0);
    t.is(b.receipts.length, late + 1, 'nothing came late');
    t.is(a.send(b, control(0), session), null, 'nothing is sent by the old one');
    for (const host of [a, b]) host.connect();
    await until('the end of it', () => a.sessions.size === 0 && b.sessions.size === 0);
    a.connect([b, proxy.address]);
    b.connect([a]);
  }
  sound(t, a, b);
});

test('a network that is cut is noticed by both, soon', async (t) => {
  const [a, b] = await pair(t);
  const proxy = await TcpProxy.open(t, b.links.port);
  a.connect([b, proxy.address]);
  b.connect([a]);
  const session = await connected(a, b);
  await sleep(2500);
  t.is(a.events.length, 1, 'an idle session stays');
  proxy.cut();
  const began = performance.now();
  await until('it to be noticed', () => a.sessions.size === 0 && b.sessions.size === 0, 4000);
  const tookMs = performance.now() - began;
  t.ok(tookMs > 1000, `after ${Math.round(tookMs)} ms`);
  t.is(a.links.counters.closed.silent + b.links.counters.closed.silent, 2);
  proxy.heal();
  t.ok((await connected(a, b, session)) > session, 'they find one another again');
  sound(t, a, b);
});

test('that only one of the two connections carries nothing any more is noticed, too', async (t) => {
  const [a, b] = await pair(t);
  const proxy = await TcpProxy.open(t, b.links.port);
  a.connect([b, proxy.address]);
  b.connect([a]);
  const session = await connected(a, b);
  t.is(proxy.connections, 2, 'one for each lane');
  proxy.cutOne(1);
  const began = performance.now();
  await until('it to be noticed', () => a.sessions.get(B) !== session && b.sessions.get(A) !== session, 8000);
  t.ok(performance.now() - began > 3000, 'not as soon as with the control lane: data may take its time');
  await connected(a, b, session);
  sound(t, a, b);
});

test('a connection that is reset is made anew at once', async (t) => {
  const [a, b] = await pair(t);
  const proxy = await TcpProxy.open(t, b.links.port);
  a.connect([b, proxy.address]);
  b.connect([a]);
  let session = await connected(a, b);
  for (let round = 0; round < 3; round++) {
    proxy.reset();
    session = await connected(a, b, session, 3000);
  }
  sound(t, a, b);
});

test('control messages overtake data that is queued', async (t) => {
  const [a, b] = await pair(t);
  a.connect([b, b.address]);
  b.connect([a]);
  await connected(a, b);
  const piece = Buffer.alloc(1024 * 1024, 7);
  for (let number = 0; number < 50; number++) a.send(b, bulk(number, piece));
  a.send(b, control(1));
  await until('all', () => b.receipts.length === 51);
  const place = b.receipts.findIndex(({ message }) => message.lane === 'control');
  t.ok(place < 25, `it came as number ${place} of 51`);
  sound(t, a, b);
});

test('a host that does not read what it is sent loses its session at a limit', async (t) => {
  const [a, b] = await pair(t, 32 * 1024 * 1024);
  const proxy = await TcpProxy.open(t, b.links.port);
  a.connect([b, proxy.address]);
  b.connect([a]);
  const session = await connected(a, b);
  proxy.cut();
  const piece = Buffer.alloc(1024 * 1024);
  let sent = 0;
  while (a.send(b, bulk(sent, piece)) !== null && sent < 100) sent++;
  t.is(sent, 32, 'as many as the limit has room for, and what was on its way');
  t.is(a.sessions.get(B), session, 'who sends is not told within the call');
  await until('it to be told', () => !a.sessions.has(B));
  t.is(a.links.counters.closed.slow, 1);
  proxy.heal();
  await connected(a, b, session);
  sound(t, a, b);
});

test('a host whose admission ends has its links closed, and makes no others', async (t) => {
  const [a, b] = await pair(t);
  a.connect([b, b.address]);
  b.connect([a, a.address]);
  const session = await connected(a, b);
  a.banned.add(B);
  a.connect();
  t.is(a.send(b, control(1)), null, 'at once');
  await until('both to know', () => a.sessions.size === 0 && b.sessions.size === 0);
  const { closed } = a.links.counters;
  await until('it to be refused', () => closed['not-admitted'] > 2);
  t.is(closed.removed, 1);
  const refusedMore = (what: string) => {
    const before = closed['not-admitted'];
    return until(what, () => closed['not-admitted'] > before + 1);
  };
  a.connect([b]);
  await refusedMore('it to be refused when it dials');
  a.connect([b, b.address]);
  b.connect([a]);
  await refusedMore('it to be refused when it is dialled');
  t.is(a.events.length, 2);
  a.banned.delete(B);
  await connected(a, b, session);
  sound(t, a, b);
});

test('who is no host of the cluster is refused and counted, and disturbs nobody', async (t) => {
  const [a, b] = await pair(t);
  a.connect([b, b.address]);
  b.connect([a]);
  const session = await connected(a, b);
  const foreign = await createAuthority('6f2d1c7e-4f0b-4a77-9a5e-0d6f6a1c2b3d');
  const forged = await createCredentials(foreign, B, []);
  const { closed } = a.links.counters;
  const dial = async (identity: object, ca = authority.certificate) => {
    const socket = connectTls({ host: '127.0.0.1', port: a.links.port, ca, servername: serverNameOf(A), ...identity });
    await end(socket);
  };
  await dial({ cert: forged.certificate, key: forged.privateKey });
  await until('a forged certificate to be counted', () => closed.authority === 1);
  await dial({});
  await until('no certificate to be counted', () => closed.authority === 2);
  const stranger = await createCredentials(authority, C, []);
  await dial({ cert: stranger.certificate, key: stranger.privateKey });
  await until('a host that is no peer to be counted', () => closed['not-a-peer'] === 1);
  const own = await createCredentials(authority, B, []);
  await dial({ cert: own.certificate, key: own.privateKey, maxVersion: 'TLSv1.2' });
  await until('an older TLS to be counted', () => closed.tls === 1);
  const plain = connectTcp(a.links.port, '127.0.0.1');
  plain.write('GET / HTTP/1.0\r\n\r\n');
  await end(plain);
  await until('what is no TLS to be counted', () => closed.tls === 2);
  t.is(a.sessions.get(B), session);
  sound(t, a, b);
});

test('another host than was dialled, or one of another cluster, is not talked to', async (t) => {
  const [a, b] = await pair(t);
  const c = await LinkHost.open(t, C, { authority });
  a.connect([b, c.address]);
  c.connect([a]);
  const { closed } = a.links.counters;
  await until('it to be refused', () => closed['wrong-host'] >= 2);
  const foreign = await createAuthority('6f2d1c7e-4f0b-4a77-9a5e-0d6f6a1c2b3d');
  const impostor = await LinkHost.open(t, B, { authority: foreign });
  impostor.connect([a, a.address]);
  a.connect([b, impostor.address]);
  await until('it to be refused', () => closed.authority >= 2);
  await until('and to refuse', () => impostor.links.counters.closed.authority >= 2);
  a.connect([b, c.address, impostor.address, b.address]);
  b.connect([a]);
  await connected(a, b);
  t.is(c.events.length + impostor.events.length, 0);
  sound(t, a, b);
});

/** A host of the cluster that speaks TLS rightly, and else whatever it is told to. */
class Rogue {
  readonly socket: TLSSocket;
  received = Buffer.alloc(0);

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
    socket.on('error', () => {});
  }

  static async dial(t: Assertions, target: LinkHost, id: string): Promise<Rogue> {
    const { certificate, privateKey } = await createCredentials(authority, id, []);
    const socket = connectTls({
      ...{ host: '127.0.0.1', port: target.links.port, ca: authority.certificate, cert: certificate },
      ...{ key: privateKey, servername: serverNameOf(target.id) },
    });
    t.teardown(() => socket.destroy());
    await once(socket, 'secureConnect');
    return new Rogue(socket);
  }

  /** Two connections that have said hello, by which whoever decides opens a session. */
  static async dialBoth(t: Assertions, target: LinkHost, id: string, channel = 2): Promise<[Rogue, Rogue]> {
    const control = await Rogue.dial(t, target, id);
    control.hello(CARRIES_CONTROL, channel);
    await until('its hello', () => control.received.length > 0);
    const data = await Rogue.dial(t, target, id);
    data.hello(CARRIES_DATA, channel);
    await until('its hello', () => data.received.length > 0);
    return [control, data];
  }

  hello(carries: Carries, channel = 2): void {
    const hello = { carries, process: Buffer.alloc(16, 1), channel: Buffer.alloc(16, channel), highest: 0, open: 0 };
    this.frame(HELLO, encodeHello(hello));
  }

  frame(kind: FrameKind, body: Buffer): void {
    const header = Buffer.alloc(FRAME_HEADER_BYTES);
    writeFrameHeader(header, 0, kind, body.length);
    this.socket.write(Buffer.concat([header, body]));
  }

  /** Takes the session up that it was offered. */
  async open(): Promise<void> {
    // The number is at the end of what came.
    await until('to be asked', () => this.received.length > FRAME_HEADER_BYTES + 56);
    this.frame(OPENED, this.received.subarray(-8));
  }

  end(): Promise<void> {
    return end(this.socket);
  }
}

test('what is no frame, no message, or not due closes the link, is counted, and touches nothing else', async (t) => {
  const a = await LinkHost.open(t, A, { authority });
  const c = await LinkHost.open(t, C, { authority });
  a.connect([B], [c, c.address]);
  c.connect([a]);
  const session = await connected(a, c);
  const { closed } = a.links.counters;
  const long = Buffer.alloc(FRAME_HEADER_BYTES);
  writeFrameHeader(long, 0, MESSAGE, MESSAGE_BYTES_MAX + 1);
  const message = (sent: ReturnType<typeof control>) => Buffer.concat(testCodec.encode(sent));
  const cases: [string, keyof typeof closed, (control: Rogue, data: Rogue) => void][] = [
    ['a kind that there is not', 'garbage', (rogue) => rogue.socket.write(Buffer.alloc(FRAME_HEADER_BYTES, 0x55))],
    ['a frame that is too long', 'oversized', (rogue) => rogue.socket.write(long)],
    ['a long one that is no message', 'oversized', (rogue) => rogue.frame(BEAT, Buffer.alloc(1000))],
    ['half a frame', 'truncated', (rogue) => rogue.socket.end(long.subarray(0, 3))],
    ['half a body', 'truncated', (_, rogue) => rogue.socket.end(Buffer.from([100, 0, 0, 0, MESSAGE, 1, 2, 3]))],
    [
      'a changed message',
      'message',
      (rogue) => rogue.frame(MESSAGE, Buffer.concat([message(control(1)), Buffer.from('x')])),
    ],
    ['an empty message', 'message', (rogue) => rogue.frame(MESSAGE, Buffer.alloc(0))],
    ['a message on the wrong lane', 'protocol', (rogue) => rogue.frame(MESSAGE, message(bulk(1)))],
    ['a second hello', 'protocol', (_, rogue) => rogue.hello(CARRIES_DATA)],
    ['an answer to another session', 'protocol', (rogue) => rogue.frame(OPENED, encodeOpen(1000))],
    ['an answer that is none', 'garbage', (rogue) => rogue.frame(OPENED, Buffer.alloc(7, 1))],
    ['a beat that says something', 'protocol', (rogue) => rogue.frame(BEAT, Buffer.alloc(1))],
  ];
  for (const [what, reason, act] of cases) {
    const [first, second] = await Rogue.dialBoth(t, a, B);
    await second.open();
    await until('the session', () => a.sessions.has(B));
    const before = closed[reason];
    act(first, second);
    await Promise.all([first.end(), second.end()]);
    t.is(closed[reason], before + 1, what);
    t.absent(a.sessions.has(B), 'its session is over');
  }
  t.is(a.receipts.length, 0);
  a.send(c, control(5));
  await until('the other host is served', () => c.receipts.length === 1);
  t.is(c.sessions.get(A), session);
  sound(t, a, c);
});

test('a second way to the same process, dialled before it knew of the session, is closed', async (t) => {
  const a = await LinkHost.open(t, A, { authority });
  a.connect([B]);
  const [first, second] = await Rogue.dialBoth(t, a, B, 2);
  const others = await Rogue.dialBoth(t, a, B, 3);
  await Promise.all(others.map((rogue) => rogue.end()));
  await second.open();
  await until('the session', () => a.sessions.has(B));
  const more = await Rogue.dialBoth(t, a, B, 4);
  await Promise.all(more.map((rogue) => rogue.end()));
  t.is(a.links.counters.closed.superfluous, 2);
  first.frame(MESSAGE, Buffer.concat(testCodec.encode(control(1))));
  await until('a message', () => a.receipts.length === 1);
  t.alike(a.events, [`opened ${B} 1`]);
});

test('no message counts before its session is open, or by another connection than the session’s', async (t) => {
  const a = await LinkHost.open(t, A, { authority });
  const b = await LinkHost.open(t, B, { authority });
  const message = Buffer.concat(testCodec.encode(control(1)));
  // Here the one that decides is asked, before it was answered.
  a.connect([B]);
  const [early, beside] = await Rogue.dialBoth(t, a, B);
  await until('to be asked', () => beside.received.length > FRAME_HEADER_BYTES + 56);
  early.frame(MESSAGE, message);
  await Promise.all([early.end(), beside.end()]);
  t.is(a.links.counters.closed.protocol, 1);
  // And here the other one.
  b.connect([A]);
  const [first, second] = await Rogue.dialBoth(t, b, A, 2);
  second.frame(OPEN, encodeOpen(5));
  await until('the session', () => b.sessions.get(A) === 5);
  const [third, fourth] = await Rogue.dialBoth(t, b, A, 3);
  third.frame(MESSAGE, message);
  await Promise.all([third.end(), fourth.end()]);
  t.is(b.links.counters.closed.protocol, 1);
  t.is(b.receipts.length + a.receipts.length, 0);
  first.frame(MESSAGE, message);
  await until('a message', () => b.receipts.length === 1);
  t.alike(b.events, [`opened ${A} 5`]);
});

test('a session whose number is not above the last one is not opened', async (t) => {
  const b = await LinkHost.open(t, B, { authority });
  b.connect([A]);
  const [, second] = await Rogue.dialBoth(t, b, A, 2);
  second.frame(OPEN, encodeOpen(5));
  await until('the session', () => b.sessions.get(A) === 5);
  for (const number of [5, 4]) {
    const late = await Rogue.dialBoth(t, b, A, 10 + number);
    late[1].frame(OPEN, encodeOpen(number));
    await Promise.all(late.map((rogue) => rogue.end()));
  }
  t.is(b.links.counters.closed.stale, 2);
  t.is(b.sessions.get(A), 5);
  const next = await Rogue.dialBoth(t, b, A, 3);
  next[1].frame(OPEN, encodeOpen(6));
  await until('the next', () => b.sessions.get(A) === 6);
  await second.end();
  t.alike(b.events, [`opened ${A} 5`, `lost ${A} 5`, `opened ${A} 6`]);
});

test('before there is a session, only what leads to one is taken', async (t) => {
  const a = await LinkHost.open(t, A, { authority });
  a.connect([B]);
  const { closed } = a.links.counters;
  const cases: [string, keyof typeof closed, (rogue: Rogue) => void][] = [
    ['a message', 'protocol', (rogue) => rogue.frame(MESSAGE, Buffer.concat(testCodec.encode(control(1))))],
    ['a beat', 'protocol', (rogue) => rogue.frame(BEAT, Buffer.alloc(0))],
    ['a data connection that belongs to nothing', 'protocol', (rogue) => rogue.hello(CARRIES_DATA)],
    ['a hello that is none', 'garbage', (rogue) => rogue.frame(HELLO, Buffer.alloc(56))],
    [
      'a message behind the hello',
      'protocol',
      (rogue) => {
        rogue.hello(CARRIES_CONTROL);
        rogue.frame(MESSAGE, Buffer.concat(testCodec.encode(control(1))));
      },
    ],
  ];
  for (const [what, reason, act] of cases) {
    const rogue = await Rogue.dial(t, a, B);
    const before = closed[reason];
    act(rogue);
    await rogue.end();
    t.is(closed[reason], before + 1, what);
  }
  const mute = await Rogue.dial(t, a, B);
  const halfway = await Rogue.dial(t, a, B);
  halfway.hello(CARRIES_CONTROL);
  a.connect([B], [C]);
  const [first, second] = await Rogue.dialBoth(t, a, C);
  await Promise.all([mute, halfway, first, second].map((rogue) => rogue.end()));
  t.is(closed.timeout, 3, 'nothing at all, nothing behind the hello, and no answer to the session');
  t.is(a.events.length, 0);
});

test('a host of another version is refused, and counted', async (t) => {
  const a = await LinkHost.open(t, A, { authority });
  a.connect([B]);
  const rogue = await Rogue.dial(t, a, B);
  const hello = encodeHello({
    carries: CARRIES_CONTROL,
    process: Buffer.alloc(16),
    channel: Buffer.alloc(16),
    highest: 0,
    open: 0,
  });
  hello.writeUInt16LE(2, 4);
  rogue.frame(HELLO, hello);
  await rogue.end();
  t.is(a.links.counters.closed.version, 1);
});

test('of connections that lead to no session, a host may have so many', async (t) => {
  const a = await LinkHost.open(t, A, { authority });
  a.connect([B]);
  const { closed } = a.links.counters;
  const rogues = [];
  for (let count = 0; count < UNSETTLED_MAX; count++) rogues.push(await Rogue.dial(t, a, B));
  const one = await Rogue.dial(t, a, B);
  await one.end();
  t.is(closed.crowded, 1);
  rogues[0]!.socket.destroy();
  await until('its end to be noticed', () => closed.closed === 1);
  const another = await Rogue.dial(t, a, B);
  another.hello(CARRIES_CONTROL);
  await until('its hello to be answered', () => another.received.length > 0);
  t.is(closed.crowded, 1);
});

test('an address behind which nobody speaks holds nobody up', async (t) => {
  const [a, b] = await pair(t);
  const mute = createTcpServer(() => {});
  mute.listen(0, '127.0.0.1');
  await once(mute, 'listening');
  t.teardown(() => mute.close());
  const nowhere = `127.0.0.1:${(mute.address() as AddressInfo).port}`;
  a.connect([b, nowhere, b.address]);
  b.connect([a]);
  const session = await connected(a, b);
  a.connect();
  await until('the end of it', () => a.sessions.size === 0 && b.sessions.size === 0);
  a.connect([b, nowhere]);
  await sleep(200);
  // It is known by now where it is.
  a.connect([b, nowhere, b.address]);
  await connected(a, b, session);
  t.is(a.links.counters.closed.timeout, 0, 'before it was given up');
  sound(t, a, b);
});

test('links that are closed call nobody, and leave nothing behind', async (t) => {
  const [a, b] = await pair(t);
  a.connect([b, b.address]);
  b.connect([a, a.address]);
  await connected(a, b);
  const { port } = a.links;
  t.is(a.links.close(), a.links.close(), 'closing is done once');
  await a.links.close();
  t.is(a.events.length, 1);
  t.is(a.send(b, control(1)), null);
  a.connect([b, b.address]);
  await until('the other end to know', () => b.sessions.size === 0);
  const server = createTcpServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  server.close();
  sound(t, a, b);
});

test('a port that is taken is told of in one line', async (t) => {
  const a = await LinkHost.open(t, A, { authority });
  const taken = { host: '127.0.0.1', port: a.links.port };
  const credentials = await createCredentials(authority, B, []);
  const options = { host: B, incarnation: 0, credentials, codec: testCodec, events: a, isAdmitted: () => true };
  const error = await TlsLinks.open({ ...options, listen: taken }).catch((caught) => caught);
  t.ok(error instanceof NetError, error.message);
  t.is(error.code, 'PORT_IN_USE');
  const elsewhere = { host: '192.0.2.1', port: 0 };
  const other = await TlsLinks.open({ ...options, listen: elsewhere }).catch((caught) => caught);
  t.is(other.code, 'NO_ACCESS', other.message);
});

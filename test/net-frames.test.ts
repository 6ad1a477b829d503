import { type Assertions, test } from 'brittle';
import { gives, nextSession, sessionsBefore } from '../lib/net/agreement.js';
import {
  BEAT,
  FRAME_HEADER_BYTES,
  FrameError,
  type FrameKind,
  FrameReader,
  HELLO,
  MESSAGE,
  MESSAGE_BYTES_MAX,
  SMALL_BODY_BYTES_MAX,
  writeFrameHeader,
} from '../lib/net/frames.js';
import {
  CARRIES_BOTH,
  CARRIES_DATA,
  decodeHello,
  decodeOpen,
  encodeHello,
  encodeOpen,
  SESSION_MAX,
  VersionError,
} from '../lib/net/hello.js';
import { WireError } from '../lib/net/links.js';
import { Outbox } from '../lib/net/outbox.js';
import { MESSAGE_BYTES_MAX as CODEC_BYTES_MAX } from '../lib/replication/wire/limits.js';
import { Random } from './helpers/random.js';

function frame(kind: number, body: Buffer): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  writeFrameHeader(header, 0, kind as FrameKind, body.length);
  return Buffer.concat([header, body]);
}

function reader(): { frames: { kind: FrameKind; body: Buffer }[]; reader: FrameReader } {
  const frames: { kind: FrameKind; body: Buffer }[] = [];
  return {
    frames,
    reader: new FrameReader((kind, body) => {
      frames.push({ kind, body });
      return true;
    }),
  };
}

function randomBody(random: Random, length: number): Buffer {
  const body = Buffer.alloc(length);
  random.fill(body);
  return body;
}

/** Everything that waits in the outbox, in the pieces in which it leaves. */
function drain(outbox: Outbox): Buffer[] {
  const pieces: Buffer[] = [];
  for (let piece = outbox.take(); piece !== null; piece = outbox.take()) pieces.push(piece);
  return pieces;
}

test('frames are the same however the stream is cut', (t) => {
  const random = new Random(7);
  for (let round = 0; round < 200; round++) {
    const bodies = Array.from({ length: 1 + random.below(8) }, () =>
      randomBody(random, random.chance(0.2) ? 0 : random.below(random.chance(0.3) ? 40_000 : 40)),
    );
    const stream = Buffer.concat(bodies.map((body) => frame(MESSAGE, body)));
    const { frames, reader: target } = reader();
    for (let at = 0; at < stream.length; ) {
      const length = random.chance(0.5) ? 1 + random.below(7) : 1 + random.below(30_000);
      // What a chunk was made of is overwritten by nobody: it is the reader's.
      target.push(Buffer.from(stream.subarray(at, at + length)));
      at += length;
    }
    const isSame = frames.length === bodies.length && frames.every(({ body }, index) => body.equals(bodies[index]!));
    if (!isSame || !target.isBetweenFrames) t.fail(`round ${round}`);
  }
  t.pass();
});

test('a body within one chunk is a part of it, another is put together in memory of its own', (t) => {
  const { frames, reader: target } = reader();
  const whole = Buffer.concat([frame(MESSAGE, Buffer.from('one')), frame(MESSAGE, Buffer.from('two'))]);
  target.push(whole);
  for (const { body } of frames) t.is(body.buffer, whole.buffer, 'the same memory');
  const [head, tail] = [Buffer.from(whole.subarray(0, 7)), Buffer.from(whole.subarray(7))];
  target.push(head);
  t.absent(target.isBetweenFrames);
  target.push(tail);
  head.fill(0);
  tail.fill(0, 0, 1);
  t.is(frames[2]!.body.toString(), 'one');
});

test('what is no frame is refused at its header, before anything is allocated', (t) => {
  const header = (kind: number, length: number) => {
    const bytes = Buffer.alloc(FRAME_HEADER_BYTES);
    writeFrameHeader(bytes, 0, kind as FrameKind, length);
    return bytes;
  };
  refuses(t, header(0, 0), 'garbage');
  refuses(t, header(6, 0), 'garbage');
  refuses(t, header(255, 0xffffffff), 'garbage');
  refuses(t, header(MESSAGE, MESSAGE_BYTES_MAX + 1), 'oversized');
  refuses(t, header(MESSAGE, 0xffffffff), 'oversized');
  for (const kind of [1, 2, 3, 4]) refuses(t, header(kind, SMALL_BODY_BYTES_MAX + 1), 'oversized');
  reader().reader.push(header(MESSAGE, MESSAGE_BYTES_MAX));
});

function refuses(t: Assertions, bytes: Buffer, reason: string): void {
  const { frames, reader: target } = reader();
  target.push(frame(BEAT, Buffer.alloc(0)));
  try {
    target.push(bytes);
    t.fail(`taken: ${bytes.toString('hex')}`);
  } catch (error) {
    t.is(error instanceof FrameError && error.reason, reason);
  }
  t.is(frames.length, 1, 'what came before it counts');
}

test('a reader that is told so stops within a chunk', (t) => {
  let count = 0;
  const target = new FrameReader(() => ++count < 2);
  target.push(Buffer.concat([1, 2, 3].map(() => frame(BEAT, Buffer.alloc(0)))));
  t.is(count, 2);
});

test('what leaves an outbox are whole frames, in their order, copied when they were put in', (t) => {
  const random = new Random(3);
  const outbox = new Outbox();
  const { frames, reader: target } = reader();
  const sent: Buffer[] = [];
  for (let round = 0; round < 3000; round++) {
    const length = random.chance(0.05) ? random.below(300_000) : random.below(3000);
    const body = randomBody(random, length % 5000 === 0 ? 0 : length);
    sent.push(Buffer.from(body));
    const cut = random.below(body.length + 1);
    outbox.append(MESSAGE, [body.subarray(0, cut), body.subarray(cut)]);
    body.fill(0);
    if (!random.chance(0.2)) continue;
    for (const piece of drain(outbox)) {
      target.push(piece);
      if (!target.isBetweenFrames) t.fail('half a frame');
    }
    if (outbox.bytes !== 0) t.fail(`${outbox.bytes} bytes are left of nothing`);
  }
  for (const piece of drain(outbox)) target.push(piece);
  t.is(frames.length, sent.length);
  t.ok(frames.every(({ body }, index) => body.equals(sent[index]!)));
});

test('small frames leave together, and what has left is not written to again', (t) => {
  const outbox = new Outbox();
  outbox.append(BEAT, []);
  const first = outbox.take()!;
  t.is(first.length, FRAME_HEADER_BYTES);
  for (let count = 0; count < 10; count++) outbox.append(MESSAGE, [Buffer.alloc(100, count)]);
  t.is(outbox.bytes, 10 * (FRAME_HEADER_BYTES + 100));
  const before = Buffer.from(first);
  const pieces = drain(outbox);
  t.is(pieces.length, 1);
  t.alike(first, before);
});

const HELLO_SAID = {
  ...({ carries: CARRIES_DATA, highest: SESSION_MAX, open: 5 } as const),
  ...{ process: Buffer.alloc(16, 1), channel: Buffer.alloc(16, 2) },
};

test('hellos and numbers of sessions are read as they were written', (t) => {
  t.alike(decodeHello(encodeHello(HELLO_SAID)), HELLO_SAID);
  for (const session of [1, 2 ** 32, SESSION_MAX]) t.is(decodeOpen(encodeOpen(session)), session);
});

test('hellos that are none are refused', (t) => {
  const hello = encodeHello(HELLO_SAID);
  t.ok(hello.length <= SMALL_BODY_BYTES_MAX);
  const changed = (at: number, value: number) => {
    const body = Buffer.from(hello);
    body[at] = value;
    return body;
  };
  const wrong: [string, Buffer][] = [
    ['the magic', changed(0, 0)],
    ['lanes', changed(6, 0)],
    ['lanes', changed(6, 4)],
    ['reserved', changed(7, 1)],
    ['highest', changed(hello.length - 9, 0xff)],
    ['an open session above the highest', encodeHello({ ...HELLO_SAID, highest: 4 })],
    ['too short', hello.subarray(0, -1)],
    ['too long', Buffer.concat([hello, Buffer.alloc(1)])],
    ['empty', Buffer.alloc(0)],
  ];
  for (const [what, body] of wrong) throws(t, () => decodeHello(body), WireError, what);
  throws(t, () => decodeHello(changed(4, 9)), VersionError, 'version');
  throws(t, () => decodeHello(changed(4, 9).subarray(0, 10)), VersionError, 'a version with another layout');
  for (const body of [Buffer.alloc(0), Buffer.alloc(8), Buffer.alloc(9), Buffer.alloc(8, 0xff)]) {
    throws(t, () => decodeOpen(body), WireError, body.toString('hex'));
  }
});

function throws(t: Assertions, act: () => unknown, kind: new (message: string) => Error, what: string): void {
  try {
    act();
    t.fail(`taken: ${what}`);
  } catch (error) {
    t.ok(error instanceof kind, what);
  }
}

test('the next session is above all that either end knows', (t) => {
  t.is(nextSession(7, { ...HELLO_SAID, highest: 5 }), 8);
  t.is(nextSession(5, { ...HELLO_SAID, highest: 7 }), 8);
  t.ok(sessionsBefore(3) > sessionsBefore(2) + 1_000_000);
});

test('which of two channels has the session', (t) => {
  const hello = { ...HELLO_SAID, highest: 0, open: 0 };
  const session = { number: 9, channel: { hello, isOffered: false } };
  const offered = { number: 9, channel: { hello, isOffered: true } };
  const of = (highest: number, open: number) => ({ ...hello, highest, open });
  const restarted = { ...hello, process: Buffer.alloc(16, 9) };
  const cases: [string, typeof session, Parameters<typeof gives>[1], boolean][] = [
    [
      'dialled at the same time: it did not know the session yet',
      session,
      { hello: of(8, 8), isOffered: false },
      false,
    ],
    ['dialled before it knew that it had the session', session, { hello: of(9, 9), isOffered: false }, false],
    ['it has lost the session', session, { hello: of(9, 0), isOffered: false }, true],
    ['it has started anew', session, { hello: restarted, isOffered: false }, true],
    ['TCP is better than what was offered', offered, { hello: of(9, 9), isOffered: false }, true],
    ['what is offered is kept for later', session, { hello: of(9, 9), isOffered: true }, false],
    ['TCP that was lost is dialled first', session, { hello: of(9, 0), isOffered: true }, false],
    ['one that was offered is as good as the other', offered, { hello: of(9, 9), isOffered: true }, false],
    ['but not when it was lost', offered, { hello: of(9, 0), isOffered: true }, true],
    ['or when the host has started anew', offered, { hello: restarted, isOffered: true }, true],
  ];
  for (const [what, has, candidate, expected] of cases) t.is(gives(has, candidate), expected, what);
});

test('there is room for the longest message', (t) => {
  t.ok(MESSAGE_BYTES_MAX >= CODEC_BYTES_MAX);
});

test('kinds keep their numbers', (t) => {
  t.alike([HELLO, 2, 3, BEAT, MESSAGE], [1, 2, 3, 4, 5]);
  const hello = encodeHello({ ...HELLO_SAID, carries: CARRIES_BOTH, highest: 258, open: 1 });
  const [process, channel] = ['01'.repeat(16), '02'.repeat(16)];
  t.is(hello.toString('hex'), `5348504c01000300${process}${channel}02010000000000000100000000000000`);
});

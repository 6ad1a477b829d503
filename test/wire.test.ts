/** The format of messages between hosts: what is sent arrives, and what is no message is refused, whatever it is. */
import { type Assertions, test } from 'brittle';
import { WireError } from '../lib/net/links.js';
import type { Body, Message } from '../lib/replication/messages.js';
import { MESSAGE_BYTES_MAX } from '../lib/replication/wire/limits.js';
import { messageCodec, WIRE_VERSION } from '../lib/replication/wire/message-codec.js';
import { OBJECT_BYTES } from '../lib/store/constants.js';
import { Random } from './helpers/random.js';
import { RandomMessages } from './helpers/random-messages.js';
import { readWireFixtures } from './helpers/wire-fixtures.js';

const ROUNDS = 200;
const FUZZ_ROUNDS = 40_000;
const DATA_BYTES_MAX = 8192;
/** What decoding a message may allocate: so much a byte of it, and what the heap's own bookkeeping comes to. */
const HEAP_BYTES_PER_BYTE = 128;
const HEAP_BYTES_SLACK = 512 * 1024;

function seedOf(t: Assertions): number {
  const seed = Number(process.env.SEED ?? Date.now()) >>> 0;
  t.comment(`seed ${seed}`);
  return seed;
}

function bytesOf(message: Message): Buffer {
  return Buffer.concat(messageCodec.encode(message));
}

/** The message; null where it was refused. Anything else that is thrown is thrown on. */
function decoded(bytes: Buffer): Message | null {
  try {
    return messageCodec.decode(bytes);
  } catch (error) {
    if (error instanceof WireError && error.code === 'BAD_MESSAGE') return null;
    throw error;
  }
}

function refuses(t: Assertions, bytes: Buffer, what: string): void {
  t.is(decoded(bytes), null, what);
}

/** As `t.alike`, silent where it is so. */
function checkAlike(t: Assertions, actual: Message, wanted: Message, what: string): void {
  if (JSON.stringify(actual) !== JSON.stringify(wanted)) t.alike(actual, wanted, what);
}

test('a message of every kind, whatever its fields hold, arrives as it was sent', (t) => {
  const random = new Random(seedOf(t));
  const messages = new RandomMessages(random, DATA_BYTES_MAX);
  for (const [name, message] of Object.entries(messages.all()))
    t.alike(messageCodec.decode(bytesOf(message)), message, name);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, message] of Object.entries(messages.all())) {
      checkAlike(t, messageCodec.decode(bytesOf(message)), message, name);
    }
  }
});

test('messages of this version are what they always were', (t) => {
  const fixtures = readWireFixtures(WIRE_VERSION);
  const kinds = Object.keys(new RandomMessages(new Random(1), 1).all());
  t.alike(Object.keys(fixtures).sort(), kinds.sort(), 'there is one of each kind');
  for (const [name, { message, bytes }] of Object.entries(fixtures)) {
    t.alike(messageCodec.decode(bytes), message, name);
    t.alike(bytesOf(message), bytes, `${name}, written`);
  }
});

test('data is neither copied into a message nor out of it', (t) => {
  const data = Buffer.alloc(4096, 1);
  const common = { request: 1, disk: 1, copies: 3, pg: 1, since: 1, vdi: 1, generation: 1, index: 1 };
  const chain = { family: 1, layers: [{ layer: 1, limit: 0 }] };
  const holder = { incarnation: 1, done: 0, olderDone: true, sequence: 1 };
  const block = { offset: 0, data };
  const equal = {
    kind: 'equal',
    eras: [],
    layer: 1,
    shape: { kind: 'hole' },
    within: { offset: 0, length: 1 },
  } as const;
  const doubts = { ranges: [], incomplete: [], lost: false };
  const reply = (body: Body): Message => ({ type: 'reply', request: 1, body });
  /** What is looked for in a message is there, if it is the one that was sent. */
  type Any = { change: { data: Buffer; blocks: { data: Buffer }[] } } & { body: Buffer & { data: Buffer }[] } & {
    body: { blocks: Buffer[] };
  };
  const withData: Record<string, [Message, (message: Any) => Buffer]> = {
    write: [
      { type: 'change', ...common, ...holder, chain, change: { kind: 'write', ...block } },
      (message) => message.change.data,
    ],
    equal: [
      { type: 'change', ...common, ...holder, chain, change: { ...equal, blocks: [block] } },
      (message) => message.change.blocks[0]!.data,
    ],
    read: [reply(data), (message) => message.body],
    extract: [reply([block]), (message) => message.body[0]!.data],
    fetch: [reply({ blocks: [data], doubts }), (message) => message.body.blocks[0]!],
  };
  for (const [name, [message, dataOf]] of Object.entries(withData)) {
    const [head, bulk, ...more] = messageCodec.encode(message);
    t.is(bulk, data, `${name}: a part is the data itself`);
    t.is(more.length, 0);
    t.ok(head!.length < 128, `the rest has ${head!.length} bytes`);
    const body = Buffer.concat([head!, bulk!]);
    const found = dataOf(messageCodec.decode(body) as unknown as Any);
    t.alike(found, data);
    body[body.length - 1] = 2;
    t.is(found.at(-1), 2, 'and comes out as a part of the bytes');
    t.is(messageCodec.laneOf(message), 'data');
  }
});

test('what may be long goes by the lane of data, what others wait for by that of control', (t) => {
  const lanes: Record<string, string[]> = { control: [], data: [] };
  for (const [name, message] of Object.entries(new RandomMessages(new Random(1), 100).all())) {
    lanes[messageCodec.laneOf(message)]!.push(name);
  }
  t.alike(lanes.data!.sort(), [
    'change: equal',
    'change: write',
    'reply: blocks',
    'reply: bytes',
    'reply: described',
    'reply: fetched',
    'reply: indexes',
    'reply: listed',
  ]);
});

test('another version, an unknown kind, and what is left over or missing are refused', (t) => {
  const message: Message = { type: 'reply', request: 300, refusal: { reason: 'map', epoch: 7 } };
  const bytes = bytesOf(message);
  t.alike(decoded(bytes), message);
  const changed = (at: number, byte: number) => {
    const copy = Buffer.from(bytes);
    copy[at] = byte;
    return copy;
  };
  refuses(t, changed(0, WIRE_VERSION + 1), 'a later version');
  refuses(t, changed(0, 0), 'an earlier version');
  refuses(t, changed(5, 0), 'no kind of message');
  refuses(t, changed(5, 200), 'a kind that is not known');
  refuses(t, changed(9, 16), 'a kind of answer that is not known');
  refuses(t, changed(10, 6), 'a reason of a refusal that is not known');
  refuses(t, changed(1, bytes.length - 1), 'a head that ends before its fields');
  refuses(t, changed(4, 1), 'a head that is longer than all');
  refuses(t, Buffer.concat([bytes, Buffer.alloc(1)]), 'data of nothing');
  const longer = Buffer.concat([bytes, Buffer.alloc(1)]);
  longer.writeUInt32LE(longer.length, 1);
  refuses(t, longer, 'a head with something behind its fields');
  for (let length = 0; length < bytes.length; length++)
    refuses(t, bytes.subarray(0, length), `its first ${length} bytes`);
});

test('a number has one form, and is in its range', (t) => {
  const release = (request: number[]) => {
    const bytes = Buffer.from([WIRE_VERSION, 0, 0, 0, 0, 13, ...request, 1, 1, 1]);
    bytes.writeUInt32LE(bytes.length, 1);
    return decoded(bytes);
  };
  t.is((release([252]) as { request: number }).request, 252);
  t.is((release([0xfd, 253, 0]) as { request: number }).request, 253);
  t.is(release([0xfd, 252, 0]), null, 'in more bytes than it needs');
  t.is((release([0xfe, 0, 0, 1, 0]) as { request: number }).request, 65536);
  t.is(release([0xfe, 255, 255, 0, 0]), null);
  t.is((release([0xff, 0, 0, 0, 0, 1, 0, 0, 0]) as { request: number }).request, 2 ** 32);
  t.is(release([0xff, 255, 255, 255, 255, 0, 0, 0, 0]), null);
  const largest = [0xff, 255, 255, 255, 255, 255, 255, 31, 0];
  t.is((release(largest) as { request: number }).request, Number.MAX_SAFE_INTEGER);
  t.is(release([0xff, 0, 0, 0, 0, 0, 0, 32, 0]), null, 'beyond what a double counts exactly');
  const sent: Message = { type: 'attributes', request: 1, vdi: 2 ** 32, generation: 1 };
  for (const vdi of [2 ** 32, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.exception(() => messageCodec.encode({ ...sent, vdi }), /number/, `an image ${vdi} is not sent`);
  }
});

test('what goes beyond an object, or beyond a limit, is neither sent nor taken', (t) => {
  const source = { request: 1, disk: 1, copies: 3, pg: 1, epoch: 1, family: 1, index: 1, layer: 1, serial: 1 };
  const half = { offset: 0, length: OBJECT_BYTES / 2 };
  t.ok(messageCodec.encode({ type: 'fetch', ...source, ranges: [half, half] }));
  t.exception(() => messageCodec.encode({ type: 'fetch', ...source, ranges: [half, half, half] }), /more is asked/);
  t.exception(
    () => messageCodec.encode({ type: 'fetch', ...source, ranges: [{ ...half, offset: OBJECT_BYTES - 1 }] }),
    /beyond its object/,
  );
  t.exception(() => messageCodec.encode({ type: 'fetch', ...source, ranges: [], copies: 6 }), /copies/);
  t.exception(() => messageCodec.encode({ type: 'fetch', ...source, ranges: [], copies: 0 }), /copies/);
  const data = Buffer.alloc(OBJECT_BYTES);
  const blocks = Array.from({ length: MESSAGE_BYTES_MAX / OBJECT_BYTES }, () => data);
  const doubts = { ranges: [], incomplete: [], lost: false };
  t.exception(() => messageCodec.encode({ type: 'reply', request: 1, body: { blocks, doubts } }), /a message of/);
  refuses(t, Buffer.alloc(MESSAGE_BYTES_MAX + 1, WIRE_VERSION), 'a message that is too long');
  t.exception(
    () => messageCodec.encode({ type: 'report', report: { type: 'reaches', host: 'h'.repeat(256), peers: [] } }),
    /host's name/,
  );
  t.exception(
    () => messageCodec.encode({ type: 'report', report: { type: 'reaches', host: '\ud800', peers: [] } }),
    /Unicode/,
  );
});

/** Bytes that are nearly a message. */
function mutated(random: Random, bytes: Buffer, other: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const at = () => random.below(copy.length);
  switch (random.below(7)) {
    case 0:
      copy[at()]! ^= 1 << random.below(8);
      return copy;
    case 1:
      copy[at()] = random.below(256);
      return copy;
    case 2:
      copy.fill(random.chance(0.5) ? 0xff : 0, at(), copy.length);
      return copy;
    case 3:
      return copy.subarray(0, at());
    case 4: {
      const tail = Buffer.alloc(1 + random.below(16));
      random.fill(tail);
      const longer = Buffer.concat([copy, tail]);
      if (random.chance(0.5)) longer.writeUInt32LE(longer.length, 1);
      return longer;
    }
    case 5:
      return Buffer.concat([copy.subarray(0, at()), other.subarray(random.below(other.length))]);
    default: {
      for (let count = 1 + random.below(4); count > 0; count--) copy[Math.min(at(), 5 + random.below(40))] = 0xff;
      return copy;
    }
  }
}

function noise(random: Random): Buffer {
  const bytes = Buffer.alloc(random.below(200));
  random.fill(bytes);
  // Past what would be refused at once, most of the time.
  if (bytes.length > 6 && random.chance(0.9)) {
    bytes[0] = WIRE_VERSION;
    bytes.writeUInt32LE(bytes.length - random.below(bytes.length - 5), 1);
    bytes[5] = 1 + random.below(15);
  }
  return bytes;
}

test('any bytes are a message, the only form of it, or are refused; and nothing large is made of a few', (t) => {
  const random = new Random(seedOf(t));
  const messages = new RandomMessages(random, 64);
  let [taken, refused, grownMax] = [0, 0, 0];
  let pool: Buffer[] = [];
  for (let round = 0; round < FUZZ_ROUNDS; round++) {
    if (round % 1000 === 0) pool = Object.values(messages.all()).map(bytesOf);
    const pick = () => pool[random.below(pool.length)]!;
    const bytes = random.chance(0.8) ? mutated(random, pick(), pick()) : noise(random);
    const before = process.memoryUsage().heapUsed;
    const message = decoded(bytes);
    const grown = process.memoryUsage().heapUsed - before;
    grownMax = Math.max(grownMax, grown);
    if (grown > HEAP_BYTES_SLACK + bytes.length * HEAP_BYTES_PER_BYTE)
      t.fail(`${grown} bytes for ${bytes.toString('hex')}`);
    if (message === null) {
      refused++;
      continue;
    }
    taken++;
    if (!bytesOf(message).equals(bytes))
      t.fail(`another form of ${bytesOf(message).toString('hex')}: ${bytes.toString('hex')}`);
  }
  t.comment(`${taken} were messages, ${refused} were none; decoding one took ${grownMax} bytes at most`);
  t.ok(taken > FUZZ_ROUNDS / 100 && refused > FUZZ_ROUNDS / 2);
});

test('a count of many makes nothing before they are there', (t) => {
  const many = [0xfe, 0, 0, 1, 0];
  const head = (kind: number, ...fields: number[]) => {
    const bytes = Buffer.from([WIRE_VERSION, 0, 0, 0, 0, kind, ...fields]);
    bytes.writeUInt32LE(bytes.length, 1);
    return bytes;
  };
  const refusedFor = (bytes: Buffer): string => {
    try {
      messageCodec.decode(bytes);
    } catch (error) {
      if (error instanceof WireError) return error.message;
    }
    return '';
  };
  t.ok(/there are no 65536 indexes/.test(refusedFor(head(3, 1, 6, ...many))));
  t.ok(/number of indexes/.test(refusedFor(head(3, 1, 6, 0xfe, 1, 0, 1, 0))), 'nor is it read beyond its limit');
  t.ok(/less data than it says/.test(refusedFor(head(3, 1, 2, 0xfe, 0, 0, 64, 0))), 'data of 4 MiB');
  t.ok(/number of bytes of an object/.test(refusedFor(head(3, 1, 2, 0xfe, 1, 0, 64, 0))), 'and a byte more');
});

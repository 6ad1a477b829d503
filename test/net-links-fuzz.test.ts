import { Duplex } from 'node:stream';
import { test } from 'brittle';
import { createAuthority } from '../lib/net/authority.js';
import { BEAT, FRAME_HEADER_BYTES, type FrameKind, HELLO, MESSAGE, OPEN, writeFrameHeader } from '../lib/net/frames.js';
import { CARRIES_BOTH, encodeHello, encodeOpen } from '../lib/net/hello.js';
import { hostId, LinkHost } from './helpers/link-host.js';
import { Random } from './helpers/random.js';
import { bulk, control, type TestMessage, testCodec } from './helpers/test-codec.js';

const ROUNDS = 3000;
const SEED = Number(process.env.SEED ?? 20);

/** Takes everything and says what it is told to. */
class Script extends Duplex {
  override _read(): void {}

  override _write(_chunk: unknown, _encoding: BufferEncoding, callback: () => void): void {
    callback();
  }
}

function frame(kind: FrameKind, body: Buffer): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  writeFrameHeader(header, 0, kind, body.length);
  return Buffer.concat([header, body]);
}

/** What the deciding end of a pair says: below TLS, which would let nothing pass that was changed. */
function conversation(random: Random): { stream: Buffer; sent: TestMessage[] } {
  const [process, channel] = [Buffer.alloc(16, 1), Buffer.alloc(16)];
  const frames = [
    frame(HELLO, encodeHello({ carries: CARRIES_BOTH, process, channel, highest: 0, open: 0 })),
    frame(OPEN, encodeOpen(1)),
  ];
  const sent: TestMessage[] = [];
  for (let number = 0; number < 12; number++) {
    if (random.chance(0.2)) frames.push(frame(BEAT, Buffer.alloc(0)));
    const data = Buffer.alloc(random.below(random.chance(0.2) ? 5000 : 30));
    random.fill(data);
    const message = random.chance(0.5) ? control(number, data) : bulk(number, data);
    sent.push(message);
    frames.push(frame(MESSAGE, Buffer.concat(testCodec.encode(message))));
  }
  return { stream: Buffer.concat(frames), sent };
}

type Mutation = (random: Random, stream: Buffer) => Buffer;

const MUTATIONS: readonly Mutation[] = [
  function flipBit(random, stream) {
    const at = random.below(stream.length);
    stream[at]! ^= 1 << random.below(8);
    return stream;
  },
  function setByte(random, stream) {
    stream[random.below(stream.length)] = random.below(256);
    return stream;
  },
  function setLength(random, stream) {
    if (stream.length >= 4) stream.writeUInt32LE(random.below(2 ** 32), random.below(stream.length - 3));
    return stream;
  },
  function remove(random, stream) {
    const at = random.below(stream.length);
    return Buffer.concat([stream.subarray(0, at), stream.subarray(at + 1 + random.below(40))]);
  },
  function insert(random, stream) {
    const added = Buffer.alloc(1 + random.below(40));
    random.fill(added);
    const at = random.below(stream.length);
    return Buffer.concat([stream.subarray(0, at), added, stream.subarray(at)]);
  },
  function repeat(random, stream) {
    const from = random.below(stream.length);
    const to = random.below(stream.length);
    const part = stream.subarray(from, from + random.below(300));
    return Buffer.concat([stream.subarray(0, to), part, stream.subarray(to)]);
  },
  function truncate(random, stream) {
    return stream.subarray(0, 1 + random.below(stream.length));
  },
];

test(`bytes that were changed at random are no message that was not sent; SEED=${SEED}`, async (t) => {
  const authority = await createAuthority('6f2d1c7e-4f0b-4a77-9a5e-0d6f6a1c2b3d');
  // The other one decides, whoever that is.
  const host = await LinkHost.open(t, hostId(ROUNDS + 1), { authority });
  const random = new Random(SEED);
  let delivered = 0;
  let whole = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const peer = hostId(round + 1);
    host.connect([peer]);
    host.receipts.length = 0;
    const { stream, sent } = conversation(random);
    let bytes: Buffer = Buffer.from(stream);
    const isChanged = !random.chance(0.1);
    if (isChanged) {
      for (let count = 1 + random.below(3); count > 0 && bytes.length > 0; count--) {
        bytes = MUTATIONS[random.below(MUTATIONS.length)]!(random, Buffer.from(bytes));
      }
    }
    const script = new Script();
    host.call(() => host.links.offer(peer, script));
    for (let at = 0; at < bytes.length && !script.destroyed; ) {
      const length = random.chance(0.3) ? 1 + random.below(20) : 1 + random.below(8000);
      script.push(Buffer.from(bytes.subarray(at, at + length)));
      at += length;
      await new Promise(setImmediate);
    }
    script.push(null);
    await new Promise(setImmediate);
    const known = new Set(sent.map(keyOf));
    for (const { message } of host.receipts) {
      delivered++;
      if (!known.has(keyOf(message))) t.fail(`round ${round}: a message that was not sent`);
    }
    if (isChanged) continue;
    whole++;
    if (host.receipts.length !== sent.length) t.fail(`round ${round}: ${host.receipts.length} of ${sent.length}`);
  }
  t.ok(whole > ROUNDS / 20 && delivered > whole * 12, `${delivered} messages arrived, ${whole} streams were whole`);
  const { closed } = host.links.counters;
  for (const reason of ['garbage', 'oversized', 'truncated', 'message', 'protocol', 'version'] as const) {
    t.ok(closed[reason] > 0, `${closed[reason]} closed: ${reason}`);
  }
  t.alike(host.faults, []);
});

function keyOf({ lane, number, data }: TestMessage): string {
  return `${lane} ${number} ${data.toString('hex')}`;
}

/**
 * How many messages of the path of I/O become bytes, and messages again, in a second of CPU time. Run by itself:
 * `node dist/bench/wire.js`.
 */
import type { Message } from '../lib/replication/messages.js';
import { messageCodec } from '../lib/replication/wire/message-codec.js';

const RUN_MS = 1000;
const BATCH = 1000;
const DATA = Buffer.alloc(4096, 7);

const chain = { family: 1203, layers: [{ layer: 9, limit: 0 }] };
const common = { disk: 17, copies: 3, since: 412, vdi: 4711, generation: 98, chain };
const object = { ...common, pg: 801, index: 70123 };
const progress = { incarnation: 55, done: 1_234_500, olderDone: true };

const MESSAGES: Readonly<Record<string, Message>> = {
  'change, 4 KiB': {
    type: 'change',
    request: 3_456_789,
    ...object,
    ...progress,
    sequence: 1_234_567,
    change: { kind: 'write', offset: 1_048_576, data: DATA },
  },
  'its answer': { type: 'reply', request: 3_456_789 },
  read: { type: 'read', request: 3_456_790, ...object, offset: 1_048_576, length: 4096 },
  'its answer, 4 KiB': { type: 'reply', request: 3_456_790, body: DATA },
  'flush, of 16 groups': {
    type: 'flush',
    request: 3_456_791,
    ...{ ...common, pgs: Array.from({ length: 16 }, (_, at) => 801 + at) },
    ...progress,
  },
};

for (const [name, message] of Object.entries(MESSAGES)) {
  const body = Buffer.concat(messageCodec.encode(message));
  const encoded = perSecond(() => messageCodec.encode(message));
  const decoded = perSecond(() => messageCodec.decode(body));
  console.log(`${name.padEnd(20)} ${body.length} bytes: ${encoded} encoded, ${decoded} decoded in a second of CPU`);
}

function perSecond(work: () => unknown): string {
  let count = 0;
  for (let warm = 0; warm < 200_000; warm++) work();
  const start = process.cpuUsage();
  let used = 0;
  do {
    for (let at = 0; at < BATCH; at++) work();
    count += BATCH;
    const { user, system } = process.cpuUsage(start);
    used = (user + system) / 1000;
  } while (used < RUN_MS);
  return Math.round((count / used) * 1000).toLocaleString('en');
}

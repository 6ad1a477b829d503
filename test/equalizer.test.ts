/** What a fence has found is made equal, by members that answer by hand. */
import { test } from 'brittle';
import { Equalizer } from '../lib/replication/equalizer.js';
import { CHAIN, mapOf } from './helpers/member-script.js';
import { Settled, settle, WriterScript } from './helpers/writer-script.js';

const { family, layers } = CHAIN;
const { layer } = layers[0]!;
const BELOW = layer + 1000;

/** All disks that were asked answer that they have nothing of the layer, so that it is equal. */
async function nothing(script: WriterScript): Promise<void> {
  for (const { request } of script.sent.splice(0)) {
    script.writer.replied({ type: 'reply', request, body: { merges: '', era: '', layer: null } });
  }
  await settle();
}

test('what is compared while members change is compared again with all that are members then', async (t) => {
  const script = new WriterScript(mapOf(1, [{ acting: [1, 2], insync: [1, 2] }]), []);
  const found = [layer, BELOW].map((each) => ({ family, layer: each, index: 0, blocks: null }));
  const equalizer = new Equalizer(script.writer, found, () => CHAIN, settle);
  const equal = new Settled(equalizer.all());
  await settle();
  t.is(script.notes, 'change 0 to 1, change 0 to 2', 'the first of the two objects');
  await nothing(script);
  t.is(script.notes, 'change 0 to 1, change 0 to 2', 'the second');
  script.writer.mapAdopted(mapOf(2, [{ since: 2, acting: [1, 2, 4], insync: [1, 2] }]));
  t.is(script.notes, 'change 0 to 1, change 0 to 2, change 0 to 4', 'the second again');
  await nothing(script);
  t.ok(equal.isPending, 'disk 4 has not been looked at for the first');
  t.is(script.notes, 'change 0 to 1, change 0 to 2, change 0 to 4');
  await nothing(script);
  t.is(script.notes, 'change 0 to 1, change 0 to 2, change 0 to 4');
  await nothing(script);
  await settle();
  t.absent(equal.isPending);
  t.ok(equalizer.isDone);
});

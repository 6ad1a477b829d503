import { type Assertions, test } from 'brittle';
import { ImageModel, WriteNumbers } from './simulation/image-model.js';
import { SECTOR_BYTES, stampedData } from './simulation/stamps.js';

const MIB = 1024 ** 2;
const GUEST = {};
const OTHER = {};
const ZEROS = Buffer.alloc(SECTOR_BYTES);

/** Which of these one sector at `offset` may show: `zeros`, or the number of a write. */
function mayShow(t: Assertions, model: ImageModel, offset: number, wanted: (number | 'zeros')[]): void {
  for (const what of ['zeros', 1, 2, 3] as const) {
    const data = what === 'zeros' ? ZEROS : stampedData(what, offset, SECTOR_BYTES);
    let shown = true;
    try {
      model.beginRead(null, offset, SECTOR_BYTES)(data);
    } catch {
      shown = false;
    }
    t.is(shown, wanted.includes(what), `${what} at ${offset}`);
  }
}

test('a wide discard counts for sectors that nothing was known of before', (t) => {
  const model = new ImageModel(new WriteNumbers());
  const discard = model.begin(GUEST, 0, 4 * MIB, true);
  const write = model.begin(OTHER, MIB, SECTOR_BYTES, false);
  model.acknowledge(write, false);
  // Both were under way at once: the discard may come after the write.
  mayShow(t, model, MIB, ['zeros', 2]);
  model.acknowledge(discard, false);
  const later = model.begin(OTHER, MIB, SECTOR_BYTES, false);
  model.acknowledge(later, false);
  mayShow(t, model, MIB, [3]);
  mayShow(t, model, 2 * MIB, ['zeros']);
});

test('a wide discard that is over hides what was written before, and only then', (t) => {
  const model = new ImageModel(new WriteNumbers());
  const write = model.begin(GUEST, MIB, SECTOR_BYTES, false);
  model.acknowledge(write, false);
  const discard = model.begin(GUEST, 0, 4 * MIB, true);
  mayShow(t, model, MIB, ['zeros', 1]);
  model.acknowledge(discard, false);
  mayShow(t, model, MIB, ['zeros']);
});

test('a power cut of every copy may bring back what a wide discard hid, until that is flushed', (t) => {
  for (const isFlushed of [false, true]) {
    const model = new ImageModel(new WriteNumbers());
    const write = model.begin(GUEST, MIB, SECTOR_BYTES, false);
    model.acknowledge(write, false);
    model.beginFlush(() => true)();
    const discard = model.begin(GUEST, 0, 4 * MIB, true);
    model.acknowledge(discard, false);
    if (isFlushed) model.beginFlush(() => true)();
    // One that nothing was known of before.
    const later = model.begin(GUEST, 2 * MIB, SECTOR_BYTES, false);
    model.acknowledge(later, false);
    model.lose(() => true);
    const shows = (number: number, offset: number) => {
      model.beginRead(null, offset, SECTOR_BYTES)(stampedData(number, offset, SECTOR_BYTES));
    };
    if (isFlushed) t.exception(() => shows(1, MIB));
    // Throws where it may not.
    else shows(1, MIB);
    shows(3, 2 * MIB);
    t.pass();
  }
});

import { test } from 'brittle';
import { OPERATION_SECONDS_MAX } from '../lib/store/constants.js';
import { OperationWatch } from '../lib/store/operation-watch.js';

test('an operation that does not end is noticed after ten ticks, however many end meanwhile', (t) => {
  const watch = new OperationWatch();
  for (let i = 0; i < 5; i++) t.absent(watch.tick());
  const stuck = watch.begin();
  for (let i = 1; i < OPERATION_SECONDS_MAX; i++) {
    const others = Array.from({ length: 10 }, () => watch.begin());
    t.absent(watch.tick(), `after ${i} s`);
    for (const other of others) watch.end(other);
  }
  t.ok(watch.tick());
  t.is(watch.running, 1);
  watch.end(stuck);
  t.absent(watch.tick());
  t.is(watch.running, 0);
});

import { test } from 'brittle';
import { formatSize, parseSize, SIZE_BYTES_MAX } from '../lib/cli/size.js';

test('size: what people write is read', (t) => {
  const cases: [string, number][] = [
    ['0', 0],
    ['1', 1],
    ['512', 512],
    ['1K', 1024],
    ['1k', 1024],
    ['64MiB', 64 * 1024 ** 2],
    ['10G', 10 * 1024 ** 3],
    [' 10 G ', 10 * 1024 ** 3],
    ['1.5G', 1.5 * 1024 ** 3],
    ['0.1T', 109951162778],
    ['2T', 2 * 1024 ** 4],
    ['7P', 7 * 1024 ** 5],
    ['9007199250546688', SIZE_BYTES_MAX],
    ['007', 7],
  ];
  for (const [given, bytes] of cases) t.is(parseSize(given), bytes, JSON.stringify(given));
});

test('size: what is no size is refused with one line that quotes it', (t) => {
  const refused = ['', ' ', '-1', '-1G', '+1', 'NaN', 'Infinity', '1e3', '0x10', 'G', '1.G', '.5G', '1,5G', '10GB'];
  refused.push('10X', '1 2', '1.5', '1.0', '9007199250546689', '8P', '1'.repeat(400), '10G\n10G', '１０G');
  for (const given of refused) {
    try {
      t.fail(`${JSON.stringify(given)} was read as ${parseSize(given)}`);
    } catch (error) {
      t.is((error as { code?: string }).code, 'BAD_SIZE', (error as Error).message);
      t.absent((error as Error).message.includes('\n'), 'one line');
      t.ok((error as Error).message.startsWith(JSON.stringify(given.slice(0, 40)).slice(0, -1)), 'that quotes it');
    }
  }
});

test('size: sizes are written short', (t) => {
  const cases: [number, string][] = [
    [0, '0'],
    [1, '1'],
    [1023, '1023'],
    [1024, '1K'],
    [1536, '1.5K'],
    [1024 ** 2 - 1, '1M'],
    [1024 ** 2 - 1024, '1023K'],
    [10 * 1024 ** 3, '10G'],
    [1.46 * 1024 ** 4, '1.46T'],
    [99.94 * 1024 ** 3, '99.9G'],
    [123.4 * 1024 ** 3, '123G'],
    [SIZE_BYTES_MAX, '8P'],
    [16 * 1024 ** 6, '16384P'],
    [-1024, '-1K'],
  ];
  for (const [bytes, written] of cases) t.is(formatSize(bytes), written);
});

test('size: what is written is read as what it says', (t) => {
  for (let bytes = 1; bytes < SIZE_BYTES_MAX; bytes = Math.floor(bytes * 1.37) + 1) {
    const back = parseSize(formatSize(bytes).replace('8P', '7.99P'));
    if (Math.abs(back - bytes) > bytes * 0.006) t.fail(`${bytes} was written ${formatSize(bytes)}`);
  }
  t.pass('within half a percent');
});

import { test } from 'brittle';
import { DURATION_SECONDS_MAX, parseDuration } from '../lib/cli/duration.js';

test('duration: what people write is read', (t) => {
  const cases: [string, number][] = [
    ['1s', 1],
    ['90s', 90],
    ['30m', 1800],
    ['12h', 43_200],
    ['7d', 604_800],
    [' 1d ', 86_400],
    ['007h', 25_200],
    ['366d', DURATION_SECONDS_MAX],
    ['31622400s', DURATION_SECONDS_MAX],
  ];
  for (const [given, seconds] of cases) t.is(parseDuration(given), seconds, JSON.stringify(given));
});

test('duration: what is no time is refused with one line that quotes it', (t) => {
  const refused = [
    '',
    ' ',
    '0s',
    '0d',
    '30',
    'm',
    '-1h',
    '+1h',
    '1.5h',
    '1,5h',
    '1 h',
    '1H',
    '1w',
    '1y',
    '1h30m',
    '1e3s',
  ];
  refused.push('367d', '31622401s', `${'9'.repeat(400)}d`, '1h\n1h', 'soon', '１h');
  for (const given of refused) {
    try {
      t.fail(`${JSON.stringify(given)} was read as ${parseDuration(given)}`);
    } catch (error) {
      t.is((error as { code?: string }).code, 'BAD_DURATION', (error as Error).message);
      t.absent((error as Error).message.includes('\n'), 'one line');
      t.ok((error as Error).message.startsWith(JSON.stringify(given.slice(0, 40)).slice(0, -1)), 'that quotes it');
    }
  }
});

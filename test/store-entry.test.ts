import { test } from 'brittle';
import {
  decodeEntry,
  decodeKey,
  decodeLayerKey,
  decodeNumber,
  decodeUsage,
  type Entry,
  encodeEntry,
  encodeKey,
  encodeLayerKey,
  encodeNumber,
  encodeUsage,
  fileName,
  HOLE,
  NO_END,
  OBJECT,
  parseFileName,
  SERIAL_MAX,
} from '../lib/store/entry.js';

test('keys come back, and sort as family, index, layer', (t) => {
  const keys = [
    { family: 0, index: 0, layer: 0 },
    { family: 1, index: 2, layer: 3 },
    { family: 1, index: 2, layer: 256 },
    { family: 1, index: 255, layer: 1 },
    { family: 1, index: 256, layer: 0 },
    { family: 2 ** 32 - 1, index: 2 ** 31, layer: 2 ** 32 - 1 },
  ];
  const encoded = keys.map(({ family, index, layer }) => encodeKey(family, index, layer));
  t.alike(encoded.map(decodeKey), keys);
  t.alike([...encoded].reverse().sort(Buffer.compare), encoded);
  t.exception(() => decodeKey(Buffer.alloc(11)), /11 bytes/);
});

test('entries come back, and others are refused', (t) => {
  const entries: Entry[] = [
    { kind: OBJECT, serial: 1, modified: 0, end: NO_END },
    { kind: OBJECT, serial: SERIAL_MAX, modified: 2 ** 48 - 1, end: 0 },
    { kind: OBJECT, serial: 77, modified: 5, end: 4 * 1024 * 1024 },
    { kind: HOLE, serial: 0, modified: 9, end: NO_END },
  ];
  t.alike(entries.map(encodeEntry).map(decodeEntry), entries);
  t.exception(() => encodeEntry({ kind: HOLE, serial: 3, modified: 0, end: NO_END }), /bad serial/);
  t.exception(() => encodeEntry({ kind: OBJECT, serial: 0, modified: 0, end: NO_END }), /bad serial/);
  t.exception(() => encodeEntry({ kind: OBJECT, serial: SERIAL_MAX + 1, modified: 0, end: NO_END }), /bad serial/);
  const entry = encodeEntry(entries[0]!);
  t.exception(() => decodeEntry(entry.subarray(0, 12)), /unknown form/);
  t.exception(() => decodeEntry(Buffer.concat([Buffer.from([3]), entry.subarray(1)])), /unknown form/);
  t.is(entry.toString('hex'), '01000000000001000000000000', 'the form on disk stays what it is');
});

test('numbers and layer keys come back', (t) => {
  for (const value of [0, 1, 2 ** 48 - 1]) t.is(decodeNumber(encodeNumber(value)), value);
  t.exception(() => decodeNumber(Buffer.alloc(5)), /5 bytes/);
  t.alike(decodeLayerKey(encodeLayerKey(3, 2 ** 32 - 1)), { family: 3, layer: 2 ** 32 - 1 });
  t.exception(() => decodeLayerKey(Buffer.alloc(9)), /9 bytes/);
  for (const usage of [
    { objects: 1, blocks: 1 },
    { objects: 2 ** 40, blocks: 2 ** 48 - 1 },
  ]) {
    t.alike(decodeUsage(encodeUsage(usage)), usage);
  }
  t.exception(() => decodeUsage(Buffer.alloc(6)), /6 bytes/);
});

test('only names that the store gives are taken for object files', (t) => {
  t.alike(parseFileName(fileName(4294967295, 12, SERIAL_MAX)), { family: 4294967295, index: 12, serial: SERIAL_MAX });
  for (const name of ['', 'a', '1.2', '1.2.3.4', '01.2.3', '1.2.0', '4294967296.1.1', '1.2.281474976710656', '1.2.x']) {
    t.is(parseFileName(name), null, name);
  }
});

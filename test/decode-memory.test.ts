import { test } from 'brittle';
import { DecodeMemory } from '../lib/cluster/decode-memory.js';

test('a text that was decoded is decoded no more, and the oldest are forgotten', (t) => {
  const memory = new DecodeMemory<{ text: string }>();
  let decoded = 0;
  const decode = (text: string) => {
    decoded++;
    return { text };
  };
  const ask = (text: string) => memory.decode(Buffer.from(text), decode);
  t.is(ask('a'), ask('a'), 'the same value');
  t.is(decoded, 1);
  for (let number = 0; number < 256; number++) ask(`${number}`);
  ask('a');
  t.is(decoded, 258);
  ask('a');
  t.is(decoded, 258);
});

test('what cannot be decoded, and what is long, is not remembered', (t) => {
  const memory = new DecodeMemory<string>();
  const fail = () => {
    throw new Error('none');
  };
  t.exception(() => memory.decode(Buffer.from('a'), fail), /none/);
  t.is(
    memory.decode(Buffer.from('a'), () => 'value'),
    'value',
  );
  const long = Buffer.alloc(5000, 'x');
  t.not(
    memory.decode(long, () => '1'),
    memory.decode(long, () => '2'),
  );
});

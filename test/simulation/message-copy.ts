/**
 * A copy of a message that shares nothing with it that could change. `structuredClone` would make plain arrays of
 * Buffers and copy the whole pool behind a short one.
 *
 * Throws TypeError for what a real link could not carry either: functions, and objects of classes.
 */
export function copyMessage<Value>(value: Value): Value {
  return copy(value) as Value;
}

function copy(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) {
    if (typeof value === 'function' || typeof value === 'symbol')
      throw new TypeError(`a message with a ${typeof value}`);
    return value;
  }
  // What there is most comes first: a good part of a simulation's time goes by here.
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return copyRecord(value as Record<string, unknown>);
  if (Array.isArray(value)) return value.map(copy);
  if (Buffer.isBuffer(value)) return Buffer.from(value);
  // Not `from`, which goes by an iterator.
  if (value instanceof Uint8Array) return value.slice();
  if (value instanceof Map) return new Map([...value].map(([key, held]) => [copy(key), copy(held)]));
  if (value instanceof Set) return new Set([...value].map(copy));
  throw new TypeError(`a message with an object of class ${value.constructor?.name}`);
}

function copyRecord(record: Record<string, unknown>): Record<string, unknown> {
  const copied: Record<string, unknown> = {};
  for (const name of Object.keys(record)) {
    const held = record[name];
    copied[name] =
      typeof held === 'object' || typeof held === 'function' || typeof held === 'symbol' ? copy(held) : held;
  }
  return copied;
}

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
  if (typeof value === 'function' || typeof value === 'symbol') throw new TypeError(`a message with a ${typeof value}`);
  if (typeof value !== 'object' || value === null) return value;
  if (Buffer.isBuffer(value)) return Buffer.from(value);
  if (value instanceof Uint8Array) return Uint8Array.from(value);
  if (Array.isArray(value)) return value.map(copy);
  if (value instanceof Map) return new Map([...value].map(([key, held]) => [copy(key), copy(held)]));
  if (value instanceof Set) return new Set([...value].map(copy));
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(`a message with an object of class ${value.constructor?.name}`);
  }
  const copied: Record<string, unknown> = {};
  for (const [name, held] of Object.entries(value)) copied[name] = copy(held);
  return copied;
}

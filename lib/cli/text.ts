/** Names may hold anything but a slash: what a terminal would obey is shown as an escape. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
  });
}

/** A time in words, of its two largest units: `1 h 5 min`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(whole / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (days > 0) return join(days, 'd', hours % 24, 'h');
  if (hours > 0) return join(hours, 'h', minutes % 60, 'min');
  if (minutes > 0) return join(minutes, 'min', whole % 60, 's');
  return `${whole} s`;
}

/** Rounded down, so that only what is done is 100%. */
export function formatPercent(part: number, whole: number): string {
  return `${whole > 0 ? Math.min(100, Math.floor((part / whole) * 100)) : 0}%`;
}

/** A moment in the local time zone: `2026-03-01 14:05:09`. */
export function formatTime(iso: string): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return '-';
  const two = (value: number) => String(value).padStart(2, '0');
  const date = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join('-');
  return `${date} ${[two(time.getHours()), two(time.getMinutes()), two(time.getSeconds())].join(':')}`;
}

/** `1 image`, `2 images`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

function join(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small > 0 ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
}

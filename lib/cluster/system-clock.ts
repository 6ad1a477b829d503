import { readFileSync } from 'node:fs';
import type { Clock } from './clock.js';

/** This machine's time. Timers do not keep the process alive. */
export const SYSTEM_CLOCK: Clock = {
  elapsedMs: () => Math.max(performance.now(), uptimeMs() - UPTIME_AT_START_MS),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms).unref();
    return () => clearTimeout(timer);
  },
};

/** Counts the time that the machine slept, which the monotonic clock may not; in steps of 10 ms. */
function uptimeMs(): number {
  return Number.parseFloat(readFileSync('/proc/uptime', 'utf8')) * 1000;
}

const UPTIME_AT_START_MS = uptimeMs() - performance.now();

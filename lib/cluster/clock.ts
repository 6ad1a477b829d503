/** Time as the cluster's rules see it; a simulated host has its own. */
export interface Clock {
  /**
   * Milliseconds that have passed, from an arbitrary start: the larger of what the monotonic clock and the host's uptime
   * say, so that a suspended host counts the time it slept. Never goes back.
   */
  elapsedMs(): number;
  /** Calls `callback` once, `ms` milliseconds from now, unless what is answered is called first. */
  after(ms: number, callback: () => void): () => void;
}

/** Resolves `ms` milliseconds from now. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}

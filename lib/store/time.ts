/** The store's way to time. */
export interface Time {
  /** Milliseconds that have passed, from an arbitrary start. */
  elapsedMs(): number;
  /** Calls `callback` once, `ms` milliseconds from now, unless what is answered is called first. */
  after(ms: number, callback: () => void): () => void;
  /** Calls `callback` again and again, until what is answered is called. Does not keep a process from ending. */
  every(ms: number, callback: () => void): () => void;
}

export const NODE_TIME: Time = {
  elapsedMs: () => performance.now(),
  after(ms, callback) {
    if (ms === 0) {
      // A turn of the event loop, which a timer would make a millisecond.
      const immediate = setImmediate(callback);
      return () => clearImmediate(immediate);
    }
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
  every(ms, callback) {
    const timer = setInterval(callback, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};

/** Resolves `ms` milliseconds from now; with 0, when other work had a turn. Rejects with what `signal` was aborted with. */
export function pause(time: Time, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      cancel();
      reject(signal!.reason);
    };
    const cancel = time.after(ms, () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    });
    if (signal?.aborted) abort();
    else signal?.addEventListener('abort', abort, { once: true });
  });
}

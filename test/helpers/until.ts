/** Milliseconds between two looks at the condition. */
const POLL_INTERVAL_MS = 10;

/**
 * Waits until `check` answers something truthy, and answers that.
 *
 * @param what names the condition in the error.
 * @param deadlineMs milliseconds until it gives up with an error.
 */
export async function until<T>(
  what: string,
  check: () => T | Promise<T>,
  deadlineMs = 10_000,
): Promise<NonNullable<T>> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const answer = await check();
    if (answer) return answer;
    if (performance.now() > end) throw new Error(`waited ${deadlineMs} ms in vain for ${what}`);
    await sleep(POLL_INTERVAL_MS);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

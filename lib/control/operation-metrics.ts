/** Upper bounds of the latency histogram, in seconds. The first few hold what a local disk answers. */
export const LATENCY_BOUNDS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

const BOUNDS_MS = Float64Array.from(LATENCY_BOUNDS, (seconds) => seconds * 1000);

/** What is counted of one kind of request. Adding to it is a few additions: no labels, no allocation. */
export class OperationMetrics {
  errors = 0;
  bytes = 0;
  secondsSum = 0;
  /** Answers by latency: one count for each bound, and last those above all of them. */
  readonly buckets = new Float64Array(LATENCY_BOUNDS.length + 1);

  /** Counts an answer that was right. `bytes`: of the payload, 0 where there is none. */
  succeeded(latencyMs: number, bytes: number): void {
    this.bytes += bytes;
    this.observe(latencyMs);
  }

  /** Counts an answer that was an error. */
  failed(latencyMs: number): void {
    this.errors++;
    this.observe(latencyMs);
  }

  /** All answers, errors too. */
  get count(): number {
    return this.buckets.reduce((sum, value) => sum + value, 0);
  }

  private observe(latencyMs: number): void {
    this.secondsSum += latencyMs / 1000;
    let bucket = 0;
    while (bucket < BOUNDS_MS.length && latencyMs > BOUNDS_MS[bucket]!) bucket++;
    this.buckets[bucket]!++;
  }
}

/** Something that is to happen at a moment of simulated time. */
export interface QueuedEvent {
  readonly atMs: number;
  /** Events of one moment happen in the order in which they were asked for. */
  readonly order: number;
  /** Null once it was cancelled or has happened. */
  callback: (() => void) | null;
}

/** Cancelled events are swept out when there are more of them than others, and at least so many. */
const SWEEP_MIN = 1024;

/** Events by their moment (a binary heap). Two runs that ask for the same events get them in the same order. */
export class EventQueue {
  #heap: QueuedEvent[] = [];
  #cancelled = 0;
  #orderNext = 0;

  /** Events that are still to happen. */
  get size(): number {
    return this.#heap.length - this.#cancelled;
  }

  add(atMs: number, callback: () => void): QueuedEvent {
    const event: QueuedEvent = { atMs, order: this.#orderNext++, callback };
    this.#heap.push(event);
    this.#rise(this.#heap.length - 1);
    return event;
  }

  /** Nothing where it was cancelled before or has happened. */
  cancel(event: QueuedEvent): void {
    if (event.callback === null) return;
    event.callback = null;
    this.#cancelled++;
    if (this.#cancelled >= SWEEP_MIN && this.#cancelled * 2 > this.#heap.length) this.#sweep();
  }

  /** The next event, which stays. */
  peek(): QueuedEvent | null {
    while (this.#heap.length > 0) {
      const first = this.#heap[0]!;
      if (first.callback !== null) return first;
      this.#cancelled--;
      this.#removeFirst();
    }
    return null;
  }

  /** Takes the next event, whose callback is the taker's to call. */
  take(): (() => void) | null {
    const first = this.peek();
    if (first === null) return null;
    this.#removeFirst();
    const { callback } = first;
    first.callback = null;
    return callback;
  }

  #removeFirst(): void {
    const last = this.#heap.pop()!;
    if (this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#sink(0);
  }

  #rise(start: number): void {
    const heap = this.#heap;
    const event = heap[start]!;
    let at = start;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #sink(start: number): void {
    const heap = this.#heap;
    const event = heap[start]!;
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, event)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = event;
  }

  #sweep(): void {
    this.#heap = this.#heap.filter((event) => event.callback !== null);
    this.#cancelled = 0;
    for (let at = (this.#heap.length >> 1) - 1; at >= 0; at--) this.#sink(at);
  }
}

function isBefore(left: QueuedEvent, right: QueuedEvent): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);
}

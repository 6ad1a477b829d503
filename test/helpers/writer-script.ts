import type { ClusterMap } from '../../lib/cluster/cluster-map.js';
import type { Change, ChangeRequest, FlushRequest, Refusal, RetireRequest } from '../../lib/replication/messages.js';
import { type Answers, Writer, type WriterPort } from '../../lib/replication/writer.js';
import { CHAIN, COPIES, VDI, write } from './member-script.js';

type Sent = ChangeRequest | FlushRequest | RetireRequest;

/** A writer of generation 5 whose members are a test: what it sends is noted in order, and answered by hand. */
export class WriterScript implements WriterPort {
  readonly writer: Writer;
  /** Everything that was sent, the newest last. */
  readonly sent: Sent[] = [];
  #notes: string[] = [];
  #request = 0;

  constructor(map: ClusterMap, unheard: readonly number[] | null = null) {
    const options = { vdi: VDI, copies: COPIES, generation: 5, incarnation: 1, map, unheard, chain: () => CHAIN };
    this.writer = new Writer({ ...options, pgOf: (index) => index % 4, port: this });
  }

  /** What the writer did since this was called last: `change 4 to 1`, `flush 0,1 of 2 since 3`, and so on. */
  get notes(): string {
    return this.#notes.splice(0).join(', ');
  }

  get changes(): ChangeRequest[] {
    return this.sent.filter((request) => request.type === 'change');
  }

  get flushes(): FlushRequest[] {
    return this.sent.filter((request) => request.type === 'flush');
  }

  get retirements(): RetireRequest[] {
    return this.sent.filter((request) => request.type === 'retire');
  }

  /** Begins a change; what it came to, once that is known. */
  change(index: number, change: Change = write(0, 512)): Settled<Answers | null> {
    return new Settled(this.writer.change(CHAIN, index, change));
  }

  flush(): Settled<boolean> {
    return new Settled(this.writer.flush(CHAIN));
  }

  /** All disks, or one, answer what was sent to them and not answered yet. */
  async answer(disk: number | null = null, type: Sent['type'] | null = null): Promise<void> {
    for (const request of this.sent.splice(0)) {
      const isMeant = (disk === null || request.disk === disk) && (type === null || request.type === type);
      if (isMeant && request.type !== 'retire') this.reply(request);
      else this.sent.push(request);
    }
    await settle();
  }

  /** Every member has heard of what was retired. */
  heard(): void {
    for (const request of this.retirements) this.reply(request);
  }

  reply({ request }: { request: number }, refusal?: Refusal): void {
    this.writer.replied({ type: 'reply', request, ...(refusal ? { refusal } : {}) });
  }

  /** A change that every disk answers. */
  async changed(index: number): Promise<void> {
    const change = this.change(index);
    await this.answer(null, 'change');
    if (!(await change.promise)) throw new Error('the change was not done');
  }

  /** A flush that every disk answers. */
  async flushed(): Promise<void> {
    const flush = this.flush();
    await this.answer(null, 'flush');
    if (!(await flush.promise)) throw new Error('the flush was not done');
  }

  nextRequest(): number {
    return ++this.#request;
  }

  send(disk: number, request: Sent): void {
    this.sent.push(request);
    if (request.type === 'change') this.#notes.push(`change ${request.index} to ${disk}`);
    else if (request.type === 'flush')
      this.#notes.push(`flush ${request.pgs.join()} of ${disk} since ${request.since}`);
    else this.#notes.push(`retire ${request.objects.map(({ index }) => index).join()} at ${disk}`);
  }

  fetchMap(epoch: number): void {
    this.#notes.push(`fetch map ${epoch}`);
  }

  fenced(generation: number): void {
    this.#notes.push(`fenced ${generation}`);
  }
}

/** A promise, and what it came to as soon as that is known. */
export class Settled<Value> {
  readonly promise: Promise<Value>;
  value: Value | 'pending' = 'pending';

  constructor(promise: Promise<Value>) {
    this.promise = promise.then((value) => {
      this.value = value;
      return value;
    });
  }

  get isPending(): boolean {
    return this.value === 'pending';
  }
}

/** Lets everything happen that waits for nothing. */
export async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

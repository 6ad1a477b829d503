import type { ClusterMap, MapGroup, MapHost } from '../../lib/cluster/cluster-map.js';
import { EMPTY_MAP } from '../../lib/cluster/cluster-map.js';
import type { Asker, KnownWriter } from '../../lib/replication/admission.js';
import { Member, type MemberPort, type Outcome, type Ticket } from '../../lib/replication/member.js';
import type {
  Body,
  Change,
  ChangeRequest,
  FenceRequest,
  FlushRequest,
  LookRequest,
  MemberRequest,
  NextRequest,
  ReadRequest,
  RetireRequest,
} from '../../lib/replication/messages.js';

export const COPIES = 3;
export const VDI = 7;
export const CHAIN = { family: 1, layers: [{ layer: 1, limit: 0 }] };

/** Groups of a table of 4; disk 1 is host a's, 2 host b's, and so on. */
export function mapOf(epoch: number, groups: Partial<MapGroup>[] = [{}], hosts: Record<string, Partial<MapHost>> = {}) {
  const ids = ['a', 'b', 'c', 'd'];
  const table = Array.from({ length: 4 }, (_, pg): MapGroup => {
    return { acting: [1, 2, 3], insync: [1, 2, 3], since: 1, lossy: 0, ...groups[pg] };
  });
  const map: ClusterMap = {
    ...EMPTY_MAP,
    epoch,
    hosts: Object.fromEntries(
      ids.map((id) => [id, { up: true, standing: 'in', incarnation: 1, bootId: `${id}1`, ...hosts[id] } as const]),
    ),
    disks: Object.fromEntries(ids.map((host, at) => [at + 1, { host, standing: 'in' } as const])),
    tables: { [COPIES]: table },
  };
  return map;
}

export function write(offset: number, length: number): Change {
  return { kind: 'write', offset, data: Buffer.alloc(length) };
}

const NOTHING_DONE = { done: 0, olderDone: false };

/** A member on the host that has disk 1, whose driver does what a test tells it to; what happens is noted in order. */
export class MemberScript implements MemberPort {
  readonly member: Member;
  /** What the member decided since it was last looked at: `run 3`, `answer 3`, `refuse 3 map`, and so on. */
  #notes: string[] = [];
  readonly running = new Map<number, Ticket>();
  readonly outcomes = new Map<number, Outcome>();
  readonly active = new Set<number>();
  readonly toDo = new Set<number>();
  right = true;
  disks = new Set([1]);
  #request = 0;

  constructor(map: ClusterMap, writer: Partial<KnownWriter> | null = {}) {
    this.member = new Member(map, this);
    if (writer) this.knows({ ...writer });
  }

  /** What happened since this was called last. */
  get notes(): string {
    return this.#notes.splice(0).join(', ');
  }

  knows(writer: Partial<KnownWriter>): void {
    this.member.writerKnown(VDI, { generation: 5, holder: { host: 'b', incarnation: 1 }, clean: false, ...writer });
  }

  change(fields: Partial<ChangeRequest> = {}, asker: Partial<Asker> = {}): number {
    return this.#receive(asker, {
      ...this.#ofGroup(),
      type: 'change',
      sequence: 1,
      ...NOTHING_DONE,
      change: write(0, 512),
      ...fields,
    });
  }

  read(fields: Partial<ReadRequest> = {}, asker: Partial<Asker> = {}): number {
    return this.#receive(asker, { ...this.#ofGroup(), type: 'read', offset: 0, length: 512, ...fields });
  }

  flush(fields: Partial<FlushRequest> = {}, asker: Partial<Asker> = {}): number {
    const { pg, index, ...common } = this.#ofGroup();
    return this.#receive(asker, { ...common, ...NOTHING_DONE, type: 'flush', pgs: [pg], ...fields });
  }

  next(fields: Partial<NextRequest> = {}, asker: Partial<Asker> = {}): number {
    const { pg, index, incarnation: _, ...common } = this.#ofGroup();
    const look = { type: 'next', from: 0, to: 4, layers: [1], count: 1 } as const;
    return this.#receive(asker, { ...common, ...look, pgs: [pg], ...fields });
  }

  retire(fields: Partial<RetireRequest> = {}): number {
    const common = {
      request: ++this.#request,
      disk: 1,
      copies: COPIES,
      epoch: 1,
      vdi: VDI,
      generation: 5,
      incarnation: 1,
      ...NOTHING_DONE,
    };
    const objects = [{ family: 1, pg: 0, index: 0, layer: 1, sequence: 1 }];
    return this.#receive({}, { ...common, type: 'retire', objects, ...fields });
  }

  fence(fields: Partial<FenceRequest> = {}, asker: Partial<Asker> = { host: 'c' }): number {
    const common = {
      request: ++this.#request,
      epoch: 1,
      vdi: VDI,
      generation: 6,
      incarnation: 1,
      chain: CHAIN,
      copies: COPIES,
    };
    return this.#receive(asker, { ...common, type: 'fence', ...fields });
  }

  list(fields: { epoch?: number; pg?: number } = {}): number {
    const common = { request: ++this.#request, disk: 1, copies: COPIES, pg: 0, epoch: 1 };
    return this.#receive({ host: 'd' }, { ...common, type: 'list', after: null, ...fields });
  }

  describe(fields: { epoch?: number; index?: number } = {}): number {
    const common = { request: ++this.#request, disk: 1, copies: COPIES, pg: 0, epoch: 1, family: 1, index: 0 };
    return this.#receive({ host: 'd' }, { ...common, type: 'describe', ...fields });
  }

  /** The request has been carried out. */
  done(request: number, body?: Body): void {
    const ticket = this.running.get(request)!;
    this.running.delete(request);
    this.member.executed(ticket, body === undefined ? {} : { body });
  }

  setRight(right: boolean): void {
    this.right = right;
    this.member.rightChanged();
  }

  pulled(index: number): void {
    this.toDo.delete(index);
    this.member.pulled(1, CHAIN.family, index);
  }

  #ofGroup() {
    const request = ++this.#request;
    return {
      request,
      disk: 1,
      copies: COPIES,
      pg: 0,
      since: 1,
      vdi: VDI,
      generation: 5,
      chain: CHAIN,
      index: 0,
      incarnation: 1,
    };
  }

  #receive({ host = 'b', session = 1 }: Partial<Asker>, request: MemberRequest): number {
    this.member.received({ host, session }, request);
    return request.request;
  }

  execute(ticket: Ticket): void {
    this.running.set(ticket.request.request, ticket);
    this.#notes.push(`run ${ticket.request.request}`);
  }

  answer({ session }: Asker, request: number, outcome: Outcome): void {
    this.outcomes.set(request, outcome);
    const by = session > 1 ? ` by ${session}` : '';
    const { refusal } = outcome;
    this.#notes.push(refusal ? `refuse ${request} ${refusal.reason}${by}` : `answer ${request}${by}`);
  }

  pull({ index }: ChangeRequest): void {
    this.#notes.push(`pull ${index}`);
  }

  fetchMap(epoch: number): void {
    this.#notes.push(`fetch map ${epoch}`);
  }

  fetchWriter(): void {
    this.#notes.push('fetch writer');
  }

  isToDo({ index }: ChangeRequest): boolean {
    return this.toDo.has(index);
  }

  hasDisk(disk: number): boolean {
    return this.disks.has(disk);
  }

  isActive(request: LookRequest): boolean {
    if ('index' in request) return this.active.has(request.index);
    return [...this.active].some((index) => request.pgs.includes(index));
  }

  mayAnswer(): boolean {
    return this.right;
  }
}

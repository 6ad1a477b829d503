import { type ClusterMap, groupIn, isSource, isUpWith, type MapGroup, mayServe } from '../cluster/cluster-map.js';
import type {
  ChangeRequest,
  EndRequest,
  FenceRequest,
  LookRequest,
  MemberRequest,
  NextRequest,
  ReadRequest,
  RecoveryRequest,
  Refusal,
  SeekRequest,
  WriterRequest,
} from './messages.js';
import { NO_WRITER, type WriterRecord } from './writer-record.js';

/** Who asked; the answer goes back by the session that the request came by. */
export interface Asker {
  readonly host: string;
  readonly session: number;
}

/** What a host knows of an image's writer. */
export type KnownWriter = Pick<WriterRecord, 'generation' | 'holder' | 'clean'> & {
  /** The store has no record of it: the image is gone. */
  readonly isAbsent?: boolean;
};

export interface AdmissionPort {
  /** Reads the map from the store, which must have this epoch or a later one. */
  fetchMap(epoch: number): void;
  /** Reads `/writer/<vdi>` from the store. */
  fetchWriter(vdi: number): void;
  hasDisk(disk: number): boolean;
  /** Whether the disk has an active object that the request looks at. */
  isActive(request: LookRequest): boolean;
  /** Whether the host may answer reads and writes now: see the rule of liveness. */
  mayAnswer(): boolean;
}

/** The rules by which a host answers a request, has it wait, or refuses it: what the map and the writers say. */
export class Admission {
  map: ClusterMap;
  readonly #port: AdmissionPort;
  /** What is known of writers since this incarnation is up. */
  readonly #writers = new Map<number, KnownWriter>();

  constructor(map: ClusterMap, port: AdmissionPort) {
    this.map = map;
    this.#port = port;
  }

  /** A new incarnation of the host is up: what was known of writers may be out of date. */
  forgetWriters(): void {
    this.#writers.clear();
  }

  /** What the store says of a writer; null: nothing. An older word than what is known changes nothing. */
  writerKnown(vdi: number, writer: KnownWriter | null): void {
    const known = this.#writers.get(vdi);
    if (writer === null) this.#writers.set(vdi, { ...(known ?? NO_WRITER), isAbsent: true });
    else if (!known || known.generation <= writer.generation) this.#writers.set(vdi, writer);
  }

  /** Whether this generation of an image's writer is the newest that is known. */
  isKnown(vdi: number, generation: number): boolean {
    return this.#writers.get(vdi)?.generation === generation;
  }

  /** As `isKnown`, with a holder that keeps copies equal. */
  isPresent(vdi: number, generation: number): boolean {
    const known = this.#writers.get(vdi);
    return known?.generation === generation && !known.isAbsent && this.#isPresent(known);
  }

  /** Whether a request may be carried out now, or its answer given; if not, whether it ever may. */
  admit(asker: Asker, request: MemberRequest): 'go' | 'wait' | Refusal {
    switch (request.type) {
      case 'change':
      case 'read':
      case 'seek':
        return this.#admitToGroup(asker, request);
      case 'next':
      case 'end':
        return this.#admitToGroups(asker, request);
      case 'flush':
        if (request.since > this.map.epoch) return this.#needMap(request.since);
        if (this.#newestSince(request.copies, request.pgs) > request.since) return this.#refuseMap();
        if (!this.#port.mayAnswer() || !this.#serves(request.disk)) return 'wait';
        return this.#admitWriter(asker, request);
      case 'retire': {
        if (request.epoch > this.map.epoch) return this.#needMap(request.epoch);
        const pgs = request.objects.map(({ pg }) => pg);
        if (this.#newestSince(request.copies, pgs) > request.epoch) return this.#refuseMap();
        if (!this.#serves(request.disk)) return this.#refuseMap();
        return this.#admitWriter(asker, request);
      }
      case 'fence':
        return this.#admitFence(asker, request);
      default: {
        if (request.epoch > this.map.epoch) return this.#needMap(request.epoch);
        const group = this.#group(request.copies, request.pg);
        // The asker's stay belongs to a map that is no more.
        if (group.since > request.epoch || !isSource(group, request.disk)) return this.#refuseMap();
        // One that rebooted may be in the map still as what it was.
        if (!this.#port.mayAnswer()) return 'wait';
        return this.#serves(request.disk) ? 'go' : 'wait';
      }
    }
  }

  #admitToGroup(asker: Asker, request: ChangeRequest | ReadRequest | SeekRequest): 'go' | 'wait' | Refusal {
    const { copies, pg, since, disk } = request;
    // Every `since` is an epoch that was the newest once.
    if (since > this.map.epoch) return this.#needMap(since);
    const group = this.#group(copies, pg);
    const isMember = request.type === 'change' ? group.acting.includes(disk) : isSource(group, disk);
    if (group.since !== since || !isMember) return this.#refuseMap();
    // A disk that failed leaves the map; until then nobody goes on without it.
    if (!this.#port.mayAnswer() || !this.#serves(disk)) return 'wait';
    return request.type === 'change' ? this.#admitWriter(asker, request) : this.#admitLook(asker, request);
  }

  /** As a look at each of the groups. */
  #admitToGroups(asker: Asker, request: NextRequest | EndRequest): 'go' | 'wait' | Refusal {
    const { copies, pgs, since, disk } = request;
    if (since > this.map.epoch) return this.#needMap(since);
    if (this.#newestSince(copies, pgs) > since) return this.#refuseMap();
    if (!pgs.every((pg) => isSource(this.#group(copies, pg), disk))) return this.#refuseMap();
    if (!this.#port.mayAnswer() || !this.#serves(disk)) return 'wait';
    return this.#admitLook(asker, request);
  }

  #admitLook(asker: Asker, request: LookRequest): 'go' | 'wait' | Refusal {
    const verdict = this.#admitWriter(asker, request);
    if (verdict !== 'go' || this.#isPresent(this.#writers.get(request.vdi)!)) return verdict;
    return this.#port.isActive(request) ? { reason: 'unequal' } : 'go';
  }

  #admitWriter(asker: Asker, request: Exclude<MemberRequest, RecoveryRequest>): 'go' | 'wait' | Refusal {
    const { vdi, generation } = request;
    const known = this.#writers.get(vdi);
    // A reader's word of a newer one does not tell who holds it.
    if (known === undefined || (isLook(request) && (known.isAbsent || generation > known.generation))) {
      // Again also where it was gone: perhaps it had still to be made when this was asked.
      this.#port.fetchWriter(vdi);
      return known?.isAbsent ? { reason: 'generation', generation: generation + 1 } : 'wait';
    }
    if (generation < known.generation) return { reason: 'generation', generation: known.generation };
    if (generation > known.generation && !isLook(request)) this.#noteHolder(asker, request);
    return 'go';
  }

  /** A fence is never refused for its epoch: whoever has the older map fetches the newer, and answers then. */
  #admitFence(asker: Asker, request: FenceRequest): 'go' | 'wait' | Refusal {
    const { epoch, vdi, generation } = request;
    if (epoch > this.map.epoch) return this.#needMap(epoch);
    const known = this.#writers.get(vdi)?.generation ?? 0;
    if (generation < known) return { reason: 'generation', generation: known };
    if (generation > known) this.#noteHolder(asker, request);
    return 'go';
  }

  /** Whoever writes or fences with a generation has stored that it holds it. */
  #noteHolder({ host }: Asker, { vdi, generation, incarnation }: WriterRequest): void {
    this.#writers.set(vdi, { generation, holder: { host, incarnation }, clean: false });
  }

  /** Whether somebody keeps the copies of active objects equal, or nobody has to. */
  #isPresent({ holder, clean }: KnownWriter): boolean {
    return holder === null ? clean : isUpWith(this.map, holder.host, holder.incarnation);
  }

  /** A disk that the map has as failed or absent may be a member still, while nobody else is known to be there. */
  #serves(disk: number): boolean {
    return mayServe(this.map, disk) && this.#port.hasDisk(disk);
  }

  #refuseMap(): Refusal {
    return { reason: 'map', epoch: this.map.epoch };
  }

  #needMap(epoch: number): 'wait' {
    this.#port.fetchMap(epoch);
    return 'wait';
  }

  #group(copies: number, pg: number): MapGroup {
    return groupIn(this.map, copies, pg);
  }

  #newestSince(copies: number, pgs: readonly number[]): number {
    let newest = 0;
    for (const pg of pgs) newest = Math.max(newest, this.#group(copies, pg).since);
    return newest;
  }
}

/** Whether a request changes nothing, and needs no role. */
export function isLook(request: MemberRequest): request is LookRequest {
  return request.type === 'read' || request.type === 'seek' || request.type === 'next' || request.type === 'end';
}

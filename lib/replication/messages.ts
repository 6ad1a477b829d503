import type { Report } from '../cluster/observation.js';
import type { ListedEntry } from '../store/group-list.js';
import type { DescribedLayer, IndexDescription } from '../store/object-pull.js';
import type { RoomUse } from '../store/object-room.js';
import type { RingDoubts } from '../store/write-ring.js';
import type { Chain, ImageAttributes } from './object-io.js';

/**
 * What hosts say to one another about objects. A request names the disk that is to carry it out; its answer carries the
 * request's number. Sizes and offsets are bytes.
 */

/** What is done to one index; to the chain's first layer unless it names another. */
export type Change =
  | { readonly kind: 'write'; readonly offset: number; readonly data: Buffer }
  | { readonly kind: 'discard'; readonly offset: number; readonly length: number }
  /** See ImageObjects.allocate. */
  | { readonly kind: 'allocate'; readonly end: number }
  /** Removes what the first layer has from `length` bytes of the object on. */
  | { readonly kind: 'cut'; readonly length: number }
  /** Changes nothing; answers whether such a change may need room that the disk has not given to the first layer. */
  | { readonly kind: 'room'; readonly use: RoomUse }
  /** Changes nothing; answers what a layer has at the index, and the hashes of these blocks of it; null: of all. */
  | { readonly kind: 'inspect'; readonly layer: number; readonly blocks: readonly ByteRange[] | null }
  /** Changes nothing; answers these ranges of one layer's object. */
  | {
      readonly kind: 'extract';
      readonly layer: number;
      readonly ranges: readonly ByteRange[];
    }
  /** Makes one layer's object what it is on the member that was chosen to be equal to. */
  | Equalizing;

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** What `inspect` answers: the layer as it is once these merges are made at the index (see mergesKey); null: nothing. */
export interface Inspected {
  readonly merges: string;
  /** Names the time in which the disk's host has heard of no other layers of the family on their way out. */
  readonly era: string;
  readonly layer: DescribedLayer | null;
}

/** What `equal` answers where it has changed nothing, as the disk is not in the era any more in which it was inspected. */
export const OTHER_ERA = 'other era';

/** See Inspected. */
export interface DiskEra {
  readonly disk: number;
  readonly era: string;
}

export interface Equalizing {
  readonly kind: 'equal';
  /** Of the disks whose copies were compared. */
  readonly eras: readonly DiskEra[];
  readonly layer: number;
  /** What the layer has there: an object of `end` bytes, a hole marker, or no entry. */
  readonly shape: Shape;
  /** All that may differ lies in there, its end too. */
  readonly within: ByteRange;
  /** Blocks of the object that may differ; with no entry or a hole, none. */
  readonly blocks: readonly { readonly offset: number; readonly data: Buffer }[];
}

export type Shape =
  | { readonly kind: 'object'; readonly end: number }
  | { readonly kind: 'hole' }
  | { readonly kind: 'nothing' };

interface Request {
  /** Unique to the host that asks, as long as its process lives. */
  readonly request: number;
  readonly disk: number;
}

interface GroupRequest extends Request {
  /** The group: its table, and its number in that. */
  readonly copies: number;
  readonly pg: number;
  /** Of the group, by the asker's map. */
  readonly since: number;
  readonly vdi: number;
  /** Of the writer role that the asker holds, or of the image as it knows it. */
  readonly generation: number;
  readonly chain: Chain;
  readonly index: number;
}

/** Of who holds, or is taking, the writer role. */
interface HolderRequest {
  /** Of the asker, that holds the role in `/writer`. */
  readonly incarnation: number;
}

/** Which of an image's changes can make no copy differ from the others any more. */
export interface Progress {
  /** Every change of this generation below that sequence was answered by all of `acting`, each under the `since` then. */
  readonly done: number;
  /** What the changes of older generations left different is equal at all of `acting`. */
  readonly olderDone: boolean;
}

export interface ChangeRequest extends GroupRequest, HolderRequest, Progress {
  readonly type: 'change';
  /** Grows with each change of the generation; one that is sent again keeps its own. */
  readonly sequence: number;
  readonly change: Change;
}

export interface ReadRequest extends GroupRequest {
  readonly type: 'read';
  readonly offset: number;
  readonly length: number;
}

/** Asks where data, or a hole, is next in an object; see ImageObjects.seek. */
export interface SeekRequest extends GroupRequest {
  readonly type: 'seek';
  readonly offset: number;
  readonly data: boolean;
}

/** About what a disk has of an image in several groups. */
interface GroupsRequest extends Request {
  readonly copies: number;
  /** The groups that it is for, and the highest `since` that one of them has. */
  readonly pgs: readonly number[];
  readonly since: number;
  readonly vdi: number;
  readonly generation: number;
  readonly chain: Chain;
}

/** Makes durable what the disk was sent of the image. */
export interface FlushRequest extends GroupsRequest, HolderRequest, Progress {
  readonly type: 'flush';
}

/** Asks for the lowest indexes from `from` (inclusive) to `to` (exclusive) where one of these layers has an entry. */
export interface NextRequest extends GroupsRequest {
  readonly type: 'next';
  readonly from: number;
  readonly to: number;
  readonly layers: readonly number[];
  /** So many, at most. */
  readonly count: number;
}

/** Asks for the highest byte that the chain's first layer holds, below `bound` bytes of the image. */
export interface EndRequest extends GroupsRequest {
  readonly type: 'end';
  readonly bound: number;
}

/** Tells that no copy of these objects can differ from the others any more. */
export interface RetireRequest extends Request, HolderRequest, Progress {
  readonly type: 'retire';
  readonly copies: number;
  readonly epoch: number;
  readonly vdi: number;
  readonly generation: number;
  /** With the sequence of the last change that the retirement covers; -1: of an older generation. */
  readonly objects: readonly RetiredObject[];
}

export interface RetiredObject {
  readonly family: number;
  readonly pg: number;
  readonly index: number;
  readonly layer: number;
  readonly sequence: number;
}

/** Ends an older generation of a writer on a host, all its disks. */
export interface FenceRequest extends HolderRequest {
  readonly type: 'fence';
  readonly request: number;
  readonly epoch: number;
  readonly vdi: number;
  readonly generation: number;
  readonly chain: Chain;
  readonly copies: number;
}

/** What may differ between copies of an image, as far as one host knows. */
export interface FenceAnswer {
  readonly disks: readonly FencedDisk[];
}

export interface FencedDisk {
  readonly disk: number;
  /** Objects that may differ. */
  readonly active: readonly ActiveName[];
  /** Where they may, of changes of generations before the fence's. */
  readonly ring: {
    /** Of the kernel under which all was noted. */
    readonly bootId: string;
    /** False where more may differ than `ranges` says. */
    readonly complete: boolean;
    readonly ranges: readonly FencedRange[];
  };
}

export interface ActiveName {
  readonly family: number;
  readonly layer: number;
  readonly index: number;
  /** Another image wrote to it last: the ring's ranges of this one do not tell all. */
  readonly isOthers: boolean;
}

export interface FencedRange extends ByteRange {
  readonly family: number;
  readonly index: number;
}

/** Asks an in-sync disk for all that it has of a group. */
export interface ListRequest extends Request {
  readonly type: 'list';
  readonly copies: number;
  readonly pg: number;
  readonly epoch: number;
  /** The entry after which the answer goes on; null for the first. */
  readonly after: { readonly family: number; readonly index: number } | null;
}

export interface ListAnswer {
  readonly entries: readonly ListedEntry[];
  /** Whether there is nothing after `entries`. */
  readonly complete: boolean;
}

/** Asks an in-sync disk what all layers of one index are like. */
export interface DescribeRequest extends Request {
  readonly type: 'describe';
  readonly copies: number;
  readonly pg: number;
  readonly epoch: number;
  readonly family: number;
  readonly index: number;
}

export interface DescribeAnswer {
  readonly description: IndexDescription;
  /** What the source may have that others do not, or lack: of the copy that is made of it, that is so as well. */
  readonly doubts: RingDoubts;
}

/** Asks for the bytes of a described object. */
export interface FetchRequest extends Request {
  readonly type: 'fetch';
  readonly copies: number;
  readonly pg: number;
  readonly epoch: number;
  readonly family: number;
  readonly index: number;
  readonly layer: number;
  readonly serial: number;
  readonly ranges: readonly { readonly offset: number; readonly length: number }[];
}

export interface FetchAnswer {
  readonly blocks: readonly Buffer[];
  /** As of a description: changes go on meanwhile. */
  readonly doubts: RingDoubts;
}

/** What changes nothing, and needs no writer role. */
export type LookRequest = ReadRequest | SeekRequest | NextRequest | EndRequest;

/** What the holder of the writer role, or who takes it, asks. */
export type WriterRequest = ChangeRequest | FlushRequest | RetireRequest | FenceRequest;

export type MemberRequest = WriterRequest | LookRequest | RecoveryRequest;

/** What a member asks that makes itself equal to another. */
export type RecoveryRequest = ListRequest | DescribeRequest | FetchRequest;

/** Asks the holder of an image's writer role to give it to this incarnation of the asker. */
export interface ReleaseRequest {
  readonly type: 'release';
  readonly request: number;
  readonly vdi: number;
  /** That the asker saw it hold. */
  readonly generation: number;
  readonly incarnation: number;
}

/** Asks the holder of an image's writer role, under this generation, for what only the holder knows. */
export interface AttributesRequest {
  readonly type: 'attributes';
  readonly request: number;
  readonly vdi: number;
  readonly generation: number;
}

/** Tells the conductor what it cannot see. Not answered: it is repeated until the map shows it. */
export interface ReportMessage {
  readonly type: 'report';
  readonly report: Report;
}

/** What the holder of a role answers who has asked for it. */
export interface Released {
  readonly released: boolean;
}

/** Everything that goes from host to host. */
export type Message = MemberRequest | ReleaseRequest | AttributesRequest | ReportMessage | Reply;

/** Why a member does not do what it was asked. */
export type Refusal =
  /** The group has changed, or the disk is no such member of it: there is a map of this epoch to fetch. */
  | { readonly reason: 'map'; readonly epoch: number }
  /** The image's writer has changed. */
  | { readonly reason: 'generation'; readonly generation: number }
  /** The object may differ between copies, and nobody is there to make it equal. */
  | { readonly reason: 'unequal' }
  | { readonly reason: 'no-space' }
  /** What was described has changed: ask again. */
  | { readonly reason: 'changed' };

/** What there may be to answer: each kind of request has its own, which says nothing of which that was. */
export type Body =
  /** Of a read. */
  | Buffer
  /** Of `seek` (null: there is none) and `end`; null also where a host knows no attributes. */
  | number
  | null
  /** Of `room`. */
  | boolean
  /** Of `next`. */
  | readonly number[]
  /** Of `extract`. */
  | Equalizing['blocks']
  | typeof OTHER_ERA
  | Inspected
  | FenceAnswer
  | ListAnswer
  | DescribeAnswer
  | FetchAnswer
  | Released
  | ImageAttributes;

export interface Reply {
  readonly type: 'reply';
  readonly request: number;
  readonly refusal?: Refusal;
  readonly body?: Body;
}

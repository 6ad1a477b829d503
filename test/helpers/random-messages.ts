import type { Report } from '../../lib/cluster/observation.js';
import {
  type Body,
  type ByteRange,
  type Change,
  type Message,
  OTHER_ERA,
  type Refusal,
  type Shape,
} from '../../lib/replication/messages.js';
import type { Chain } from '../../lib/replication/object-io.js';
import { blockCount, PULL_HASH_BYTES } from '../../lib/store/block-hashes.js';
import { FIELD_MAX, OBJECT_BYTES } from '../../lib/store/constants.js';
import { HOLE, NO_END, NOTHING, OBJECT } from '../../lib/store/entry.js';
import type { DescribedLayer } from '../../lib/store/object-describe.js';
import type { RingDoubts } from '../../lib/store/write-ring.js';
import type { Random } from './random.js';

/** Where the number of bytes of a number on the wire changes, and the ends. */
const EDGES = [0, 1, 252, 253, 254, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER];
const TEXTS = ['', 'host-1', 'käse', '日本', '🐑', 'a\u0000b', '\ufeffmark'];

/** Messages of every kind, with whatever their fields may hold. */
export class RandomMessages {
  readonly #random: Random;
  readonly #dataMax: number;

  /** `dataMax`: bytes of one piece of data, at most. */
  constructor(random: Random, dataMax: number) {
    this.#random = random;
    this.#dataMax = dataMax;
  }

  /** By the name of each kind. */
  all(): Readonly<Record<string, Message>> {
    const named: Record<string, Message> = {};
    for (const change of this.#changes()) named[`change: ${change.kind}`] = this.#change(change);
    for (const message of this.#requests()) named[message.type] = message;
    for (const report of this.#reports()) named[`report: ${report.type}`] = { type: 'report', report };
    named['reply: done'] = { type: 'reply', request: this.counter() };
    for (const refusal of this.#refusals()) {
      named[`refusal: ${refusal.reason}`] = { type: 'reply', request: this.counter(), refusal };
    }
    for (const [name, body] of Object.entries(this.#bodies())) {
      named[`reply: ${name}`] = { type: 'reply', request: this.counter(), body };
    }
    return named;
  }

  any(): Message {
    return this.#pick(Object.values(this.all()));
  }

  #pick<Value>(values: readonly Value[]): Value {
    return values[this.#random.below(values.length)]!;
  }

  #some<Item>(max: number, make: () => Item): Item[] {
    return Array.from({ length: this.#random.below(max + 1) }, make);
  }

  #boolean(): boolean {
    return this.#random.chance(0.5);
  }

  #number(max: number): number {
    const random = this.#random;
    if (random.chance(0.3)) return this.#pick([...EDGES, max].filter((edge) => edge <= max));
    return Math.min(max, Math.floor(random.next() * 2 ** random.below(54)));
  }

  counter(): number {
    return this.#number(Number.MAX_SAFE_INTEGER);
  }

  #field(): number {
    return this.#number(FIELD_MAX);
  }

  #copies(): number {
    return 1 + this.#random.below(5);
  }

  #group(): number {
    return this.#number(65535);
  }

  #text(): string {
    return this.#pick(TEXTS);
  }

  #bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    this.#random.fill(bytes);
    return bytes;
  }

  #data(): Buffer {
    return this.#bytes(this.#random.below(this.#dataMax + 1));
  }

  #range(): ByteRange {
    const offset = this.#number(OBJECT_BYTES);
    return { offset, length: this.#number(OBJECT_BYTES - offset) };
  }

  /** Of which there are no more bytes than an object has. */
  #soughtRanges(): ByteRange[] {
    return this.#some(3, () => ({ offset: this.#number(OBJECT_BYTES / 2), length: this.#number(OBJECT_BYTES / 4) }));
  }

  #block(): { offset: number; data: Buffer } {
    const data = this.#data();
    return { offset: this.#number(OBJECT_BYTES - data.length), data };
  }

  #chain(): Chain {
    return { family: this.#field(), layers: this.#some(3, () => ({ layer: this.#field(), limit: this.counter() })) };
  }

  #toGroup() {
    return {
      ...{ request: this.counter(), disk: this.#field(), copies: this.#copies(), pg: this.#group() },
      ...{ since: this.counter(), vdi: this.#field(), generation: this.counter() },
      ...{ chain: this.#chain(), index: this.#field() },
    };
  }

  #toGroups() {
    const { pg: _pg, index: _index, ...rest } = this.#toGroup();
    return { ...rest, pgs: this.#some(20, () => this.#group()) };
  }

  #toSource() {
    return {
      ...{ request: this.counter(), disk: this.#field(), copies: this.#copies() },
      ...{ pg: this.#group(), epoch: this.counter() },
    };
  }

  #holder() {
    return { incarnation: this.counter(), done: this.counter(), olderDone: this.#boolean() };
  }

  #change(change: Change): Message {
    return { type: 'change', ...this.#toGroup(), ...this.#holder(), sequence: this.counter(), change };
  }

  #shape(): Shape {
    return this.#pick<Shape>([
      { kind: 'object', end: this.#number(OBJECT_BYTES) },
      { kind: 'hole' },
      { kind: 'nothing' },
    ]);
  }

  #changes(): Change[] {
    return [
      { kind: 'write', ...this.#block() },
      { kind: 'discard', ...this.#range() },
      { kind: 'allocate', end: this.#number(OBJECT_BYTES) },
      { kind: 'cut', length: this.#number(OBJECT_BYTES) },
      { kind: 'room', use: this.#pick(['write', 'discard'] as const) },
      { kind: 'inspect', layer: this.#field(), blocks: this.#boolean() ? null : this.#some(3, () => this.#range()) },
      { kind: 'extract', layer: this.#field(), ranges: this.#soughtRanges() },
      {
        kind: 'equal',
        ...{ eras: this.#some(3, () => ({ disk: this.#field(), era: this.#text() })) },
        ...{ layer: this.#field(), shape: this.#shape(), within: this.#range() },
        blocks: this.#some(3, () => this.#block()),
      },
    ];
  }

  #requests(): Exclude<Message, { type: 'change' | 'reply' | 'report' }>[] {
    const [from, to] = [this.#number(2 ** 32), this.#number(2 ** 32)];
    return [
      { type: 'read', ...this.#toGroup(), ...this.#range() },
      { type: 'seek', ...this.#toGroup(), offset: this.#number(OBJECT_BYTES), data: this.#boolean() },
      { type: 'flush', ...this.#toGroups(), ...this.#holder() },
      {
        type: 'next',
        ...{ ...this.#toGroups(), from, to, layers: this.#some(3, () => this.#field()), count: this.#number(65536) },
      },
      { type: 'end', ...this.#toGroups(), bound: this.counter() },
      {
        type: 'retire',
        ...{ request: this.counter(), disk: this.#field(), copies: this.#copies(), epoch: this.counter() },
        ...{ vdi: this.#field(), generation: this.counter(), ...this.#holder() },
        objects: this.#some(3, () => ({
          ...{ family: this.#field(), pg: this.#group(), index: this.#field(), layer: this.#field() },
          sequence: this.#boolean() ? -1 : this.#number(Number.MAX_SAFE_INTEGER - 1),
        })),
      },
      {
        type: 'fence',
        ...{ request: this.counter(), incarnation: this.counter(), epoch: this.counter(), vdi: this.#field() },
        ...{ generation: this.counter(), chain: this.#chain(), copies: this.#copies() },
      },
      {
        type: 'list',
        ...this.#toSource(),
        after: this.#boolean() ? null : { family: this.#field(), index: this.#field() },
      },
      { type: 'describe', ...this.#toSource(), family: this.#field(), index: this.#field() },
      {
        type: 'fetch',
        ...{ ...this.#toSource(), family: this.#field(), index: this.#field(), layer: this.#field() },
        ...{ serial: this.counter(), ranges: this.#soughtRanges() },
      },
      {
        type: 'release',
        ...{ request: this.counter(), vdi: this.#field(), generation: this.counter(), incarnation: this.counter() },
      },
      { type: 'attributes', request: this.counter(), vdi: this.#field(), generation: this.counter() },
    ];
  }

  #reports(): Report[] {
    return [
      {
        type: 'in-sync',
        ...{ copies: this.#copies(), pg: this.#group(), disk: this.#field() },
        ...{ incarnation: this.counter(), joined: this.counter() },
      },
      { type: 'disk-failed', disk: this.#field(), incarnation: this.counter() },
      { type: 'reaches', host: this.#text(), peers: this.#some(3, () => this.#text()) },
    ];
  }

  #refusals(): Refusal[] {
    return [
      { reason: 'map', epoch: this.counter() },
      { reason: 'generation', generation: this.counter() },
      { reason: 'unequal' },
      { reason: 'no-space' },
      { reason: 'changed' },
    ];
  }

  #order() {
    return { vdi: this.#field(), generation: this.counter(), sequence: this.counter() };
  }

  #doubts(): RingDoubts {
    return {
      ranges: this.#some(3, () => ({
        ...{ ...this.#order(), family: this.#field(), index: this.#field() },
        ...{ offset: this.#number(OBJECT_BYTES), length: this.#number(OBJECT_BYTES) },
      })),
      incomplete: this.#some(2, () => ({ ...this.#order(), family: this.#field() })),
      lost: this.#boolean(),
    };
  }

  #described(): DescribedLayer {
    const length = this.#boolean() ? 0 : this.#number(OBJECT_BYTES);
    return {
      layer: this.#field(),
      ...(this.#boolean() && { source: this.#field() }),
      kind: this.#pick([NOTHING, OBJECT, HOLE] as const),
      modified: this.counter(),
      end: this.#pick([NO_END, 0, OBJECT_BYTES]),
      active: this.#boolean() ? this.#order() : null,
      ...{ serial: this.counter(), length, whole: this.#boolean() },
      hashes: this.#bytes(blockCount(length) * PULL_HASH_BYTES),
    };
  }

  #bodies(): Record<string, Body> {
    return {
      ...{ bytes: this.#data(), nothing: null, number: this.counter(), boolean: this.#boolean() },
      indexes: this.#some(3, () => this.#field()),
      blocks: [this.#block(), ...this.#some(2, () => this.#block())],
      'other era': OTHER_ERA,
      inspected: { merges: this.#text(), era: this.#text(), layer: this.#boolean() ? null : this.#described() },
      fenced: {
        disks: this.#some(2, () => ({
          disk: this.#field(),
          active: this.#some(3, () => ({
            ...{ family: this.#field(), layer: this.#field(), index: this.#field(), isOthers: this.#boolean() },
          })),
          ring: {
            ...{ bootId: this.#text(), complete: this.#boolean() },
            ranges: this.#some(3, () => ({ family: this.#field(), index: this.#field(), ...this.#range() })),
          },
        })),
      },
      listed: {
        entries: this.#some(3, () => ({
          ...{ family: this.#field(), index: this.#field(), layer: this.#field() },
          ...{ kind: this.#pick([OBJECT, HOLE] as const), modified: this.counter(), active: this.#boolean() },
        })),
        complete: this.#boolean(),
      },
      described: {
        description: {
          ...{ family: this.#field(), index: this.#field() },
          layers: this.#some(3, () => this.#described()),
        },
        doubts: this.#doubts(),
      },
      fetched: { blocks: this.#some(3, () => this.#data()), doubts: this.#doubts() },
      released: { released: this.#boolean() },
      attributes: {
        size: this.counter(),
        mtime: {
          seconds: this.#pick([0, -1, 1_900_000_000, -(2 ** 62), this.counter()]),
          nanoseconds: this.#number(999_999_999),
        },
      },
    };
  }
}

import type { Report } from '../../cluster/observation.js';
import type {
  AttributesRequest,
  ChangeRequest,
  DescribeRequest,
  EndRequest,
  FenceRequest,
  FetchRequest,
  FlushRequest,
  ListRequest,
  NextRequest,
  ReadRequest,
  ReleaseRequest,
  ReportMessage,
  RetiredObject,
  RetireRequest,
  SeekRequest,
} from '../messages.js';
import { change } from './change.js';
import { checked, choice, constant, list, nullable, option, record } from './composites.js';
import { GROUPS_MAX, HOST_BYTES_MAX, INDEX_END, INDEXES_MAX, LAYERS_MAX, PEERS_MAX, RETIRED_MAX } from './limits.js';
import { chain, checkRange, soughtRanges } from './places.js';
import { boolean, copies, counter, field, fromMinusOne, group, objectBytes, text, wholeNumber } from './primitives.js';
import type { Encoding } from './wire-state.js';

/*
 * What hosts ask of one another, and tell without being asked.
 */

const toDisk = { request: counter, disk: field };
const toGroup = {
  ...toDisk,
  ...{ copies, pg: group, since: counter, vdi: field, generation: counter, chain, index: field },
};
const toGroups = {
  ...toDisk,
  ...{ copies, pgs: list(group, GROUPS_MAX, 'groups'), since: counter, vdi: field, generation: counter, chain },
};
const ofHolder = { incarnation: counter };
const progress = { done: counter, olderDone: boolean };
/** Of a member that makes itself equal. */
const toSource = { ...toDisk, copies, pg: group, epoch: counter };

const position = wholeNumber(INDEX_END, 'end of indexes');
const layers = list(field, LAYERS_MAX, 'layers');
const indexes = wholeNumber(INDEXES_MAX, 'number of indexes');

const changeFields = record<ChangeRequest>({
  type: constant('change'),
  ...toGroup,
  ...ofHolder,
  ...progress,
  sequence: counter,
  change,
});

/** By hand, as is that of reads: one object, and not one that grows by a field at a time. */
export const changeRequest: Encoding<ChangeRequest> = {
  ...changeFields,
  decode: (state) => ({
    type: 'change',
    request: counter.decode(state),
    disk: field.decode(state),
    copies: copies.decode(state),
    pg: group.decode(state),
    since: counter.decode(state),
    vdi: field.decode(state),
    generation: counter.decode(state),
    chain: chain.decode(state),
    index: field.decode(state),
    incarnation: counter.decode(state),
    done: counter.decode(state),
    olderDone: boolean.decode(state),
    sequence: counter.decode(state),
    change: change.decode(state),
  }),
};

const readFields = record<ReadRequest>({
  type: constant('read'),
  ...toGroup,
  offset: objectBytes,
  length: objectBytes,
});

export const readRequest = checked<ReadRequest>(
  {
    ...readFields,
    decode: (state) => ({
      type: 'read',
      request: counter.decode(state),
      disk: field.decode(state),
      copies: copies.decode(state),
      pg: group.decode(state),
      since: counter.decode(state),
      vdi: field.decode(state),
      generation: counter.decode(state),
      chain: chain.decode(state),
      index: field.decode(state),
      offset: objectBytes.decode(state),
      length: objectBytes.decode(state),
    }),
  },
  checkRange,
);

export const seekRequest = record<SeekRequest>({
  type: constant('seek'),
  ...toGroup,
  offset: objectBytes,
  data: boolean,
});

export const flushRequest = record<FlushRequest>({ type: constant('flush'), ...toGroups, ...ofHolder, ...progress });

export const nextRequest = record<NextRequest>({
  type: constant('next'),
  ...toGroups,
  from: position,
  to: position,
  layers,
  count: indexes,
});

export const endRequest = record<EndRequest>({ type: constant('end'), ...toGroups, bound: counter });

const retired = record<RetiredObject>({
  family: field,
  pg: group,
  index: field,
  layer: field,
  sequence: fromMinusOne(Number.MAX_SAFE_INTEGER - 1, 'sequence'),
});

export const retireRequest = record<RetireRequest>({
  type: constant('retire'),
  ...toDisk,
  ...ofHolder,
  ...progress,
  copies,
  epoch: counter,
  vdi: field,
  generation: counter,
  objects: list(retired, RETIRED_MAX, 'objects'),
});

export const fenceRequest = record<FenceRequest>({
  type: constant('fence'),
  request: counter,
  ...ofHolder,
  epoch: counter,
  vdi: field,
  generation: counter,
  chain,
  copies,
});

export const listRequest = record<ListRequest>({
  type: constant('list'),
  ...toSource,
  after: nullable(record({ family: field, index: field })),
});

export const describeRequest = record<DescribeRequest>({
  type: constant('describe'),
  ...toSource,
  family: field,
  index: field,
});

export const fetchRequest = record<FetchRequest>({
  type: constant('fetch'),
  ...toSource,
  family: field,
  index: field,
  layer: field,
  serial: counter,
  ranges: soughtRanges,
});

export const releaseRequest = record<ReleaseRequest>({
  type: constant('release'),
  request: counter,
  vdi: field,
  generation: counter,
  incarnation: counter,
});

export const attributesRequest = record<AttributesRequest>({
  type: constant('attributes'),
  request: counter,
  vdi: field,
  generation: counter,
});

const host = text(HOST_BYTES_MAX, "a host's name");

const report = choice<Report, 'type'>('type', 'report', {
  'in-sync': option(
    1,
    record({
      type: constant('in-sync'),
      ...{ incarnation: counter, copies, pg: group, disk: field, joined: counter },
    }),
  ),
  'disk-failed': option(2, record({ type: constant('disk-failed'), disk: field, incarnation: counter })),
  reaches: option(3, record({ type: constant('reaches'), host, peers: list(host, PEERS_MAX, 'hosts') })),
});

export const reportMessage = record<ReportMessage>({ type: constant('report'), report });

import { createRequire } from 'node:module';
import { loadSync, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader';
import type {
  IAlarmRequest,
  IAlarmResponse,
  IDefragmentResponse,
  IMemberAddRequest,
  IMemberAddResponse,
  IMemberListResponse,
  IMemberPromoteRequest,
  IMemberPromoteResponse,
  IMemberRemoveRequest,
  IMemberRemoveResponse,
  IMemberUpdateRequest,
  IMemberUpdateResponse,
  IRangeRequest,
  IRangeResponse,
  IStatusResponse,
  ITxnRequest,
  ITxnResponse,
  IWatchRequest,
  IWatchResponse,
} from 'etcd3';

/** One of etcd's remote procedures. */
export interface Method<Request, Response> {
  path: string;
  serialize(request: Request): Buffer;
  deserialize(bytes: Buffer): Response;
}

/** etcd3 brings etcd's own definitions. Its client is not used: it would send a transaction again after an error. */
const PROTO = createRequire(import.meta.url).resolve('etcd3/proto/rpc.proto');
const PACKAGE = loadSync(PROTO, { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true });

export const KV_RANGE = method<IRangeRequest, IRangeResponse>('KV', 'Range');
export const KV_TXN = method<ITxnRequest, ITxnResponse>('KV', 'Txn');
export const WATCH = method<IWatchRequest, IWatchResponse>('Watch', 'Watch');
export const MEMBER_LIST = method<Record<string, never>, IMemberListResponse>('Cluster', 'MemberList');
export const MEMBER_ADD = method<IMemberAddRequest, IMemberAddResponse>('Cluster', 'MemberAdd');
export const MEMBER_REMOVE = method<IMemberRemoveRequest, IMemberRemoveResponse>('Cluster', 'MemberRemove');
export const MEMBER_UPDATE = method<IMemberUpdateRequest, IMemberUpdateResponse>('Cluster', 'MemberUpdate');
export const MEMBER_PROMOTE = method<IMemberPromoteRequest, IMemberPromoteResponse>('Cluster', 'MemberPromote');
export const STATUS = method<Record<string, never>, IStatusResponse>('Maintenance', 'Status');
export const DEFRAGMENT = method<Record<string, never>, IDefragmentResponse>('Maintenance', 'Defragment');
export const ALARM = method<IAlarmRequest, IAlarmResponse>('Maintenance', 'Alarm');

function method<Request, Response>(service: string, name: string): Method<Request, Response> {
  const definition = (PACKAGE[`etcdserverpb.${service}`] as ServiceDefinition)[name] as MethodDefinition<
    object,
    object
  >;
  return {
    path: definition.path,
    serialize: (request) => definition.requestSerialize(request as object),
    deserialize: (bytes) => definition.responseDeserialize(bytes) as Response,
  };
}

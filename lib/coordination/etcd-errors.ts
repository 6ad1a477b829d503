import { status } from '@grpc/grpc-js';
import { CoordinationError } from './coordination.js';

/** What gRPC rejects with. */
interface RpcError {
  code: number;
  details: string;
}

const LEARNER = 'etcdserver: rpc not supported for learner';
const TOO_LARGE = /^(etcdserver: request is too large|grpc: received message larger than max)/;
const TOO_MANY = 'etcdserver: too many operations in txn request';

/** Whether the member refused because it is a learner: nothing was done, and another one can do it. */
export function isLearner(error: unknown): boolean {
  return isRpcError(error) && error.details === LEARNER;
}

/** Whether the history that was asked for has been thrown away. */
export function isCompacted(error: unknown): boolean {
  return isRpcError(error) && error.code === status.OUT_OF_RANGE && error.details.includes('compacted');
}

/**
 * What the error means to whoever asked: UNAVAILABLE unless etcd said for certain that it does not take such a request.
 */
export function toCoordinationError(error: unknown): CoordinationError {
  if (error instanceof CoordinationError) return error;
  if (!isRpcError(error)) return unavailable(error instanceof Error ? error.message : String(error));
  if (TOO_LARGE.test(error.details)) return new CoordinationError('VALUE_TOO_LARGE', `etcd refused: ${error.details}`);
  if (error.details === TOO_MANY) return new CoordinationError('TOO_MANY_OPERATIONS', `etcd refused: ${error.details}`);
  return unavailable(error.details);
}

export function unavailable(why: string): CoordinationError {
  return new CoordinationError('UNAVAILABLE', `the coordination store does not answer: ${why}`);
}

export function closed(): CoordinationError {
  return new CoordinationError('CLOSED', 'the coordination store is closed');
}

function isRpcError(error: unknown): error is RpcError {
  const { code, details } = (error ?? {}) as Partial<RpcError>;
  return typeof code === 'number' && typeof details === 'string';
}

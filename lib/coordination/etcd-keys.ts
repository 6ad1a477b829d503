import type { ICompare, IKeyValue, IRequestOp, ITxnRequest } from 'etcd3';
import type { Compare, KeyValue, Operation, Transaction } from './coordination.js';

/** First of what comes after every key of the store: keys begin with '/'. */
const AFTER_SLASH = '0';

/** How keys of the store are named in etcd: behind a name that the store may have there. */
export class EtcdKeys {
  readonly #namespace: string;

  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  /** Says which release wrote the store. No key of the store can have this name, as it does not begin with '/'. */
  get format(): Buffer {
    return Buffer.from(`${this.#namespace}format`);
  }

  encode(key: string): Buffer {
    return Buffer.from(this.#namespace + key);
  }

  /** All keys with the prefix, which may be empty. */
  range(prefix: string): { key: Buffer; range_end: Buffer } {
    if (prefix === '') return { key: this.encode('/'), range_end: this.encode(AFTER_SLASH) };
    const end = this.encode(prefix);
    // UTF-8 has no byte 0xff, so that the last byte can grow.
    end[end.length - 1]! += 1;
    return { key: this.encode(prefix), range_end: end };
  }

  /** Copies the value, which else would keep the whole message in memory. */
  keyValue(found: IKeyValue): KeyValue {
    return {
      key: found.key.toString('utf8', Buffer.byteLength(this.#namespace)),
      value: Uint8Array.prototype.slice.call(found.value),
      createRevision: Number(found.create_revision),
      modRevision: Number(found.mod_revision),
      version: Number(found.version),
    };
  }

  transaction({ compare = [], success = [], failure = [] }: Transaction): ITxnRequest {
    return {
      compare: compare.map((one) => this.#compare(one)),
      success: success.map((operation) => this.#operation(operation)),
      failure: failure.map((operation) => this.#operation(operation)),
    };
  }

  #compare(compare: Compare): ICompare {
    const key = this.encode(compare.key);
    if ('modRevision' in compare) {
      return { result: 'Equal', target: 'Mod', key, mod_revision: compare.modRevision };
    }
    if ('createRevision' in compare) {
      return { result: 'Equal', target: 'Create', key, create_revision: compare.createRevision };
    }
    if ('version' in compare) return { result: 'Equal', target: 'Version', key, version: compare.version };
    return { result: 'Equal', target: 'Value', key, value: asBuffer(compare.value) };
  }

  #operation(operation: Operation): IRequestOp {
    if ('put' in operation) {
      return { request_put: { key: this.encode(operation.put), value: asBuffer(operation.value) } };
    }
    if ('delete' in operation) return { request_delete_range: { key: this.encode(operation.delete) } };
    if ('deletePrefix' in operation) return { request_delete_range: this.range(operation.deletePrefix) };
    if ('get' in operation) return { request_range: { key: this.encode(operation.get) } };
    return { request_range: this.range(operation.range) };
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

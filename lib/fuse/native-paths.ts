import { OperationError } from './errno.js';
import { type Attributes, type Context, type Operations, ROOT_NODE } from './operations.js';

/** What libfuse renames a file to that is unlinked, or replaced by a rename, while it is open. */
const HIDDEN_NAME = /^\.fuse_hidden[0-9a-f]{16}$/;
/** What the binding makes of bytes that are not UTF-8. */
const REPLACEMENT = '\ufffd';

export interface Place {
  parent: number;
  name: string;
}

/**
 * From the paths that libfuse 2.9 speaks of to nodes. Nothing is remembered, except which open files libfuse believes
 * to have hidden under another name: in truth they are unlinked, and nobody sees that name.
 */
export class NativePaths {
  readonly #operations: Operations;
  readonly #context: Context;
  readonly #hidden = new Map<string, number>();

  constructor(operations: Operations, context: Context) {
    this.#operations = operations;
    this.#context = context;
  }

  /** The node of a hidden file, or null. */
  hidden(path: string): number | null {
    return this.#hidden.get(path) ?? null;
  }

  /** Whether a rename to this path is libfuse's way to unlink an open file. */
  hides(path: string): boolean {
    return HIDDEN_NAME.test(path.slice(path.lastIndexOf('/') + 1));
  }

  hide(path: string, node: number): void {
    this.#hidden.set(path, node);
  }

  /** Ends a hidden file, whose last handle was closed; false when it is none. */
  forget(path: string): boolean {
    return this.#hidden.delete(path);
  }

  /** @throws OperationError ENOENT and whatever lookup throws. */
  async node(path: string): Promise<number> {
    const hidden = this.#hidden.get(path);
    if (hidden !== undefined) return hidden;
    if (path === '/') return ROOT_NODE;
    return (await this.attributes(path)).node;
  }

  /** What lookup answers for the path, which is not the root. */
  async attributes(path: string): Promise<Attributes> {
    const { parent, name } = await this.place(path);
    return this.#operations.lookup(parent, name, this.#context);
  }

  /** The directory that a path is in, and its name there. */
  async place(path: string): Promise<Place> {
    const names = path.split('/').slice(1);
    const name = names.pop()!;
    let parent = ROOT_NODE;
    for (const directory of names) {
      parent = (await this.#operations.lookup(parent, directory, this.#context)).node;
    }
    return { parent, name };
  }

  /** As `place`, for a name that is to be made: one that did not arrive whole is refused. */
  async newPlace(path: string): Promise<Place> {
    if (path.includes(REPLACEMENT)) throw new OperationError('EILSEQ', 'names are UTF-8');
    return this.place(path);
  }
}

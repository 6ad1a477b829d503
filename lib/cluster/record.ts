import { z } from 'zod';
import { DecodeMemory } from './decode-memory.js';

export type RecordErrorCode = 'WRONG_FORMAT';

/** A value of the coordination store that this release cannot read. */
export class RecordError extends Error {
  readonly code: RecordErrorCode;

  constructor(code: RecordErrorCode, message: string) {
    super(message);
    this.name = 'RecordError';
    this.code = code;
  }
}

/** How one kind of value is stored: JSON that names its format. */
export class RecordCodec<Value extends NonNullable<unknown>> {
  readonly #name: string;
  readonly #format: number;
  readonly #schema: z.ZodType<Value>;
  readonly #memory = new DecodeMemory<Value>();

  /** `name` is what messages call it; what `schema` parses is the JSON without its format. */
  constructor(name: string, format: number, schema: z.ZodType<Value>) {
    this.#name = name;
    this.#format = format;
    this.#schema = schema;
  }

  encode(value: Value & object): Uint8Array {
    return Buffer.from(JSON.stringify({ ...value, format: this.#format }));
  }

  /** The value is not to be changed. Throws RecordError WRONG_FORMAT for one that a newer release wrote, or that is none. */
  decode(bytes: Uint8Array): Value {
    return this.#memory.decode(bytes, (text) => this.#decode(text));
  }

  #decode(text: string): Value {
    const { format, ...rest } = this.#parse(text);
    if (typeof format === 'number' && format > this.#format) {
      throw new RecordError(
        'WRONG_FORMAT',
        `${this.#name} has format ${format}, this release reads ${this.#format}: use a newer one`,
      );
    }
    if (format !== this.#format) throw this.damaged(`its format is ${JSON.stringify(format)}`);
    const parsed = this.#schema.safeParse(rest);
    if (!parsed.success) throw this.damaged(z.prettifyError(parsed.error));
    return parsed.data;
  }

  damaged(reason: string): RecordError {
    return new RecordError('WRONG_FORMAT', `${this.#name} is damaged: ${reason}`);
  }

  #parse(text: string): Record<string, unknown> {
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch (error) {
      throw this.damaged((error as Error).message);
    }
    if (typeof json !== 'object' || json === null || Array.isArray(json)) throw this.damaged('it is no object');
    return json as Record<string, unknown>;
  }
}

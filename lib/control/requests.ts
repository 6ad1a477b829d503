/** What requests to the control socket may carry. Names and directories are judged by who carries them out. */
import { z } from 'zod';
import { AdministrationError } from './administration.js';

/** Longer names than any image can have are let through up to here, to be refused by their own error. */
const NAME_LENGTH_MAX = 4096;
const PATH_LENGTH_MAX = 4096;
/** Images are as large as a number can say where an object of 4 MiB starts. */
const SIZE_MAX = Number.MAX_SAFE_INTEGER;
/** A year: what is to let hosts in for longer is better made anew. */
const TOKEN_TTL_SECONDS_MAX = 366 * 24 * 60 * 60;
const TOKEN_USES_MAX = 9999;

const name = z.string().min(1).max(NAME_LENGTH_MAX);
const directory = z.string().min(1).max(PATH_LENGTH_MAX);
const size = z.number().int().min(0).max(SIZE_MAX);
const copies = z.number().int().min(1).max(5);

export const createRequest = z.strictObject({ name, size, copies: copies.optional() });
export const resizeRequest = z.strictObject({ size, shrink: z.boolean().default(false) });
export const cloneRequest = z.strictObject({ name });
export const diskAddRequest = z.strictObject({ directory });
export const diskRemoveRequest = z.strictObject({ disk: z.union([z.number().int().min(0), directory]) });
export const shutdownRequest = z.strictObject({ force: z.boolean().default(false) });
export const tokenRequest = z.strictObject({
  ttlSeconds: z.number().int().min(1).max(TOKEN_TTL_SECONDS_MAX).optional(),
  uses: z.number().int().min(1).max(TOKEN_USES_MAX).optional(),
});
/** Of what is told to one that the path names, and needs nothing more. */
export const emptyRequest = z.strictObject({});

/** In a query, numbers are text and a flag is there or not. */
export const noQuery = z.strictObject({});
export const deleteQuery = z.strictObject({ force: z.literal('true').optional() });
export const importQuery = z.strictObject({
  size: z.string().regex(/^\d+$/, 'is no number').transform(Number).pipe(size).optional(),
});

/**
 * The value as the schema has it.
 *
 * @throws AdministrationError INVALID, in one line that names each mistake.
 */
export function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const mistakes = result.error.issues.map((issue) => `${issue.path.join('.') || 'request'}: ${issue.message}`);
  throw new AdministrationError('INVALID', mistakes.join(', '));
}

import { type Clock, pause } from '../cluster/clock.js';
import type { GenerationStep } from './object-io.js';
import type { FrozenRole, WriterRole } from './role.js';

/** Before roles that were lost, or a transaction that others were faster than, are tried again. */
const RETRY_MS = 50;

/** A writer role, and the image that it is of. */
export interface SteppedRole {
  readonly vdi: number;
  readonly role: WriterRole;
}

/** See Objects.step. Rejects with what `change` rejects with: then it may have been carried out, or not. */
export async function step<Result>(
  clock: Clock,
  stepped: readonly SteppedRole[],
  opened: number,
  change: (steps: readonly GenerationStep[]) => Promise<Result | null>,
): Promise<Result> {
  for (;;) {
    const frozen = await freezeAll(stepped, opened);
    let result: Result | null = null;
    let isOver = false;
    try {
      if (frozen) result = await change(stepped.map(({ role }) => frozen.get(role)!));
      isOver = true;
    } finally {
      if (result === null) for (const each of frozen?.values() ?? []) each.thaw(!isOver);
    }
    if (frozen && result !== null) {
      await Promise.all([...frozen.values()].map((each) => each.advance()));
      return result;
    }
    await pause(clock, RETRY_MS);
  }
}

/** In the order of the images: two that step the same ones would else wait for one another. */
async function freezeAll(stepped: readonly SteppedRole[], opened: number): Promise<Map<WriterRole, FrozenRole> | null> {
  const frozen = new Map<WriterRole, FrozenRole>();
  for (const { role } of [...stepped].sort((a, b) => a.vdi - b.vdi)) {
    const each = await role.freeze(opened).catch((error) => {
      for (const earlier of frozen.values()) earlier.thaw(false);
      throw error;
    });
    if (each) {
      frozen.set(role, each);
      continue;
    }
    for (const earlier of frozen.values()) earlier.thaw(false);
    return null;
  }
  return frozen;
}

import { type Clock, pause } from '../cluster/clock.js';
import { isUnavailable } from '../cluster/patient-coordination.js';
import type { GenerationStep, Stepped } from './object-io.js';
import type { FrozenRole, WriterRole } from './role.js';

/** Before roles that were lost, or a transaction that others were faster than, are tried again. */
const RETRY_MS = 50;

/** A writer role, and the image that it is of. */
export interface SteppedRole {
  readonly vdi: number;
  readonly role: WriterRole;
}

/**
 * See Objects.step. `change` is called again where the store did not answer, and finds out whether it was carried out.
 */
export async function step<Result>(
  clock: Clock,
  stepped: readonly SteppedRole[],
  opened: number,
  change: (steps: readonly GenerationStep[]) => Promise<Stepped<Result>>,
  ends: readonly string[] = [],
): Promise<Result> {
  for (;;) {
    const frozen = await freezeAll(stepped, opened, ends);
    if (frozen) {
      const roles = [...frozen.values()];
      const outcome = await change(stepped.map(({ role }) => frozen.get(role)!)).catch((error) => {
        for (const each of roles) each.thaw(true);
        // Whether it was carried out is found out under the roles, taken anew.
        if (!isUnavailable(error)) throw error;
        return null;
      });
      if (outcome === null) continue;
      if (outcome !== 'again' && outcome.stored) await Promise.all(roles.map((each) => each.advance()));
      else for (const each of roles) each.thaw(false);
      if (outcome !== 'again') return outcome.result;
    }
    await pause(clock, RETRY_MS);
  }
}

/** In the order of the images: two that step the same ones would else wait for one another. */
async function freezeAll(
  stepped: readonly SteppedRole[],
  opened: number,
  ends: readonly string[],
): Promise<Map<WriterRole, FrozenRole> | null> {
  const frozen = new Map<WriterRole, FrozenRole>();
  for (const { role } of [...stepped].sort((a, b) => a.vdi - b.vdi)) {
    const each = await role.freeze(opened, ends).catch((error) => {
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

import type { Disk } from './disk.js';
import type { ActiveObject, LayerState } from './layer-state.js';
import { pause } from './time.js';

/** Records raised in one commit. */
const RAISE_BATCH = 1024;

/**
 * Raises `modified` of every active object whose group's `since` has changed. `sinceOf` answers the new `since` of an
 * index's group, or null where it did not change. Durable when it resolves.
 *
 * What is raised is the activity record: the entry may be changed meanwhile by who holds the index.
 */
export async function raiseModified(
  disk: Disk,
  sinceOf: (family: number, index: number) => number | null,
): Promise<void> {
  const raised: { state: LayerState; active: ActiveObject; since: number }[] = [];
  for (const state of disk.layers.values()) {
    for (const active of state.active.values()) {
      const since = sinceOf(state.family, active.index);
      if (since !== null && active.modified < since) raised.push({ state, active, since });
    }
  }
  for (let start = 0; start < raised.length; start += RAISE_BATCH) {
    await disk.index.commit(() => {
      for (const { state, active, since } of raised.slice(start, start + RAISE_BATCH)) {
        // Retired meanwhile: by a flush of all copies, so that none of them can differ.
        if (active.retired || state.active.get(active.index) !== active) continue;
        active.modified = since;
        active.raised = true;
        disk.index.putActive(state.family, active.index, state.layer, active);
      }
    });
    // Lets other work run.
    await pause(disk.system.time, 0);
  }
  if (raised.length > 0) await disk.index.durable();
}

import { test } from 'brittle';
import { attributeChecks } from './attributes.js';
import { dataChecks } from './data.js';
import { directChecks } from './direct.js';
import { directoryChecks } from './directory.js';
import type { Checks, Features } from './features.js';
import { lockChecks } from './locks.js';
import { nameChecks } from './names.js';
import { openChecks } from './open.js';
import { spaceChecks } from './space.js';
import { truncateChecks } from './truncate.js';
import { xattrChecks } from './xattrs.js';

/** Every check by its name. They run against any mounted directory, also several times over the same one. */
export const posixChecks: Checks = {
  ...openChecks,
  ...dataChecks,
  ...truncateChecks,
  ...nameChecks,
  ...attributeChecks,
  ...directoryChecks,
  ...xattrChecks,
  ...directChecks,
  ...spaceChecks,
  ...lockChecks,
};

const CHECK_DEADLINE_MS = 180_000;

/**
 * Registers a test for each check, to be called within a test file. `directory` is asked for when the check starts.
 * The variable CHECK leaves only those whose name it is part of.
 */
export function testPosix(label: string, features: Features, directory: () => string): void {
  for (const [name, check] of Object.entries(posixChecks)) {
    if (process.env.CHECK && !name.includes(process.env.CHECK)) continue;
    test(`${label}: ${name}`, { timeout: CHECK_DEADLINE_MS }, (t) => check(directory(), t, features));
  }
}

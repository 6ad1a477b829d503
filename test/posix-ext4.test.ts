/** The checks against a local file system: what fails here is wrong in the check. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testPosix } from './posix/checks.js';
import { ALL_FEATURES } from './posix/features.js';

const directory = mkdtempSync(join(tmpdir(), 'sheep-posix-'));
process.on('exit', () => rmSync(directory, { recursive: true, force: true }));

testPosix('local', ALL_FEATURES, () => directory);

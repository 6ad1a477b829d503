/**
 * A program: runs random operations on a file, and compares what it holds in the end. A process of its own, since most
 * of them block. A file that exists is taken as it is. Arguments: path, seed, operations, kernel or native.
 */
import { existsSync, readFileSync } from 'node:fs';
import { ALL_FEATURES, NATIVE_FEATURES } from '../posix/features.js';
import { FsxError, type FsxOptions, runFsx } from './fsx.js';

const [path, seed, operations, backend] = process.argv.slice(2);
if (!path || !seed || !operations) throw new Error('usage: PATH SEED OPERATIONS kernel|native');

const features = backend === 'native' ? NATIVE_FEATURES : { ...ALL_FEATURES, flat: true };
const options: FsxOptions = { path, seed: Number(seed), operations: Number(operations), features };
if (existsSync(path)) options.content = readFileSync(path);
const result = await runFsx(options);
if (!readFileSync(path).equals(result.content)) throw new FsxError(`seed ${seed}: the file is another in the end`);
const { elapsedMs, counts } = result;
console.log(`${Math.round((result.operations / elapsedMs) * 1000)} operations/s ${JSON.stringify(counts)}`);
process.exit(0);

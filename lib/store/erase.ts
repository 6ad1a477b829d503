import { join } from 'node:path';
import { type Files, NODE_FILES, promised, syncDirectory } from './files.js';

/** What a disk's directory holds of ours; disk.json first, so that half an erased disk is no disk. */
const NAMES = ['disk.json', 'disk.json.new', 'index', 'objects', 'ring', 'lock'];

/** Removes a closed disk's files from its directory, which can then be taken into use anew. All data on it is lost. */
export async function eraseDisk(directory: string, files: Files = NODE_FILES): Promise<void> {
  for (const name of NAMES) {
    await promised((done) => files.rm(join(directory, name), { recursive: true, force: true }, done));
  }
  await syncDirectory(files, directory);
}

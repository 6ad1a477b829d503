import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readIfThere, replaceDurably } from '../net/durable-file.js';
import { DATA_NAME, JOINED_NAME } from './etcd-arguments.js';
import type { MemberData } from './etcd-member-step.js';
import { wipeEtcd } from './etcd-process.js';

/** There is something in it once etcd has begun to write. */
const MEMBER_PATH = join(DATA_NAME, 'member');

/** What the directory of a member holds; nothing when it does not exist. */
export async function memberData(directory: string): Promise<MemberData> {
  const joined = await readIfThere(join(directory, JOINED_NAME));
  return { exists: existsSync(join(directory, MEMBER_PATH)), joined: joined?.toString() ?? null };
}

/** Empties the directory for a member that was added to others. Throws EtcdError NOT_ENDED. */
export async function prepareToJoin(directory: string, id: string): Promise<void> {
  await wipeEtcd(directory);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await replaceDurably(join(directory, JOINED_NAME), id);
}

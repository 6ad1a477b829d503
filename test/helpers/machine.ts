/** What makes a test look like a machine of its own: its mounts, and a boot id that it can change. */
import { spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';

const INSIDE = 'SHEEP_TEST_MACHINE';
const BOOT_ID = '/proc/sys/kernel/random/boot_id';
/** A file of procfs whose content is each UTS namespace's own. LMDB takes a boot id from nowhere but procfs. */
const STAND_IN = '/proc/sys/kernel/domainname';

/**
 * Goes on in namespaces of mounts and of names that are this program's own; whatever it mounts is gone when it ends.
 * To be called before anything else: outside them the program runs once more, inside, and this process ends as that one
 * does.
 */
export async function enterMachine(): Promise<void> {
  if (process.env[INSIDE]) {
    const { status, stderr } = spawnSync('mount', ['--bind', STAND_IN, BOOT_ID], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`mount: ${stderr}`);
    reboot();
    return;
  }
  const program = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const child = spawn('unshare', ['--mount', '--uts', '--propagation', 'private', ...program], {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: '1' },
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (status, signal) => resolve(status ?? (signal ? 1 : 0)));
  });
  process.exit(code);
}

/** From now on the kernel has another boot id. */
export function reboot(): void {
  writeFileSync(STAND_IN, randomUUID());
}

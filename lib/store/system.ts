import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What the store asks of the machine, to be replaced in tests. */
export interface System {
  /** The kernel's boot id: another one, and everything that was not synced is gone. */
  bootId(): string;
  /** Brings all of the directory's file system to disk (syncfs(2)). Rejects when it could not. */
  syncFilesystem(directory: string): Promise<void>;
}

export const SYSTEM: System = {
  bootId: () => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
  syncFilesystem: (directory) =>
    new Promise((resolve, reject) => {
      const child = spawn('sync', ['-f', directory], { stdio: ['ignore', 'ignore', 'pipe'] });
      let output = '';
      child.stderr.on('data', (data: Buffer) => {
        output += data.toString();
      });
      child.on('error', reject);
      child.on('close', (code) => {
        if (code === 0) resolve();
        else reject(new Error(`sync -f ${directory}: ${output.trim() || `exit ${code}`}`));
      });
    }),
};

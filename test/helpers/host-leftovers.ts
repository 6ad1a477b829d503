/**
 * Names that tell whose they are: a test process that is killed leaves namespaces, mounts and directories behind, which
 * the next one that needs hosts puts away.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mountPoints, namespaceNames, removeNamespace, unmount } from './cleanup.js';
import { startTime } from './proc.js';

const OWNED = /^sheep-hosts-(\d+)-(\d+)-/;

/** What the names of everything begin with that this process makes. */
export function ownPrefix(): string {
  return `sheep-hosts-${process.pid}-${startTime(process.pid)}-`;
}

/** Whether the name is one of a process that is gone, whoever has its number now. */
function isLeft(name: string): boolean {
  const [, pid, start] = OWNED.exec(name) ?? [];
  return pid !== undefined && startTime(Number(pid)) !== Number(start);
}

/** Ends and takes away what hosts of processes have left that are gone. Answers what there was. */
export function sweepHosts(): string[] {
  const swept: string[] = [];
  for (const name of namespaceNames().filter(isLeft)) {
    removeNamespace(name);
    swept.push(`network namespace ${name}`);
  }
  for (const mount of mountPoints()) {
    if (!mount.split('/').some(isLeft)) continue;
    unmount(mount);
    swept.push(`mount ${mount}`);
  }
  for (const name of readdirSync(tmpdir()).filter(isLeft)) {
    spawnSync('rm', ['-rf', '--one-file-system', join(tmpdir(), name)]);
    swept.push(`directory ${name}`);
  }
  return swept;
}

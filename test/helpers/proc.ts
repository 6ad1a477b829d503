/** What /proc tells of processes. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** A process's children, oldest first. None when it is gone. */
export function childrenOf(pid: number): number[] {
  const children: number[] = [];
  for (const entry of readdirSync('/proc')) {
    if (/^\d+$/.test(entry) && parentOf(Number(entry)) === pid) children.push(Number(entry));
  }
  return children.sort((a, b) => startTime(a) - startTime(b));
}

/** A process and all that descend from it. */
export function treeOf(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(treeOf)];
}

/** Whether the process exists and is no zombie. */
export function isRunning(pid: number): boolean {
  const state = statFields(pid)?.[0];
  return state !== undefined && state !== 'Z' && state !== 'X';
}

/** Path of the program that a process runs, or null. */
export function executableOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    // Gone, or a zombie.
    return null;
  }
}

/** CPU time in clock ticks that a process and its children that ended have used, in user and kernel mode. */
export function cpuTicksOf(pid: number): number {
  const fields = statFields(pid);
  if (!fields) return 0;
  return [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0);
}

/** The most memory that a process has had resident, in bytes. */
export function peakMemoryOf(pid: number): number {
  try {
    const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(kibibytes ?? 0) * 1024;
  } catch {
    return 0;
  }
}

function parentOf(pid: number): number | null {
  const fields = statFields(pid);
  return fields && fields[0] !== 'Z' ? Number(fields[1]) : null;
}

/** When a process began, in clock ticks since the boot: with its number it names the process for good. 0: it is gone. */
export function startTime(pid: number): number {
  return Number(statFields(pid)?.[19] ?? 0);
}

/** The fields of /proc/PID/stat from the state (field 3) on; the name before it may hold anything. */
function statFields(pid: number): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}

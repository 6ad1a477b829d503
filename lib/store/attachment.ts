import { readFile, stat } from 'node:fs/promises';

/** Linux numbers each attachment of a block device, from 5.15 on; a partition has that of its disk. */
const PLACES = ['diskseq', '../diskseq'];

/** See System.attachment. File systems that are on no one block device have none. */
export async function attachmentOf(directory: string): Promise<string> {
  const { dev } = await stat(directory, { bigint: true });
  const device = `/sys/dev/block/${majorOf(dev)}:${minorOf(dev)}`;
  for (const place of PLACES) {
    const found = await readFile(`${device}/${place}`, 'utf8').catch(() => '');
    if (found.trim() !== '') return found.trim();
  }
  return '';
}

/** As glibc's gnu_dev_major and gnu_dev_minor. */
function majorOf(dev: bigint): bigint {
  return ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
}

function minorOf(dev: bigint): bigint {
  return (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
}

/** What is stored of the boot under which a disk is in use. */
export function bootOf(bootId: string, attachment: string): string {
  return attachment === '' ? bootId : `${bootId}${SEPARATOR}${attachment}`;
}

const SEPARATOR = '#';

/** Whether nothing that was not synced is lost between the two. */
export function isSameBoot(before: string, after: string): boolean {
  const [bootBefore, attachmentBefore] = before.split(SEPARATOR);
  const [bootAfter, attachmentAfter] = after.split(SEPARATOR);
  if (bootBefore !== bootAfter) return false;
  // Earlier releases did not store one.
  return attachmentBefore === undefined || attachmentAfter === undefined || attachmentBefore === attachmentAfter;
}

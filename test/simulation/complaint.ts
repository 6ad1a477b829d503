import { OBJECT_BYTES } from '../../lib/replication/object-io.js';
import { SECTOR_BYTES } from './stamps.js';

/** What a complaint is about, as far as it can be told. */
export interface Subject {
  readonly vdi: number | null;
  readonly index: number | null;
  /** Of the image. */
  readonly sector: number | null;
  readonly group: { readonly copies: number; readonly pg: number } | null;
}

/** Words of a complaint that tell its kind. */
const KIND_WORDS = 3;

/** The kind of a complaint: two of one kind are likely to have the same cause. */
export function kindOfComplaint(complaint: string): string {
  return complaint
    .replace(/^(in the end, )?(vdi \d+ on \S+: )?/, '')
    .replace(/\S*\d\S*/g, '#')
    .split(' ')
    .slice(0, KIND_WORDS)
    .join(' ');
}

/** @param groupOf the group of an image's index */
export function subjectOf(complaint: string, groupOf: (vdi: number, index: number) => Subject['group']): Subject {
  const numberIn = (pattern: RegExp) => {
    const found = pattern.exec(complaint);
    return found ? Number(found[1]) : null;
  };
  const object = /object (\d+)\/\d+\/(\d+)/.exec(complaint);
  const vdi = object ? Number(object[1]) : numberIn(/vdi (\d+)/);
  const sector = numberIn(/sector (\d+)/);
  const ofSector = sector === null ? null : Math.floor((sector * SECTOR_BYTES) / OBJECT_BYTES);
  const index = object ? Number(object[2]) : (ofSector ?? numberIn(/index (\d+)/));
  const named = /group (\d+)\/(\d+)/.exec(complaint);
  const group = named ? { copies: Number(named[1]), pg: Number(named[2]) } : null;
  return { vdi, index, sector, group: group ?? (vdi === null || index === null ? null : groupOf(vdi, index)) };
}

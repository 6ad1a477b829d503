import { OBJECT_BYTES } from '../../lib/replication/object-io.js';
import type { Subject } from './complaint.js';
import { SECTOR_BYTES } from './stamps.js';

/** A line of a trace: when, where, what. */
const LINE = /^ *[\d.]+ {2}(\S+) +(.*)$/;

/**
 * Of a trace, the lines that may have to do with the subject of a complaint: what goes wrong, which hosts are up, changes
 * of the subject's group, guests' operations on it and the messages about it. A message is shown where it arrives, or
 * where it was sent if it does not arrive.
 */
export function relevantLines(lines: readonly string[], subject: Subject): string[] {
  const state: State = { subject, writes: new Set(), requests: new Set(), arrived: arrivals(lines) };
  return lines.filter((line) => {
    const [, where = '', what = ''] = LINE.exec(line) ?? [];
    return where === '' || isRelevant(where, what, state);
  });
}

interface State {
  readonly subject: Subject;
  /** Numbers of writes that were shown. */
  readonly writes: Set<string>;
  /** Requests that were shown, each with the host that asked. */
  readonly requests: Set<string>;
  readonly arrived: ReadonlySet<string>;
}

/** Everybody's first one, as the world begins. */
const FIRST_SESSION = /^session 1 with \S+ is open$/;
const MESSAGE = /^(sends to|gets from|gets late from) (\S+) by (\d+): (.*)$/;

function isRelevant(where: string, what: string, state: State): boolean {
  const message = MESSAGE.exec(what);
  if (message) return isRelevantMessage(where, message, state);
  const { subject } = state;
  if (FIRST_SESSION.test(what)) return false;
  const vdi = /\bvdi (\d+)/.exec(what);
  if (vdi && subject.vdi !== null) return Number(vdi[1]) === subject.vdi && isRelevantOperation(what, state);
  if (where === 'store')
    return /\/(writer|map|evict)\b/.test(what) && isOurs(/\/writer\/(\d+)/.exec(what), subject.vdi);
  if (where === 'map') return isOurGroup(what, subject);
  return true;
}

function isRelevantOperation(what: string, { subject, writes }: State): boolean {
  const began = /(?:write|discard) (\d+) of (\d+)\+(\d+) (\d+)/.exec(what);
  if (began) {
    const [number, index, offset, length] = [began[1]!, Number(began[2]), Number(began[3]), Number(began[4])];
    const start = index * OBJECT_BYTES + offset;
    const at = subject.sector === null ? null : subject.sector * SECTOR_BYTES;
    const isSame = at === null ? isOurs(began.slice(1), subject.index, index) : start <= at && at < start + length;
    if (isSame) writes.add(number);
    return isSame;
  }
  const ended = /(?:write|discard) (\d+) is done/.exec(what);
  return !ended || writes.has(ended[1]!);
}

function isRelevantMessage(where: string, [, how, other, session, text]: RegExpExecArray, state: State): boolean {
  const { subject, requests, arrived } = state;
  if (how === 'sends to' && arrived.has(`${other} ${where} ${session} ${text}`)) return false;
  // Answers say of which request they are only; its sender gets them.
  const answer = /^(\d+) (answered|refused)/.exec(text!);
  if (answer) return requests.has(`${how === 'sends to' ? other : where} ${answer[1]}`);
  const isAbout =
    isOurs(/\bvdi (\d+)/.exec(text!), subject.vdi) &&
    isOurs(/\bindex (\d+)|\bvdi \d+ (\d+)\+/.exec(text!), subject.index) &&
    isOurGroup(text!, subject) &&
    !/^report /.test(text!);
  const request = /^(\d+): /.exec(text!);
  if (isAbout && request) requests.add(`${how === 'sends to' ? where : other} ${request[1]}`);
  return isAbout;
}

/** Whether nothing that was found is another's. */
function isOurs(found: readonly (string | undefined)[] | null, ours: number | null, value?: number): boolean {
  if (ours === null || found === null) return true;
  return (value ?? Number(found.slice(1).find((part) => part !== undefined))) === ours;
}

function isOurGroup(text: string, { group }: Subject): boolean {
  const found = /\bgroup (\d+)\/(\d+)/.exec(text);
  if (!found || group === null) return true;
  return Number(found[1]) === group.copies && Number(found[2]) === group.pg;
}

function arrivals(lines: readonly string[]): Set<string> {
  const arrived = new Set<string>();
  for (const line of lines) {
    const [, where, what = ''] = LINE.exec(line) ?? [];
    const [, how, from, session, text] = MESSAGE.exec(what) ?? [];
    if (how !== undefined && how !== 'sends to') arrived.add(`${where} ${from} ${session} ${text}`);
  }
  return arrived;
}

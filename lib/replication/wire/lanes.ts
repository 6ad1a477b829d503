import type { Lane } from '../../net/links.js';
import type { Body, Message } from '../messages.js';

/** What may be long goes by the lane of data: what is short, and others wait for, must not wait behind it. */
export function laneOf(message: Message): Lane {
  switch (message.type) {
    case 'change':
      return message.change.kind === 'write' || message.change.kind === 'equal' ? 'data' : 'control';
    case 'reply':
      return message.body !== undefined && isBulk(message.body) ? 'data' : 'control';
    default:
      return 'control';
  }
}

/** Data, a list, or what has lists: but for what a fence answers, which a guest waits for whose host has died. */
function isBulk(body: Body): boolean {
  if (typeof body !== 'object' || body === null) return false;
  return Buffer.isBuffer(body) || Array.isArray(body) || 'entries' in body || 'description' in body || 'blocks' in body;
}

import { WireError } from '../../net/links.js';
import type { Refusal, Reply } from '../messages.js';
import { BODY_OPTIONS, bodyOption } from './bodies.js';
import { byNumber, choice, constant, option, record } from './composites.js';
import { counter } from './primitives.js';
import type { Encoding } from './wire-state.js';

const refusal = choice<Refusal, 'reason'>('reason', 'refusal', {
  map: option(1, record({ reason: constant('map'), epoch: counter })),
  generation: option(2, record({ reason: constant('generation'), generation: counter })),
  unequal: option(3, record({ reason: constant('unequal') })),
  'no-space': option(4, record({ reason: constant('no-space') })),
  changed: option(5, record({ reason: constant('changed') })),
});

/** What follows the number of the request: nothing, a refusal, or a body, of which each kind has a number from 2 on. */
const DONE = 0;
const REFUSED = 1;

const bodies = byNumber(BODY_OPTIONS);

/** By hand: every change and read has one. */
export const reply: Encoding<Reply> = {
  preencode(state, { request, refusal: refused, body }) {
    counter.preencode(state, request);
    state.end++;
    if (refused !== undefined) refusal.preencode(state, refused);
    else if (body !== undefined) bodyOption(body).encoding.preencode(state, body);
  },
  encode(state, { request, refusal: refused, body }) {
    if (refused !== undefined && body !== undefined) throw new WireError('a refusal has no body');
    counter.encode(state, request);
    if (refused !== undefined) {
      state.buffer[state.start++] = REFUSED;
      refusal.encode(state, refused);
    } else if (body === undefined) state.buffer[state.start++] = DONE;
    else {
      const { byte, encoding } = bodyOption(body);
      state.buffer[state.start++] = byte;
      encoding.encode(state, body);
    }
  },
  decode(state) {
    const request = counter.decode(state);
    const kind = state.buffer[state.take(1)]!;
    if (kind === DONE) return { type: 'reply', request };
    if (kind === REFUSED) return { type: 'reply', request, refusal: refusal.decode(state) };
    const encoding = bodies[kind];
    if (encoding === undefined) throw new WireError(`there is no answer with the number ${kind}`);
    return { type: 'reply', request, body: encoding.decode(state) };
  },
};

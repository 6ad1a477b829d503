/** Questions between hosts: each is answered once, goes again by every new session, or is given up. */
import { test } from 'brittle';
import { INQUIRIES_PER_HOST_MAX, Inquiries } from '../lib/replication/inquiries.js';

function script(): { inquiries: Inquiries; sent: string[] } {
  const sent: string[] = [];
  const inquiries = new Inquiries((host, { request }) => sent.push(`${request} to ${host}`));
  return { inquiries, sent };
}

test('a question is answered once, by the reply that carries its number', async (t) => {
  const { inquiries, sent } = script();
  const { answer } = inquiries.ask('b', (request) => ({ request }));
  t.alike(sent, ['1 to b']);
  t.absent(inquiries.replied({ type: 'reply', request: 2 }), "another's is not taken");
  t.ok(inquiries.replied({ type: 'reply', request: 1, body: 1 }));
  t.absent(inquiries.replied({ type: 'reply', request: 1, body: 2 }));
  t.is((await answer)?.body, 1);
});

test('a question goes again by every new session with its host until it is answered', (t) => {
  const { inquiries, sent } = script();
  inquiries.ask('b', (request) => ({ request }));
  inquiries.ask('c', (request) => ({ request }));
  sent.length = 0;
  inquiries.linkOpened('b');
  inquiries.linkOpened('b');
  t.alike(sent, ['1 to b', '1 to b']);
  inquiries.replied({ type: 'reply', request: 1 });
  inquiries.linkOpened('b');
  t.is(sent.length, 2);
});

test('a question that is given up is answered with nothing, and never goes again', async (t) => {
  const { inquiries, sent } = script();
  const { answer, cancel } = inquiries.ask('b', (request) => ({ request }));
  cancel();
  t.is(await answer, null);
  inquiries.linkOpened('b');
  t.is(sent.length, 1);
  t.absent(inquiries.replied({ type: 'reply', request: 1 }), 'nor is a late reply taken');
});

test('questions to hosts that are gone are given up, others are not', async (t) => {
  const { inquiries } = script();
  const gone = inquiries.ask('b', (request) => ({ request }));
  const there = inquiries.ask('c', (request) => ({ request }));
  inquiries.cancelWhere((host) => host === 'b');
  t.is(await gone.answer, null);
  inquiries.replied({ type: 'reply', request: 2 });
  t.is((await there.answer)?.request, 2);
});

test('no two requests of a process have the same number', (t) => {
  const { inquiries, sent } = script();
  const number = inquiries.nextRequest();
  inquiries.ask('b', (request) => ({ request }));
  t.alike([number, sent], [1, ['2 to b']]);
});

test('so many questions wait for a host, more wait for those, and what has to get through does', async (t) => {
  const { inquiries, sent } = script();
  const ask = (host: string, ahead?: boolean) => inquiries.ask(host, (request) => ({ request }), ahead);
  for (let count = 1; count <= INQUIRIES_PER_HOST_MAX; count++) ask('b');
  sent.length = 0;
  const [first, second, third] = [ask('b'), ask('b'), ask('b')];
  t.alike(sent, [], 'at the limit');
  const at = INQUIRIES_PER_HOST_MAX;
  ask('c');
  ask('b', true);
  t.alike(sent.splice(0), [`${at + 4} to c`, `${at + 5} to b`]);
  inquiries.replied({ type: 'reply', request: at + 5 });
  t.alike(sent, [], 'it was not counted');
  first.cancel();
  t.is(await first.answer, null);
  inquiries.replied({ type: 'reply', request: 7 });
  t.alike(sent.splice(0), [`${at + 2} to b`], 'one for one, in their order');
  inquiries.linkOpened('b');
  t.is(sent.splice(0).length, at, 'what was not sent is not sent again');
  inquiries.cancelWhere((host) => host === 'b');
  t.alike(await Promise.all([second.answer, third.answer]), [null, null]);
  ask('b');
  t.is(sent.length, 1);
});

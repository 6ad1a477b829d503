import { type Assertions, test } from 'brittle';
import type { Lane, LinkEvents, Links, MessageCodec } from '../lib/net/links.js';
import { Random } from './helpers/random.js';
import { copyMessage } from './simulation/message-copy.js';
import { Network } from './simulation/network.js';
import { CALM_NETWORK, type NetworkConditions, ROUGH_NETWORK } from './simulation/network-conditions.js';
import { ProcessScope } from './simulation/process-scope.js';
import { Scheduler } from './simulation/scheduler.js';
import { Trace } from './simulation/trace.js';

/** Numbered within what one end sends by one lane of one session. */
interface Numbered {
  from: string;
  lane: Lane;
  number: number;
  session: number;
}

const CODEC: MessageCodec<Numbered> = {
  encode: (message) => [Buffer.from(JSON.stringify(message))],
  decode: (body) => JSON.parse(body.toString()) as Numbered,
  laneOf: ({ lane }) => lane,
};

type Seen = ['opened' | 'lost' | 'received', host: string, session: number, message?: Numbered];

/** A process that notes all it hears. */
class Listener implements LinkEvents<Numbered> {
  readonly seen: Seen[] = [];
  readonly open = new Map<string, number>();
  readonly links: Links<Numbered>;
  readonly scope: ProcessScope;
  readonly name: string;
  readonly #sent = new Map<string, number>();

  constructor(world: World, name: string) {
    this.name = name;
    this.scope = new ProcessScope(world.scheduler, world.random, name);
    this.links = world.network.attach(name, this.scope, this);
  }

  opened(host: string, session: number): void {
    this.seen.push(['opened', host, session]);
    this.open.set(host, session);
  }

  lost(host: string, session: number): void {
    this.seen.push(['lost', host, session]);
    this.open.delete(host);
  }

  received(host: string, session: number, message: Numbered): void {
    this.seen.push(['received', host, session, message]);
  }

  send(to: string, lane: Lane = 'control'): number | null {
    const session = this.open.get(to) ?? -1;
    const key = `${to} ${session} ${lane}`;
    const number = this.#sent.get(key) ?? 0;
    const sentBy = this.links.send(to, { from: this.name, lane, number, session });
    if (sentBy !== null) this.#sent.set(key, number + 1);
    return sentBy;
  }

  from(host: string): Seen[] {
    return this.seen.filter(([, other]) => other === host);
  }

  numbers(host: string, lane: Lane = 'control'): number[] {
    return this.messages(host).flatMap((message) => (message.lane === lane ? [message.number] : []));
  }

  messages(host: string): Numbered[] {
    return this.from(host).flatMap(([, , , message]) => message ?? []);
  }
}

interface World {
  scheduler: Scheduler;
  random: Random;
  trace: Trace;
  network: Network<Numbered>;
}

function worldOf(seed: number, conditions: NetworkConditions = CALM_NETWORK): World {
  const scheduler = new Scheduler();
  const random = new Random(seed);
  const trace = new Trace(scheduler);
  const describe = ({ from, number }: Numbered) => `${from}${number}`;
  return {
    scheduler,
    random,
    trace,
    network: new Network(scheduler, random, { codec: CODEC, conditions, trace, describe }),
  };
}

const LANES: readonly Lane[] = ['control', 'data'];
const upTo = (count: number) => Array.from({ length: count }, (_, number) => number);

test('two processes get one session, each in its time, and messages keep their order', async (t) => {
  const world = worldOf(1, { ...ROUGH_NETWORK, lateChance: 0 });
  const a = new Listener(world, 'a');
  const b = new Listener(world, 'b');
  t.is(a.send('b'), null, 'nothing is open yet');
  t.is(a.send('nobody'), null);
  let first: number | null = null;
  await world.scheduler.run({ until: () => a.open.has('b') || b.open.has('a') });
  t.not(a.open.has('b'), b.open.has('a'), 'one knows before the other');
  const [early, other] = a.open.has('b') ? [a, b] : [b, a];
  for (let count = 0; count < 200; count++) first = early.send(other.name);
  t.is(first, 1);
  await world.scheduler.run();
  t.alike(other.seen[0], ['opened', early.name, 1], 'it is open before its messages arrive');
  t.alike(other.numbers(early.name), upTo(200));
});

test('what goes by one lane keeps its order, and overtakes what goes by the other', async (t) => {
  const world = worldOf(1, { ...ROUGH_NETWORK, lateChance: 0 });
  const a = new Listener(world, 'a');
  const b = new Listener(world, 'b');
  await world.scheduler.run({ until: () => a.open.has('b') || b.open.has('a') });
  const [early, other] = a.open.has('b') ? [a, b] : [b, a];
  for (let count = 0; count < 200; count++) for (const lane of LANES) early.send(other.name, lane);
  await world.scheduler.run();
  t.alike(other.seen[0], ['opened', early.name, 1], 'it is open before the messages of either arrive');
  for (const lane of LANES) t.alike(other.numbers(early.name, lane), upTo(200), lane);
  const ahead = { control: 0, data: 0 };
  const arrived = { control: 0, data: 0 };
  for (const { lane } of other.messages(early.name)) {
    arrived[lane]++;
    if (arrived.control !== arrived.data) ahead[arrived.control > arrived.data ? 'control' : 'data']++;
  }
  t.ok(ahead.control > 20 && ahead.data > 20, `each is ahead for a time: ${JSON.stringify(ahead)}`);
});

test('the loss of a session is heard of behind all that arrives by it, whatever its lane', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const world = worldOf(seed, { ...ROUGH_NETWORK, lateChance: 0 });
    const a = new Listener(world, 'a');
    const b = new Listener(world, 'b');
    await world.scheduler.run();
    for (let count = 0; count < 50; count++) for (const lane of LANES) a.send('b', lane);
    world.network.reset('a', 'b');
    await world.scheduler.run();
    const lost = b.seen.findIndex(([what]) => what === 'lost');
    const last = b.seen.findLastIndex(([what, , session]) => what === 'received' && session === 1);
    if (lost < last) t.fail(`a message after the loss, seed ${seed}`);
    for (const lane of LANES) {
      const numbers = b.numbers('a', lane);
      if (numbers.some((number, at) => number !== at)) t.fail(`a gap in ${lane}, seed ${seed}`);
    }
  }
  t.pass();
});

test('a message is a copy, and what no link can carry is refused', async (t) => {
  const scheduler = new Scheduler();
  const random = new Random(1);
  const network = new Network<unknown>(scheduler, random);
  const got: unknown[] = [];
  const attach = (name: string) =>
    network.attach(name, new ProcessScope(scheduler, random, name), {
      opened: () => {},
      lost: () => {},
      received: (_host, _session, message) => got.push(message),
    });
  const a = attach('a');
  attach('b');
  await scheduler.run();
  const bytes = Buffer.from('abc');
  const sent = { bytes, plain: Uint8Array.of(1), list: [{ deep: new Map([['x', bytes]]) }], nothing: null, big: 1n };
  const wanted = copyMessage(sent);
  a.send('b', sent);
  bytes.fill(0);
  sent.list.length = 0;
  await scheduler.run();
  t.alike(got, [wanted]);
  t.ok(Buffer.isBuffer((got[0] as typeof sent).bytes));
  t.is((got[0] as typeof sent).bytes.toString(), 'abc');
  for (const [refused, why] of [
    [{ call: () => {} }, /function/],
    [new Date(0), /Date/],
  ] as const) {
    try {
      a.send('b', refused);
      t.fail('it was sent');
    } catch (error) {
      t.ok(why.test((error as Error).message));
    }
  }
});

test('a cut holds one direction up; healed in time, nothing is lost', async (t) => {
  const world = worldOf(1);
  const a = new Listener(world, 'a');
  const b = new Listener(world, 'b');
  await world.scheduler.run();
  world.network.cut('a', 'b');
  t.alike([world.network.isCut('a', 'b'), world.network.isCut('b', 'a')], [true, false]);
  for (let count = 0; count < 10; count++) {
    a.send('b');
    b.send('a');
  }
  await world.scheduler.run({ untilMs: world.scheduler.nowMs + 100 });
  t.alike(b.numbers('a'), []);
  t.alike(a.numbers('b'), upTo(10), 'the other direction goes on');
  world.network.heal('a', 'b');
  a.send('b');
  await world.scheduler.run();
  t.alike(b.numbers('a'), upTo(11));
  t.alike(b.open.get('a'), 1, 'by the session it was sent by');
});

test('a cut that lasts ends the session at both ends, and healing gives a new one', async (t) => {
  const world = worldOf(2);
  const a = new Listener(world, 'a');
  const b = new Listener(world, 'b');
  await world.scheduler.run();
  world.network.cut('b', 'a');
  b.send('a');
  const lostAt: number[] = [];
  for (const one of [a, b]) {
    const [mine] = one === a ? ['b'] : ['a'];
    await world.scheduler.run({ until: () => !one.open.has(mine!) });
    lostAt.push(world.scheduler.nowMs);
  }
  await world.scheduler.run();
  t.alike([a.open.size, b.open.size], [0, 0]);
  t.is(a.send('b'), null);
  world.network.healAll();
  await world.scheduler.run();
  t.alike([a.open.get('b'), b.open.get('a')], [2, 2]);
  t.alike(
    a.seen.map(([what, , session]) => [what, session]),
    [
      ['opened', 1],
      ['lost', 1],
      ['opened', 2],
    ],
    'and what was lost with it does not come, as nothing comes late here',
  );
});

test('a killed process loses its sessions; the next one on its host gets new ones', async (t) => {
  const world = worldOf(3);
  const a = new Listener(world, 'a');
  const b = new Listener(world, 'b');
  await world.scheduler.run();
  b.send('a');
  b.scope.kill();
  t.is(b.send('a'), null, 'the dead send nothing');
  const heard = b.seen.length;
  const again = new Listener(world, 'b');
  await world.scheduler.run();
  t.alike([a.open.get('b'), again.open.get('a')], [2, 2]);
  t.is(b.seen.length, heard);
  t.alike(
    a.seen.filter(([what]) => what !== 'received').map(([what, , session]) => [what, session]),
    [
      ['opened', 1],
      ['lost', 1],
      ['opened', 2],
    ],
  );
});

/** Three processes that send all the time, while everything happens that may. */
async function storm(seed: number): Promise<{ world: World; all: Listener[] }> {
  const world = worldOf(seed, { ...ROUGH_NETWORK, lateChance: 0.5 });
  const { scheduler, random, network } = world;
  const names = ['a', 'b', 'c'];
  const living = new Map(names.map((name) => [name, new Listener(world, name)]));
  const all = [...living.values()];
  const other = (name: string) => names.filter((one) => one !== name)[random.below(2)]!;
  const disturb = (name: string, what: number) => {
    if (what < 4) network.cut(name, other(name));
    else if (what < 8) network.heal(name, other(name));
    else if (what < 10) network.reset(name, other(name));
    else if (what < 11) living.get(name)!.scope.pauseFor(random.below(4000));
    else if (what < 12) {
      living.get(name)!.scope.kill();
      const next = new Listener(world, name);
      living.set(name, next);
      all.push(next);
    } else if (what < 13) network.healAll();
  };
  for (let step = 0; step < 3000; step++) {
    const name = names[random.below(3)]!;
    for (let count = random.below(4); count > 0; count--) {
      const sender = living.get(name)!;
      if (!sender.scope.paused) sender.send(other(name), LANES[random.below(2)]);
    }
    disturb(name, random.below(200));
    await scheduler.run({ untilMs: scheduler.nowMs + random.next() * 20 });
  }
  network.healAll();
  await scheduler.run();
  return { world, all };
}

function checkStream(t: Assertions, one: Listener, host: string): void {
  let open = 0;
  let newest = 0;
  /** The next number of each lane of each session; once it is lost, a later one may come. */
  const nextOf = new Map<string, number>();
  for (const [what, , session, message] of one.from(host)) {
    if (what === 'opened') {
      if (open !== 0 || session <= newest) t.fail(`opened ${session} while ${open} was`);
      open = newest = session;
    } else if (what === 'lost') {
      if (open !== session) t.fail(`lost ${session} while ${open} was open`);
      open = 0;
    } else {
      if (session > newest || message!.session !== session) t.fail(`a message of session ${session} by ${newest}`);
      const { lane, number } = message!;
      const way = `${session} ${lane}`;
      const next = nextOf.get(way) ?? 0;
      if (session === open ? number !== next : number < next) t.fail(`message ${number} came for ${next}`);
      nextOf.set(way, number + 1);
    }
  }
  if (one.scope.alive) t.ok(open !== 0, `${one.name} has a session with ${host}, as all is healed`);
}

test('in a storm of cuts, resets, pauses and deaths, sessions stay what they promise', async (t) => {
  const seed = Number(process.env.SEED ?? Date.now()) >>> 0;
  t.comment(`seed ${seed}`);
  const { world, all } = await storm(seed);
  for (const one of all) {
    for (const host of ['a', 'b', 'c']) if (host !== one.name) checkStream(t, one, host);
  }
  const { counters } = world.network;
  t.comment(JSON.stringify(counters));
  t.ok(counters.late > 0 && counters.dropped > 0 && counters.sessions > 10);
  t.ok(counters.received + counters.dropped <= counters.sent);
});

test('the same seed gives the same history, another one another', async (t) => {
  const digests: string[] = [];
  for (const seed of [5, 5, 6]) {
    const { world } = await storm(seed);
    digests.push(world.trace.digest());
    t.ok(world.trace.count > 1000);
  }
  t.is(digests[0], digests[1]);
  t.not(digests[0], digests[2]);
});

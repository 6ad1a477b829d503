import { randomBytes } from 'node:crypto';
import type { NetworkInterfaceInfo } from 'node:os';
import { test } from 'brittle';
import HyperDHT from 'hyperdht';
import { formatHostPort } from '../lib/net/address.js';
import { createAuthority } from '../lib/net/authority.js';
import type { SwarmStream } from '../lib/net/discovery.js';
import { decodeIntroduction, encodeIntroduction } from '../lib/net/introduction.js';
import { WINDOW_BYTES } from '../lib/net/tunnel.js';
import { DiscoveryCluster, type TestDiscovery } from './helpers/discoveries.js';
import { connected, hostId, LinkHost } from './helpers/link-host.js';
import { sleep, until } from './helpers/until.js';

test('a stream of the swarm carries bytes both ways, and ends', async (t) => {
  const [a, b] = await pair(t);
  const [toB, toA] = [a.streams.get('b')!, b.streams.get('a')!];
  t.not(toB.isInitiator, toA.isInitiator, 'one of them begins');
  const sent = [randomBytes(3 * WINDOW_BYTES + 17), randomBytes(5)] as const;
  const received = Promise.all([readAll(toA), readAll(toB)]);
  toB.write(sent[0].subarray(0, 1000));
  toB.end(sent[0].subarray(1000));
  toA.end(sent[1]);
  const [atB, atA] = await received;
  t.ok(atB.equals(sent[0]), 'more than the window');
  t.ok(atA.equals(sent[1]), 'and back');
  await until('another connection, with another stream', () => {
    const next = a.streams.get('b');
    return next && next !== toB && b.streams.get('a') && b.streams.get('a') !== toA;
  });
});

test('a stream that nobody reads holds up what waits for it, and nothing else', async (t) => {
  const [a, b] = await pair(t, '0.0.0.0');
  const stream = a.streams.get('b')!;
  let written = false;
  stream.write(randomBytes(2 * WINDOW_BYTES), () => {
    written = true;
  });
  a.interfaces = { eth0: [address('10.9.8.7')] };
  await until('the new address', () => b.found.get('a')?.[0]?.startsWith('10.9.8.7:'));
  t.absent(written, 'the write waits');
  const other = b.streams.get('a')!;
  other.resume();
  await until('the write', () => written);
});

test('what is left to read when the connection has ended is read', async (t) => {
  const [a, b] = await pair(t);
  const [toB, toA] = [a.streams.get('b')!, b.streams.get('a')!];
  const sent = randomBytes(1024 * 1024);
  toB.end(sent);
  toA.end();
  toB.resume();
  await until('the end of one side', () => toB.closed);
  await until('another stream', () => b.streams.get('a') !== toA);
  t.ok((await readAll(toA)).equals(sent));
});

test('a stream is closed with its connection', async (t) => {
  const [a, b] = await pair(t);
  const [toB, toA] = [a.streams.get('b')!, b.streams.get('a')!];
  toB.destroy();
  await until('the other end', () => toA.closed);
  await until('another', () => a.streams.get('b') && b.streams.get('a'));
  const next = a.streams.get('b')!;
  await b.discovery.close();
  await until('its end', () => next.closed);
});

test('only known keys are let in, and others once they are known', async (t) => {
  const cluster = await DiscoveryCluster.make(t);
  const a = await cluster.host('a');
  const b = await cluster.host('b');
  a.discovery.setKnown([a.toFind]);
  b.discovery.setKnown([a.toFind, b.toFind]);
  a.discovery.start();
  b.discovery.start();
  let strangers = 0;
  await cluster.intruder(HyperDHT.keyPair(), () => {
    strangers++;
  });
  await sleep(2500);
  t.is(a.streams.size + b.streams.size + strangers, 0, 'nobody');
  a.discovery.setKnown([a.toFind, b.toFind]);
  await until('them', () => a.streams.has('b') && b.streams.has('a'));
  t.is(strangers, 0);

  const stream = a.streams.get('b')!;
  a.discovery.setKnown([a.toFind]);
  await until('its end', () => stream.closed);
  await sleep(2500);
  t.is(a.streams.size, 0, 'a host that is removed is let in no more');
});

test('links go by a stream of the swarm where there is no TCP', async (t) => {
  const authority = await createAuthority('6f2d1c7e-4f0b-4a77-9a5e-0d6f6a1c2b3d');
  const cluster = await DiscoveryCluster.make(t);
  const ids = [hostId(1), hostId(2)];
  const hosts = [];
  // One after the other: each is told where the ones before it are.
  for (const id of ids) hosts.push({ found: await cluster.host(id), link: await LinkHost.open(t, id, { authority }) });
  for (const { found, link } of hosts) {
    found.offer = (other, stream) => link.links.offer(other, stream);
    link.connect(...ids.filter((id) => id !== link.id).map((id) => [id] as const));
    found.discovery.setKnown(hosts.map(({ found: { toFind } }) => toFind));
    found.discovery.start();
  }
  const [a, b] = hosts.map(({ link }) => link) as [LinkHost, LinkHost];
  const session = await connected(a, b);
  const data = randomBytes(1024 * 1024);
  for (let number = 0; number < 8; number++) a.send(b, { lane: 'data', number, data }, session);
  a.send(b, { lane: 'control', number: 0, data: Buffer.from('x') }, session);
  await until('the messages', () => b.receipts.length === 9);
  t.ok(b.receipts.every(({ message }) => message.lane === 'control' || message.data.equals(data)));
  // When it is gone, another one is offered.
  hosts[0]!.found.streams.get(b.id)!.destroy();
  const next = await until('another session', () => {
    const number = a.sessions.get(b.id);
    return number !== session && number === b.sessions.get(a.id) ? number : null;
  });
  t.ok(next > session);
  t.alike([...a.faults, ...b.faults], []);
});

test('a host that has joined finds the others by what it was told of them', async (t) => {
  const [a, b] = await pair(t);
  t.alike(
    a.discovery.hosts.map(({ id, publicKey, addresses, dht }) => [id, publicKey, addresses, dht.map(formatHostPort)]),
    [a, b].map(({ discovery, toFind }) => [toFind.id, toFind.publicKey, discovery.addresses, discovery.dhtAddresses]),
  );
  t.alike(a.discovery.bootstrap, [...a.discovery.dhtAddresses, ...b.discovery.dhtAddresses]);
  const cluster = await DiscoveryCluster.make(t, a.cluster.secret);
  const c = await cluster.host('c', { remembered: a.discovery.hosts });
  for (const host of [a, b]) host.discovery.setKnown([a.toFind, b.toFind, c.toFind]);
  c.discovery.start();
  await until('them', () => c.streams.has('a') && c.streams.has('b'));
});

test('a host that is linked is looked for all the same, as a second way', async (t) => {
  const cluster = await DiscoveryCluster.make(t);
  const a = await cluster.host('a');
  const b = await cluster.host('b');
  a.linked.add('b');
  b.linked.add('a');
  for (const host of [a, b]) {
    host.discovery.setKnown([a.toFind, b.toFind]);
    host.discovery.start();
  }
  await until('it', () => a.streams.has('b') && b.streams.has('a'), 30_000);
  t.pass();
});

const INTRODUCTION = encodeIntroduction({ host: 'x', links: [{ host: '10.0.0.1', port: 1 }], dht: [] });
const MALFORMED: [string, Buffer[]][] = [
  ['no frame', [Buffer.from([9])]],
  ['data before the introduction', [Buffer.from([2, 1, 2, 3])]],
  ['an introduction that is no JSON', [Buffer.concat([Buffer.from([1]), Buffer.from('{')])]],
  ['an introduction of too many bytes', [Buffer.concat([Buffer.from([1]), Buffer.alloc(100_000, ' ')])]],
  ['the name of another host', [frame(encodeIntroduction({ host: 'b', links: [], dht: [] }))]],
  ['credit that nobody needs', [frame(INTRODUCTION), Buffer.from([3, 1, 0, 0, 0])]],
  ['half a number', [frame(INTRODUCTION), Buffer.from([3, 1])]],
  ['data after the end', [frame(INTRODUCTION), Buffer.from([4]), Buffer.from([2, 1])]],
  ['two ends', [frame(INTRODUCTION), Buffer.from([4]), Buffer.from([4])]],
  ['more than the window', [frame(INTRODUCTION), ...Array(5).fill(Buffer.alloc(1024 * 1024, 2))]],
];

test('whatever is malformed closes that connection, and touches no other', { timeout: 120_000 }, async (t) => {
  const cluster = await DiscoveryCluster.make(t);
  const a = await cluster.host('a');
  const b = await cluster.host('b');
  const keyPair = HyperDHT.keyPair();
  const x = { id: 'x', publicKey: keyPair.publicKey.toString('hex'), addresses: [] };
  for (const host of [a, b]) {
    host.discovery.setKnown([a.toFind, b.toFind]);
    host.discovery.start();
  }
  await until('the two', () => a.streams.has('b') && b.streams.has('a'));
  const stream = a.streams.get('b')!;
  a.discovery.setKnown([a.toFind, b.toFind, x]);
  const left = [...MALFORMED];
  await cluster.intruder(keyPair, (connection) => {
    const next = left.shift();
    for (const bytes of next?.[1] ?? []) connection.write(bytes);
  });
  for (let count = 1; count <= MALFORMED.length; count++) {
    const [what] = MALFORMED[count - 1]!;
    await until(what, () => a.warnings.length >= count, 30_000);
    t.ok(a.warnings[count - 1]!.startsWith('connection to host x closed: '), `${what}: ${a.warnings[count - 1]}`);
  }
  t.absent(stream.closed, 'the other connection stays');
});

test('an introduction is read as it was written', (t) => {
  const introduction = {
    host: 'a-b_C9',
    links: [
      { host: '10.0.0.1', port: 7000 },
      { host: '2001:db8::1', port: 7000 },
    ],
    dht: [{ host: '10.0.0.1', port: 7001 }],
  };
  t.alike(decodeIntroduction(encodeIntroduction(introduction)), introduction);
  const wrong = [
    { host: '' },
    { host: 'a/b' },
    { links: [{ host: 'example.com', port: 1 }] },
    { links: [{ host: 'fe80::1%eth0', port: 1 }] },
    { links: [{ host: '10.0.0.1', port: 0 }] },
    { links: Array(17).fill({ host: '10.0.0.1', port: 1 }) },
    { dht: [{ host: '2001:db8::1', port: 1 }] },
    { more: 1 },
    { version: 2 },
  ];
  for (const change of wrong) {
    const bytes = Buffer.from(JSON.stringify({ version: 1, ...introduction, ...change }));
    t.exception(() => decodeIntroduction(bytes), /introduction that is none/, JSON.stringify(change).slice(0, 60));
  }
});

function frame(introduction: Buffer): Buffer {
  return Buffer.concat([Buffer.from([1]), introduction]);
}

function address(ip: string): NetworkInterfaceInfo {
  return { address: ip, netmask: '255.0.0.0', family: 'IPv4', mac: '02:00:00:00:00:01', internal: false, cidr: null };
}

async function pair(
  t: Parameters<typeof DiscoveryCluster.make>[0],
  listen?: string,
): Promise<[TestDiscovery, TestDiscovery]> {
  const cluster = await DiscoveryCluster.make(t);
  const a = await cluster.host('a', { listen });
  const b = await cluster.host('b', { listen });
  for (const host of [a, b]) {
    host.discovery.setKnown([a.toFind, b.toFind]);
    host.discovery.start();
  }
  await until('them', () => a.streams.has('b') && b.streams.has('a'));
  return [a, b];
}

function readAll(stream: SwarmStream): Promise<Buffer> {
  const parts: Buffer[] = [];
  return new Promise((resolve, reject) => {
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('end', () => resolve(Buffer.concat(parts)));
    stream.on('close', () => reject(new Error('closed before its end')));
  });
}

import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'brittle';
import { killAll, startTogether, swarmHosts, untilConnected, untilRemembered } from './helpers/swarm-hosts.js';
import { until } from './helpers/until.js';

/** After a power cut, hosts that start in the same second have found each other after this. */
const REUNION_MS = 5000;
const TEST_TIMEOUT = { timeout: 90_000 };

for (const count of [3, 5]) {
  test(`${count} hosts find each other after a power cut by what they remember`, TEST_TIMEOUT, async (t) => {
    const hosts = await swarmHosts(t, count);
    const known = hosts.map(({ toFind }) => toFind);
    await startTogether(hosts, { bootstrap: [hosts[0]!.dht], known });
    await untilRemembered(hosts);
    for (const host of hosts) {
      t.is((await stat(join(host.directory, 'hosts.json'))).mode & 0o777, 0o600, 'for its owner only');
    }

    await killAll(hosts);
    const elapsedMs = await startTogether(hosts);
    t.comment(`${Math.round(elapsedMs)} ms`);
    t.ok(elapsedMs < REUNION_MS, 'in time');
    for (const host of hosts) {
      const others = hosts.filter((other) => other !== host);
      t.alike(
        others.map((other) => host.foundOf(other)),
        others.map(({ link }) => [link]),
        'each where it listens',
      );
    }
  });

  test(`${count} hosts that remember nobody find each other by one bootstrap address`, TEST_TIMEOUT, async (t) => {
    const hosts = await swarmHosts(t, count);
    const known = hosts.map(({ toFind }) => toFind);
    const elapsedMs = await startTogether(hosts, { bootstrap: [hosts[0]!.dht], known });
    t.comment(`${Math.round(elapsedMs)} ms`);
    t.ok(elapsedMs < REUNION_MS, 'in time');

    await killAll(hosts, { forget: true });
    // The last may be it as well: nothing about the first one is special.
    const againMs = await startTogether(hosts, { bootstrap: [hosts.at(-1)!.dht], known });
    t.comment(`${Math.round(againMs)} ms`);
    t.ok(againMs < REUNION_MS, 'in time again');
  });
}

for (const moved of [0, 1, 2]) {
  test(`host ${moved} of 3 has other addresses after a power cut`, TEST_TIMEOUT, async (t) => {
    const hosts = await swarmHosts(t, 3);
    const known = hosts.map(({ toFind }) => toFind);
    await startTogether(hosts, { bootstrap: [hosts[0]!.dht], known });
    await untilRemembered(hosts);
    await killAll(hosts);
    await hosts[moved]!.move();
    const elapsedMs = await startTogether(hosts);
    t.comment(`${Math.round(elapsedMs)} ms`);
    t.ok(elapsedMs < REUNION_MS, 'in time');
    for (const host of hosts.filter((other) => other !== hosts[moved])) {
      await until('the new address', () => host.foundOf(hosts[moved]!)[0] === hosts[moved]!.link);
    }
  });
}

test('a host comes back with other addresses while the others run', TEST_TIMEOUT, async (t) => {
  const hosts = await swarmHosts(t, 3);
  const known = hosts.map(({ toFind }) => toFind);
  await startTogether(hosts, { bootstrap: [hosts[0]!.dht], known });
  for (const host of hosts) {
    await untilRemembered(hosts);
    host.kill();
    await host.move();
    await host.load();
    const start = performance.now();
    host.start();
    const others = hosts.filter((other) => other !== host);
    await until('it', () => host.connected.length === 2);
    const elapsedMs = performance.now() - start;
    t.comment(`${Math.round(elapsedMs)} ms`);
    t.ok(elapsedMs < REUNION_MS, 'in time');
    for (const other of others) await until('the new address', () => other.foundOf(host)[0] === host.link);
    await untilConnected(hosts);
  }
});

test('a damaged file is ignored, with a line', TEST_TIMEOUT, async (t) => {
  const hosts = await swarmHosts(t, 2);
  const known = hosts.map(({ toFind }) => toFind);
  await startTogether(hosts, { bootstrap: [hosts[0]!.dht], known });
  await killAll(hosts);
  for (const { directory } of hosts) await writeFile(join(directory, 'hosts.json'), '{"format":1,"hosts":[{}]}');
  await startTogether(hosts, { bootstrap: [hosts[1]!.dht], known });
  for (const { told } of hosts) {
    t.ok(
      told.some((it) => it.kind === 'warning' && it.line.includes('hosts.json is damaged')),
      'a line',
    );
  }
});

test('closing leaves nothing that keeps the process', TEST_TIMEOUT, async (t) => {
  const hosts = await swarmHosts(t, 3);
  await startTogether(hosts, { bootstrap: [hosts[0]!.dht], known: hosts.map(({ toFind }) => toFind) });
  for (const host of hosts) {
    const start = performance.now();
    t.is(await host.close(), 0);
    t.ok(performance.now() - start < 2000, `in ${Math.round(performance.now() - start)} ms`);
  }
});

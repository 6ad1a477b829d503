import { test } from 'brittle';
import { HostNetwork } from './helpers/host-network.js';
import { killAll, startTogether, swarmHosts, untilConnected, untilRemembered } from './helpers/swarm-hosts.js';
import { until } from './helpers/until.js';

/** See discovery.test.ts. */
const REUNION_MS = 5000;

test('hosts of a network find each other, wherever they are in it', { timeout: 120_000 }, async (t) => {
  const network = await HostNetwork.create(t, 3);
  const hosts = await swarmHosts(t, 3, network);
  const known = hosts.map(({ toFind }) => toFind);
  await startTogether(hosts, { bootstrap: [hosts[0]!.dht], known });
  await untilRemembered(hosts);
  for (const host of hosts) {
    const others = hosts.filter((other) => other !== host);
    t.alike(
      others.map((other) => host.foundOf(other)),
      others.map(({ link }) => [link]),
    );
  }

  await killAll(hosts);
  const elapsedMs = await startTogether(hosts);
  t.ok(elapsedMs < REUNION_MS, `after a power cut: ${Math.round(elapsedMs)} ms`);

  await killAll(hosts);
  const [moved, ...others] = hosts;
  moved!.address = '10.77.0.9';
  await network.changeAddress(1, moved!.address);
  const movedMs = await startTogether(hosts);
  t.ok(movedMs < REUNION_MS, `with another address: ${Math.round(movedMs)} ms`);
  for (const other of others) await until('the new address', () => other.foundOf(moved!)[0] === moved!.link);

  // And while all of them run.
  moved!.address = '10.78.0.9';
  await network.changeAddress(1, moved!.address);
  for (const other of others) await until('the new address', () => other.foundOf(moved!)[0] === moved!.link, 40_000);
  await untilConnected(hosts, 40_000);

  // A plug that was pulled: the connections are lost, and come back.
  await network.cut(2);
  await until('the loss', () => hosts[1]!.connected.length === 0, 40_000);
  await network.restore(2);
  const start = performance.now();
  await untilConnected(hosts, 40_000);
  t.ok(performance.now() - start < REUNION_MS, `after a cut: ${Math.round(performance.now() - start)} ms`);
});

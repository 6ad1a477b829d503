/** The hosts that tests of several hosts are made of. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Assertions, test } from 'brittle';
import { isMounted, mountPoints, namespaceNames, track } from './helpers/cleanup.js';
import { ownPrefix, sweepHosts } from './helpers/host-leftovers.js';
import { type Host, Hosts } from './helpers/hosts.js';
import { isRunning } from './helpers/proc.js';
import { must } from './helpers/run.js';
import { Scope } from './helpers/scope.js';
import { until } from './helpers/until.js';

const UP_DEADLINE_MS = 3000;
const PROCESS = fileURLToPath(new URL('./helpers/hosts-process.js', import.meta.url));

async function reaches(from: Host, address: string): Promise<boolean> {
  const { status } = await from.exec(['busybox', 'ping', '-c', '1', '-W', '1', address]);
  return status === 0;
}

/** Pairs of hosts, by their numbers, of which the first does not reach the second. */
async function apart(hosts: Hosts): Promise<string[]> {
  const pairs = hosts.all.flatMap((from) => hosts.all.filter((to) => to !== from).map((to) => [from, to] as const));
  const found = await Promise.all(
    pairs.map(async ([from, to]) => ((await reaches(from, to.address)) ? [] : [`${from.number}${to.number}`])),
  );
  return found.flat().sort();
}

/** Where a host has just asked in vain for another's address it takes a second to ask again. */
async function untilApart(hosts: Hosts, wanted: readonly string[]): Promise<void> {
  await until(`${wanted.join() || 'none'} to be apart`, async () => `${await apart(hosts)}` === `${wanted}`);
}

/** What there is in this moment of what processes with such names have made. */
function present(prefix: string): string[] {
  return [
    ...namespaceNames().filter((name) => name.startsWith(prefix)),
    ...mountPoints().filter((path) => path.includes(`/${prefix}`)),
    ...readdirSync(tmpdir()).filter((name) => name.startsWith(prefix)),
  ];
}

async function links(): Promise<string> {
  return (await must('ip', ['-o', 'link'])).stdout.replace(/state \S+/g, '');
}

test('three hosts are up at once, and nothing of them is on the network of the machine', async (t) => {
  const before = await links();
  const start = performance.now();
  const hosts = await Hosts.create(t, 3);
  const elapsedMs = performance.now() - start;
  t.ok(elapsedMs < UP_DEADLINE_MS, `${Math.round(elapsedMs)} ms`);
  t.alike(
    hosts.all.map(({ address }) => address),
    ['10.61.0.1', '10.61.0.2', '10.61.0.3'],
  );
  t.alike(await apart(hosts), [], 'they reach one another');
  t.is(await links(), before);
  const { stdout } = await hosts.all[0]!.exec(['ip', '-o', '-4', 'addr']);
  t.ok(/eth0.* 10\.61\.0\.1\/8/.test(stdout), 'a program of a host has its address');
});

test('hosts are cut off, alone, in pairs, in one direction, and come back', async (t) => {
  const hosts = await Hosts.create(t, 3);
  const [one, two, three] = hosts.all as [Host, Host, Host];
  await two.cut();
  await untilApart(hosts, ['12', '21', '23', '32']);
  await two.restore();
  await untilApart(hosts, []);
  await hosts.partition(one, three);
  await untilApart(hosts, ['13', '31']);
  await hosts.heal(one, three);
  await untilApart(hosts, []);
  await hosts.block(one, two);
  const asked = { one: await echoRequests(one), two: await echoRequests(two) };
  t.absent(await reaches(one, two.address));
  t.is(await echoRequests(two), asked.two, 'what goes the one way is lost');
  t.absent(await reaches(two, one.address));
  t.is(await echoRequests(one), asked.one + 1, 'and not what goes the other');
  await hosts.unblock(one, two);
  await untilApart(hosts, []);
  t.pass();
});

/** Pings that have arrived at a host. */
async function echoRequests(host: Host): Promise<number> {
  const { stdout } = await host.exec(['cat', '/proc/net/snmp']);
  const [names, values] = stdout.split('\n').filter((line) => line.startsWith('Icmp: '));
  return Number(values!.split(' ')[names!.split(' ').indexOf('InEchos')]);
}

test('a host gets another address, and keeps its cuts', async (t) => {
  const hosts = await Hosts.create(t, 3);
  const [one, two] = hosts.all as [Host, Host];
  await hosts.partition(one, two);
  await one.changeAddress('10.99.7.1');
  t.is(one.address, '10.99.7.1');
  await untilApart(hosts, ['12', '21']);
  await hosts.heal(one, two);
  await untilApart(hosts, []);
  t.absent(await reaches(two, '10.61.0.1'), 'the old one is nobody');
});

test('each host has a daemon with a mount that is to be seen from everywhere', async (t) => {
  const hosts = await Hosts.create(t, 3, { disks: 2 });
  await Promise.all(hosts.all.map((host) => host.startSheep()));
  for (const host of hosts) {
    t.ok(isMounted(host.mount));
    t.is((await host.dog(['vdi', 'create', 'a.img', '8M'])).status, 0);
    writeFileSync(join(host.mount, 'b.img'), `of host ${host.number}`);
    t.is(readFileSync(join(host.mount, 'b.img'), 'utf8'), `of host ${host.number}`);
    t.is(statSync(join(host.mount, 'a.img')).size, 8 * 1024 * 1024);
    const made = await host.exec(['qemu-img', 'info', join(host.mount, 'a.img')]);
    t.ok(/virtual size: 8 MiB/.test(made.stdout), 'qemu runs on the host');
    for (const disk of host.disks) t.ok(readdirSync(disk).includes('disk.json'));
  }
  await killsOf(t, hosts.all[0]!);
});

async function killsOf(t: Assertions, host: Host): Promise<void> {
  const { sheep, mount } = host;
  const worker = await sheep.workerPid();
  await host.kill('worker');
  t.not(await sheep.workerPid(worker), worker, 'a worker that was killed has a successor');
  t.is(readFileSync(join(mount, 'b.img'), 'utf8'), 'of host 1');
  await host.kill('everything');
  t.alike(host.processes, []);
  await host.startSheep();
  t.is(readFileSync(join(mount, 'b.img'), 'utf8'), 'of host 1', 'another daemon has what the first one had');
  await host.kill('supervisor');
  t.absent(isRunning(host.sheep.pid));
}

test('nothing is left after the teardown, whatever runs', async (t) => {
  const scope = new Scope();
  const hosts = await Hosts.create(scope, 2);
  const [one, two] = hosts.all as [Host, Host];
  await one.startSheep();
  const sleeper = two.exec(['sleep', '600']);
  const pids = await until('all of it to run', () => {
    const found = [...one.processes, ...two.processes];
    return found.length >= 3 ? found : null;
  });
  t.ok(present(ownPrefix()).length >= 5);
  await scope.end();
  t.is((await sleeper).signal, 'SIGKILL');
  await until('the end of all processes', () => !pids.some(isRunning));
  t.alike(present(ownPrefix()), []);
});

test('what a test leaves that is killed is put away by the next, and of those that live nothing', async (t) => {
  const hosts = await Hosts.create(t, 1);
  const child = spawn(process.execPath, [PROCESS], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  track(child.pid!);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const told = JSON.parse(line.toString()) as { namespace: string; mount: string; processes: number[] }[];
  const pids = told.flatMap(({ processes }) => processes);
  const prefix = /^sheep-hosts-\d+-\d+-/.exec(told[0]!.namespace)![0];
  t.ok(pids.length >= 4);
  t.alike(sweepHosts(), [], 'its owner lives');
  process.kill(child.pid!, 'SIGKILL');
  await once(child, 'exit');
  t.ok(pids.every(isRunning), 'its daemons run on');
  t.ok(told.every(({ mount }) => isMounted(mount)));
  const swept = sweepHosts();
  t.comment(swept.join(', '));
  t.is(swept.length, 3 + 2 + 1, 'three namespaces, two mounts, a directory');
  await until('the end of its daemons', () => !pids.some(isRunning));
  t.alike(present(prefix), []);
  t.alike(sweepHosts(), []);
  t.alike(await apart(hosts), []);
  t.ok(namespaceNames().includes(hosts.all[0]!.namespace));
});

/** Three hosts with three copies, and GlusterFS with as many, all on one machine's loopback and disk. */
import { readdirSync, readlinkSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isMounted, killGroup, trackMount, unmount } from '../test/helpers/cleanup.js';
import { executableOf, isRunning, treeOf } from '../test/helpers/proc.js';
import { must } from '../test/helpers/run.js';
import { DOG, SHEEP } from '../test/helpers/sheep.js';
import { until } from '../test/helpers/until.js';
import { launch, running, START_DEADLINE_MS, type Start, stop, type Target } from './targets.js';

/** Until all groups have all their copies. */
const HEALTHY_DEADLINE_MS = 300_000;
const HOSTS = ['a', 'b', 'c'] as const;
/** Each host takes three ports from its own on. */
const FIRST_PORT = 17_000;
const GLUSTER_ADDRESS = '10.99.0.1';
const GLUSTER_VOLUME = 'bench';
const GLUSTER_SETTINGS = '/etc/glusterfs/glusterd.vol';
const GLUSTER_WORK = '/var/lib/glusterd';

export const CLUSTER_TARGETS: Readonly<Record<string, Start>> = { gluster: startGluster, sheep3: startSheep };

async function startSheep(base: string): Promise<Target> {
  const hosts: { child: Awaited<ReturnType<typeof launch>>['child']; mount: string }[] = [];
  const [command, ...first] = SHEEP;
  const dog = async (...args: string[]) => {
    const [program, ...words] = DOG;
    return (await must(program!, [...words, '--control', join(base, 'a.sock'), ...args])).stdout.trim();
  };
  for (const [number, name] of HOSTS.entries()) {
    const [directory, mount] = [join(base, name), join(base, name, 'mount')];
    await mkdir(join(directory, 'disk'), { recursive: true });
    await mkdir(mount);
    trackMount(mount);
    const join_ = number === 0 ? [] : ['--join', await dog('cluster', 'token')];
    const { child, said } = await launch(command!, [
      ...[...first, '--name', name, '--listen', `127.0.0.1:${FIRST_PORT + number * 10}`, ...join_],
      ...['--mount', mount, '--state', join(directory, 'state'), '--disk', join(directory, 'disk')],
      ...['--control', join(base, `${name}.sock`)],
    ]);
    await until('the daemon to be ready', () => running(child, said) && /\bready\b/i.test(said()), START_DEADLINE_MS);
    hosts.push({ child, mount });
  }
  const isHealthy = async () => JSON.parse(await dog('status', '--json')).healthy === true;
  await until('all copies to be there', isHealthy, HEALTHY_DEADLINE_MS);
  const { mount } = hosts[0]!;
  return {
    name: 'sheep3',
    title: 'sheep, 3 hosts',
    file: join(mount, 'vm.img'),
    directory: mount,
    processes: () => hosts.flatMap(({ child }) => [...treeOf(child.pid!)]).concat(etcds(base)),
    stop: async () => {
      // Together: one that is alone waits for the others to be called down.
      await Promise.all(hosts.map(({ child, mount: path }) => stop(child, path)));
    },
  };
}

/** The stores of the hosts, which are no children of theirs: each runs in its host's directory. */
function etcds(base: string): number[] {
  const running = readdirSync('/proc').map(Number).filter(Number.isInteger);
  return running.filter((pid) => {
    try {
      return readlinkSync(`/proc/${pid}/cwd`).startsWith(`${base}/`) && executableOf(pid)?.endsWith('/etcd');
    } catch {
      // It has ended.
      return false;
    }
  });
}

async function startGluster(base: string): Promise<Target> {
  const mount = join(base, 'mount');
  const work = join(base, 'work');
  const space = `bench-gluster-${process.pid}`;
  await mkdir(join(work, 'groups'), { recursive: true });
  await mkdir(mount);
  trackMount(mount);
  await must('cp', [join(GLUSTER_WORK, 'groups', 'virt'), join(work, 'groups')]);
  const settings = await readFile(GLUSTER_SETTINGS, 'utf8');
  await writeFile(join(base, 'glusterd.vol'), settings.replaceAll(GLUSTER_WORK, work));
  // Bricks may not be on 127.0.0.1: an address that nobody else has, in a network that nobody else sees.
  await must('ip', ['netns', 'add', space]);
  const inside = (command: string, ...args: string[]) => must('ip', ['netns', 'exec', space, command, ...args]);
  await must('ip', ['-n', space, 'link', 'set', 'lo', 'up']);
  await must('ip', ['-n', space, 'link', 'add', 'br0', 'type', 'bridge']);
  await must('ip', ['-n', space, 'addr', 'add', `${GLUSTER_ADDRESS}/24`, 'dev', 'br0']);
  await must('ip', ['-n', space, 'link', 'set', 'br0', 'up']);
  const net = `--net=/run/netns/${space}`;
  const { child, said } = await launch('nsenter', [
    ...[net, 'glusterd', '-N', '-f', join(base, 'glusterd.vol'), '-p', join(base, 'glusterd.pid')],
    ...['-l', join(base, 'glusterd.log')],
  ]);
  const gluster = (...args: string[]) => must('nsenter', [net, 'gluster', '--mode=script', ...args]);
  const answers = () =>
    gluster('peer', 'status').then(
      () => running(child, said),
      () => false,
    );
  await until('glusterd', answers, START_DEADLINE_MS);
  const bricks = [1, 2, 3].map((number) => `${GLUSTER_ADDRESS}:${join(base, `brick${number}`)}`);
  for (const brick of bricks) await mkdir(brick.slice(GLUSTER_ADDRESS.length + 1));
  await gluster('volume', 'create', GLUSTER_VOLUME, 'replica', '3', ...bricks, 'force');
  await gluster('volume', 'set', GLUSTER_VOLUME, 'group', 'virt');
  await gluster('volume', 'start', GLUSTER_VOLUME);
  await must('nsenter', [net, 'mount', '-t', 'glusterfs', `${GLUSTER_ADDRESS}:/${GLUSTER_VOLUME}`, mount]);
  await until('the mount', () => isMounted(mount), START_DEADLINE_MS);
  const processes = async () =>
    (await must('ip', ['netns', 'pids', space])).stdout.split('\n').filter(Boolean).map(Number);
  const serving = await processes();
  return {
    name: 'gluster',
    title: 'GlusterFS, 3 bricks',
    file: join(mount, 'vm.img'),
    directory: mount,
    processes: () => serving,
    stop: async () => {
      unmount(mount);
      await gluster('volume', 'stop', GLUSTER_VOLUME, 'force');
      child.kill('SIGTERM');
      killGroup(child.pid!);
      for (const pid of await processes()) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
      await inside('true');
      await must('ip', ['netns', 'del', space]);
    },
  };
}

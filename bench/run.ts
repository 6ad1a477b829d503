/**
 * Measures a mount of Sheepdog beside others, in rounds that take turns, so that what else the machine does hits all of
 * them alike: one host beside a raw file and a FUSE export of qemu-storage-daemon, or three hosts beside GlusterFS.
 */
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Argument, Command, InvalidArgumentError } from 'commander';
import { parseSize } from '../lib/cli/size.js';
import { must } from '../test/helpers/run.js';
import { CLUSTER_TARGETS } from './cluster-targets.js';
import { measureImages } from './images.js';
import { fill, measure, peakMemory } from './measure.js';
import { formatReport, type Report, type TargetReport } from './report.js';
import { type Start, TARGETS, type Target } from './targets.js';
import { WORKLOADS, type Workload } from './workloads.js';

const RESULTS = fileURLToPath(new URL('../../bench/results', import.meta.url));

/** What is measured side by side, and which of them the others are compared with. */
const SUITES: Readonly<Record<string, { targets: Readonly<Record<string, Start>>; reference: string }>> = {
  host: { targets: TARGETS, reference: 'qsd' },
  cluster: { targets: CLUSTER_TARGETS, reference: 'gluster' },
};
const ALL_TARGETS = Object.values(SUITES).flatMap(({ targets }) => Object.keys(targets));

interface Options {
  suite: string;
  seconds: number;
  rounds: number;
  size: number;
  only: string[];
  targets: string[];
  directory: string;
  images: boolean;
}

async function main(): Promise<void> {
  const options = parseOptions();
  const workloads = WORKLOADS.filter(({ name }) => options.only.length === 0 || options.only.includes(name));
  const base = await mkdtemp(join(options.directory, 'sheep-bench-'));
  const targets: Target[] = [];
  try {
    for (const name of options.targets) {
      const target = await SUITES[options.suite]!.targets[name]!(join(base, name));
      targets.push(target);
      process.stderr.write(`writing ${target.title}\n`);
      await fill(target, options.size);
    }
    const report = await measureAll(options, targets, workloads);
    const path = await save(report);
    process.stdout.write(`${formatReport(report, workloads)}\n${path}\n`);
    for (let target = targets.pop(); target !== undefined; target = targets.pop()) await target.stop();
  } finally {
    for (const target of targets) await target.stop().catch((error) => process.stderr.write(`${error}\n`));
    await must('rm', ['-rf', '--one-file-system', base]);
  }
}

function parseOptions(): Options {
  const number = (text: string) => {
    if (!(Number(text) > 0)) throw new InvalidArgumentError('It must be a number above 0.');
    return Number(text);
  };
  const size = (text: string) => {
    try {
      return parseSize(text);
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message);
    }
  };
  const list = (known: readonly string[]) => (text: string) => {
    const names = text.split(',').filter(Boolean);
    const unknown = names.find((name) => !known.includes(name));
    if (unknown !== undefined) throw new InvalidArgumentError(`${unknown} is none of ${known.join(', ')}.`);
    return names;
  };
  const names = WORKLOADS.map(({ name }) => name);
  const suites = Object.keys(SUITES);
  const command = new Command('npm run bench --')
    .description(
      'Measures one host beside a raw file and qemu-storage-daemon, or three hosts beside GlusterFS. Needs root, fio and ' +
        'qemu-utils; the latter also glusterfs-server, etcd-server and iproute2.',
    )
    .addArgument(new Argument('[suite]', 'what to measure').choices(suites).default('host'))
    .option('--seconds <n>', 'how long each measurement takes', number, 3)
    .option('--rounds <n>', 'how often each is repeated', number, 3)
    .option('--size <bytes>', 'size of the image', size, 1024 ** 3)
    .option('--only <names>', `workloads to run, of ${names.join(',')}`, list(names), [])
    .option('--targets <names>', 'what to measure', list(ALL_TARGETS), [])
    .option('--directory <path>', 'a directory on the disk to measure on', tmpdir())
    .option('--no-images', 'leave out making and copying large images')
    .parse();
  const suite = command.processedArgs[0] as string;
  const options = { ...command.opts<Options>(), suite };
  const known = Object.keys(SUITES[suite]!.targets);
  const targets = options.targets.length === 0 ? known : options.targets;
  const unknown = targets.find((name) => !known.includes(name));
  if (unknown !== undefined) command.error(`error: ${suite} has no target ${unknown}, but ${known.join(', ')}`);
  return { ...options, targets };
}

async function measureAll(
  options: Options,
  targets: readonly Target[],
  workloads: readonly Workload[],
): Promise<Report> {
  const reports: Record<string, TargetReport> = {};
  for (const { name, title } of targets) reports[name] = { title, samples: {}, peakMemoryBytes: null, images: null };
  const startedAt = new Date().toISOString();
  for (let round = 1; round <= options.rounds; round++) {
    for (const workload of workloads) {
      // Each has another one before it in each round.
      for (const target of [...targets.slice(round % targets.length), ...targets.slice(0, round % targets.length)]) {
        // What another one wrote must not reach the disk meanwhile.
        await must('sync', []);
        process.stderr.write(`round ${round} of ${options.rounds}: ${workload.name} on ${target.title}\n`);
        const sample = await measure(target, workload, options.size, options.seconds);
        const { samples } = reports[target.name]!;
        samples[workload.name] = [...(samples[workload.name] ?? []), sample];
      }
    }
  }
  for (const target of targets) {
    const report = reports[target.name]!;
    report.peakMemoryBytes = peakMemory(target);
    if (!options.images || target.directory === null) continue;
    process.stderr.write(`large images on ${target.title}\n`);
    report.images = await measureImages(target.directory);
  }
  const { seconds, rounds, size, directory } = options;
  return {
    startedAt,
    machine: await machine(),
    settings: { seconds, rounds, bytes: size, directory },
    reference: SUITES[options.suite]!.reference,
    targets: reports,
  };
}

async function machine(): Promise<Report['machine']> {
  const firstLine = async (command: string) => (await must(command, ['--version'])).stdout.split('\n')[0]!;
  return {
    kernel: release(),
    cpus: cpus().length,
    cpu: cpus()[0]?.model ?? '',
    memoryBytes: totalmem(),
    node: process.version,
    qemu: await firstLine('qemu-img'),
    fio: await firstLine('fio'),
  };
}

async function save(report: Report): Promise<string> {
  await mkdir(RESULTS, { recursive: true });
  const path = join(RESULTS, `${report.startedAt.replaceAll(':', '-')}.json`);
  await writeFile(path, `${JSON.stringify(report, null, 2)}\n`);
  return path;
}

await main();

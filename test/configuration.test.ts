import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Assertions, test } from 'brittle';
import { readConfiguration } from '../lib/control/configuration.js';
import { ConfigurationError } from '../lib/control/configuration-error.js';
import { nearest } from '../lib/control/nearest.js';

const NONE = '/nonexistent/sheep.toml';
const MODULE = new URL('../lib/control/configuration.js', import.meta.url).href;

async function fileWith(t: Assertions, text: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sheepdog-configuration-'));
  t.teardown(() => rm(directory, { recursive: true }));
  const file = join(directory, 'sheep.toml');
  await writeFile(file, text);
  return file;
}

function refused(t: Assertions, argv: string[], lines: RegExp[], exitCode = 2, defaultFile = NONE): void {
  try {
    readConfiguration(argv, defaultFile);
    t.fail(`${argv.join(' ')} was accepted`);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    t.is(error.lines.length, lines.length, error.lines.join('\n'));
    for (const [i, line] of error.lines.entries()) {
      t.ok(lines[i]?.test(line), line);
      t.absent(line.includes('\n'), 'one line');
    }
    t.is(error.exitCode, exitCode);
  }
}

test('configuration: nothing given is a cluster of one host', (t) => {
  t.alike(readConfiguration([], NONE), {
    mount: '/var/lib/sheepdog',
    state: '/var/lib/sheep',
    disk: ['/var/lib/sheep/disk'],
    name: hostname(),
    zone: hostname(),
    copies: 3,
    listen: '0.0.0.0:7000',
    bootstrap: [],
    join: null,
    witness: false,
    etcd: [],
    control: '/run/sheepdog/sheep.sock',
    fuse: 'kernel',
  });
});

test('configuration: every option can be given, and what depends on another follows it', (t) => {
  const all = ['--mount', '/m', '--state=/s', '--disk', '/d1', '--disk', '/d2/', '--name', 'n', '--zone', 'rack-1'];
  const network = [
    '--listen',
    '10.0.0.1:7100',
    '--bootstrap',
    'a:7000',
    '--bootstrap',
    '[fe80::1]:7000',
    '--join',
    'T',
  ];
  const rest = ['--etcd', 'https://e1:2379', '--copies', '2', '--control', '/c', '--fuse', 'native'];
  t.alike(readConfiguration([...all, ...network, ...rest], NONE), {
    mount: '/m',
    state: '/s',
    disk: ['/d1', '/d2'],
    name: 'n',
    zone: 'rack-1',
    copies: 2,
    listen: '10.0.0.1:7100',
    bootstrap: ['a:7000', '[fe80::1]:7000'],
    join: 'T',
    witness: false,
    etcd: ['https://e1:2379'],
    control: '/c',
    fuse: 'native',
  });
  const some = readConfiguration(['--state', '/s', '--name', 'n'], NONE);
  t.alike([some?.disk, some?.zone], [['/s/disk'], 'n']);
  const witness = readConfiguration(['--witness'], NONE);
  t.alike([witness?.witness, witness?.disk], [true, []], 'a witness has no disk');
  t.is(readConfiguration(['--mount', 'here/../there'], NONE)?.mount, join(process.cwd(), 'there'));
});

test('configuration: the command line goes before the file, the file before defaults', async (t) => {
  const file = await fileWith(t, 'mount = "/file"\nstate = "/state"\ncopies = 1\ndisk = ["/a", "/b"]\n# a comment\n');
  const named = readConfiguration(['--mount', '/line', '--config', file], NONE);
  t.alike(
    [named?.mount, named?.state, named?.copies, named?.disk, named?.fuse],
    ['/line', '/state', 1, ['/a', '/b'], 'kernel'],
  );
  t.alike(readConfiguration(['--mount', '/line'], file), named, 'the default file is read if it is there');
  t.alike(readConfiguration(['--config', file, '--disk', '/c'], NONE)?.disk, ['/c'], 'a list is replaced, not joined');
  t.alike(readConfiguration([], await fileWith(t, 'disk = "/one"'))?.disk, ['/one']);
  t.alike(readConfiguration([], await fileWith(t, ''))?.copies, 3);
});

test('configuration: mistakes on the command line have one line each', (t) => {
  refused(t, ['--listen', 'here'], [/^--listen "here" is not HOST:PORT$/]);
  refused(t, ['--listen', '10.0.0.1:65535'], [/^--listen "10.0.0.1:65535" has no port from 1 to 65533$/]);
  refused(t, ['--bootstrap', 'a:1', '--bootstrap', 'a:'], [/^--bootstrap "a:" is not HOST:PORT$/]);
  refused(t, ['--etcd', 'e1:2379'], [/^--etcd "e1:2379" is not a URL with http or https$/]);
  refused(
    t,
    ['--witness', '--disk', '/d'],
    [/^--disk "\/d" is for a host that is no witness; leave one of the two out$/],
  );
  refused(t, ['--join', ' '], [/^--join "" is empty$/]);
  refused(t, ['--mout', '/x'], [/^unknown option '--mout' \(Did you mean --mount\?\); see sheep --help$/]);
  refused(t, ['stray'], [/argument/]);
  refused(t, ['--disk'], [/--disk/]);
  refused(t, ['-x'], [/'-x'/]);
  refused(t, ['--fuse', 'magic'], [/^--fuse "magic" is neither "kernel" nor "native"$/]);
  for (const copies of ['0', '6', '-1', '1.5', 'x', '', '3x', '1e1']) {
    refused(t, [`--copies=${copies}`], [/^--copies ".*" is not a whole number from 1 to 5$|^--copies [06] is not/]);
  }
  refused(t, ['--mount', ''], [/^--mount "" is empty$/]);
  refused(t, ['--disk', '/a', '--disk', ''], [/^--disk "" is empty$/]);
  refused(t, ['--state', '/a\0b'], [/^--state "\/a\\u0000b" has a NUL/]);
  for (const name of ['', '-a', 'a b', 'a/b', 'ü', 'x'.repeat(65)]) {
    refused(t, [`--name=${name}`], [/^--name ".*" is not a name/]);
  }
  refused(t, ['--name', 'a', '--zone', 'a b'], [/^--zone "a b" is not a name/]);
  refused(t, ['--copies', '9', '--fuse', 'x', '--mount', ''], [/^--mount/, /^--copies/, /^--fuse/]);
});

test('configuration: paths that would hide one another are refused', (t) => {
  refused(t, ['--mount', '/'], [/would hide everything/]);
  refused(t, ['--mount', '/v', '--state', '/v/state', '--disk', '/d'], [/^--state "\/v\/state" is in the mount/]);
  refused(t, ['--mount', '/v', '--control', '/v'], [/^--control "\/v" is in the mount/]);
  refused(t, ['--mount', '/v', '--disk', '/d', '--disk', '/v/../v/d'], [/^--disk "\/v\/d" is in the mount/]);
  refused(t, ['--mount', '/d/mount', '--disk', '/d'], [/^--mount "\/d\/mount" is in the disk "\/d"/]);
  refused(t, ['--disk', '/d', '--disk', '/e', '--disk', '/d/'], [/^--disk "\/d" is given twice/]);
  refused(t, ['--disk', '/d', '--disk', '/d/e'], [/^--disk "\/d\/e" is in another disk, "\/d"/]);
  refused(t, ['--state', '/s', '--disk', '/s'], [/^--disk "\/s" is the state directory/]);
  t.ok(readConfiguration(['--mount', '/var/lib/sheep-dog', '--state', '/var/lib/sheep'], NONE), 'neighbours may be');
  t.ok(readConfiguration(['--mount', '/v', '--state', '/v..'], NONE));
});

test('configuration: mistakes in the file name it', async (t) => {
  const wrong = async (text: string, lines: RegExp[]) => refused(t, [], lines, 2, await fileWith(t, text));
  await wrong('mout = "/x"', [/sheep\.toml: "mout" is not an option; did you mean "mount"\?$/]);
  await wrong('disks = ["/x"]\nzzz = 1', [/"disks".*"disk"/, /"zzz" is not an option; there are mount, state, disk/]);
  await wrong('config = "/x"', [/"config" is not an option/]);
  await wrong('[disk]\na = 1', [/sheep\.toml: disk \{"a":1\} is not a list of paths/]);
  await wrong('mount = 17', [/sheep\.toml: mount 17 is not text/]);
  await wrong('mount = "x"', [/sheep\.toml: mount "x" is not an absolute path/]);
  await wrong('disk = ["/a", 2]', [/sheep\.toml: disk 2 is not text/]);
  await wrong('disk = []', [/sheep\.toml: disk \[\] is an empty list/]);
  await wrong('copies = 2.5', [/sheep\.toml: copies 2\.5 is not a whole number/]);
  await wrong('copies = 2\ncopies = 3', [/sheep\.toml, line 2, column \d+: /]);
  await wrong('mount = "/x', [/sheep\.toml, line 1, column \d+: /]);
  await wrong('fuse = 1979-05-27', [/sheep\.toml: fuse ".*" is neither/]);
  const overridden = await fileWith(t, 'mount = 17\ncopies = 2');
  refused(t, ['--mount', '/x'], [/sheep\.toml: mount 17 is not text/], 2, overridden);
  refused(t, ['--config', '/nonexistent/x.toml'], [/^--config "\/nonexistent\/x.toml": there is no such file$/], 1);
  refused(t, ['--config', '/'], [/EISDIR/], 1);
  const both = await fileWith(t, 'copies = 9');
  refused(t, ['--config', both, '--fuse', 'x'], [/sheep\.toml: copies 9/, /^--fuse "x"/]);
});

test('configuration: a process that is started wrongly ends with the exit code and the line alone', async (t) => {
  const script = `const { parseConfiguration } = await import(${JSON.stringify(MODULE)});
    console.log(JSON.stringify(parseConfiguration(process.argv.slice(1))));`;
  const run = (...argv: string[]) =>
    spawnSync(process.execPath, ['--input-type=module', '-e', script, '--', ...argv], { encoding: 'utf8' });
  const wrong = run('--copies', '9', '--state', '');
  t.alike([wrong.status, wrong.stdout], [2, '']);
  t.is(wrong.stderr, 'sheep: --state "" is empty\nsheep: --copies 9 is not a whole number from 1 to 5\n');
  t.is(run('--config', '/nonexistent/x').status, 1);
  const help = run('--help');
  t.is(help.status, 0);
  for (const option of ['mount', 'state', 'disk', 'name', 'zone', 'copies', 'control', 'fuse', 'config', 'version']) {
    t.ok(help.stdout.includes(`--${option}`), option);
  }
  const description = await readFile(new URL('../../package.json', import.meta.url), 'utf8');
  t.is(run('--version').stdout.trim(), (JSON.parse(description) as { version: string }).version);
  const file = await fileWith(t, 'name = "one"');
  t.is((JSON.parse(run('--config', file).stdout) as { zone: string }).zone, 'one');
});

test('configuration: the nearest word', (t) => {
  const known = ['mount', 'state', 'disk', 'name'];
  const cases: [string, string | null][] = [
    ['mout', 'mount'],
    ['Mount', 'mount'],
    ['disks', 'disk'],
    ['stat', 'state'],
    ['host', null],
    ['', null],
    ['completely', null],
  ];
  for (const [word, meant] of cases) t.is(nearest(word, known), meant, word);
});

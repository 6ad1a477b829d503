import { spawn } from 'node:child_process';
import { open, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'brittle';
import { AdministrationError } from '../lib/control/administration.js';
import { temporaryDirectory } from './helpers/cleanup.js';
import { dogOn, openControl, openRequests, REFUSED, refusal, STARTS, spawnControl, USAGE } from './helpers/control.js';
import { must, run } from './helpers/run.js';
import { DOG } from './helpers/sheep.js';
import { until } from './helpers/until.js';

const MIB = 1024 * 1024;
/** A sparse file: data at its start, in a middle and at its end, which is no multiple of anything. */
async function makeSparse(path: string): Promise<{ size: number }> {
  const size = 37 * MIB + 12345;
  const file = await open(path, 'w');
  await file.write(Buffer.alloc(5000, 'start'), 0, 5000, 0);
  await file.write(Buffer.alloc(3 * MIB, 'middle'), 0, 3 * MIB, 10 * MIB + 100);
  await file.write(Buffer.from('end'), 0, 3, size - 3);
  await file.close();
  return { size };
}

test('status says that all is well, and what is not', STARTS, async (t) => {
  const { dog, administration } = await openControl(t);
  const well = await dog(['status']);
  t.is(well.status, 0);
  t.is(
    well.stdout,
    [
      '  status: healthy',
      '    host: alpha, up, mounted on /var/lib/sheepdog',
      '   space: 922G of 2T used (45%), 1.1T free',
      '  images: 0',
      '  groups: 1024, all healthy',
      'recovery: none',
      ' version: 0.1.0',
      '',
      'DISK  STATE  SIZE  USED  USE  DIRECTORY',
      '   1  ok       1T  614G  60%  /srv/a',
      '   2  ok       1T  307G  30%  /srv/b',
      '',
    ].join('\n'),
  );
  Object.assign(administration.disks[1]!, { state: 'failed', problem: 'Input/output error' });
  const action = "replace it, then 'dog disk remove 2'";
  administration.problems.push({ severity: 'warning', message: 'space runs low', action: null });
  administration.problems.push({ severity: 'error', message: 'disk 2 (/srv/b) failed\n\x1b[2J', action });
  const ill = await dog(['status']);
  t.is(ill.status, 0);
  t.ok(ill.stdout.includes('status: NOT HEALTHY\n'), ill.stdout);
  t.ok(ill.stdout.includes('groups: 1024, 400 healthy, 624 waiting for a disk, 24 moving\n'));
  t.ok(ill.stdout.includes('recovery: none\n'));
  t.ok(
    ill.stdout.includes(
      `\n\nerror: disk 2 (/srv/b) failed\\x0a\\x1b[2J\n  what to do: ${action}\nwarning: space runs low\n\n`,
    ),
    'the worst first, and nothing that a terminal obeys',
  );
  t.ok(/DISK.*\n {3}2 {2}failed .*\n {3}1 {2}ok /.test(ill.stdout), 'the failed disk comes first');
  for (let number = 3; number < 40; number++) {
    administration.disks.push({ ...administration.disks[0]!, number });
    administration.problems.push({ severity: 'warning', message: `problem ${number}`, action: 'none' });
  }
  const crowded = (await dog(['status'])).stdout;
  t.ok(crowded.split('\n').length <= 24, 'it fits a screen');
  t.ok(crowded.includes("and 36 more; 'dog status --json' shows all"));
  t.ok(crowded.includes("and 33 more; 'dog disk list' shows all"));
});

test('listings in JSON are what the daemon says', STARTS, async (t) => {
  const { dog, administration } = await openControl(t);
  await administration.vdiCreate('vm1', 10 * MIB, {});
  for (const [args, expected] of [
    [['status'], await administration.status()],
    [['vdi', 'list'], await administration.vdiList()],
    [['vdi', 'info', 'vm1'], await administration.vdiInfo('vm1')],
    [['disk', 'list'], await administration.diskList()],
    [['node', 'list'], await administration.nodeList()],
    [['recovery'], await administration.recovery()],
    [['cluster', 'info'], await administration.clusterInfo()],
  ] as const) {
    const { status, stdout, stderr } = await dog([...args, '--json']);
    t.alike([status, stderr, JSON.parse(stdout)], [0, '', expected], args.join(' '));
  }
  const { healthy, hosts, capacity, groups, recovery } = JSON.parse((await dog(['status', '--json'])).stdout);
  t.ok(healthy === true && hosts.length === 1 && capacity.free > 0 && groups.total > 0 && recovery.active === false);
});

test('an image from its creation to its end', STARTS, async (t) => {
  const { dog, administration } = await openControl(t);
  const said = async (...args: string[]) => {
    const { status, stdout, stderr } = await dog(args);
    t.alike([status, stderr], [0, ''], args.join(' '));
    return stdout;
  };
  t.is(await said('vdi', 'list'), "there is no image yet; make one with 'dog vdi create NAME SIZE'\n");
  t.is(await said('vdi', 'create', 'vm1', '10G'), 'vm1 created, 10G\n');
  t.is(await said('vdi', 'create', 'vm2', '512', '--copies', '2'), 'vm2 created, 512\n');
  t.is(await said('vdi', 'resize', 'vm1', '20G'), 'vm1 resized, 20G\n');
  t.is(await said('vdi', 'resize', 'vm1', '5G', '--shrink'), 'vm1 resized, 5G\n');
  t.is(await said('vdi', 'clone', 'vm1', 'vm3'), 'vm3 cloned from vm1, 5G\n');
  administration.vdis.get('vm1')!.opens = 2;
  const list = (await said('vdi', 'list')).split('\n').map((line) => line.split(/ {2,}/));
  t.alike(list[0], ['NAME', 'SIZE', 'USED', 'COPIES', 'CREATED', 'IN USE', 'CLONE OF']);
  t.alike(
    list.slice(1, 4).map(([name, size, used, copies, , use, parent]) => [name, size, used, copies, use, parent]),
    [
      ['vm1', '5G', '0', '3', 'yes', '-'],
      ['vm2', '512', '0', '2', '-', '-'],
      ['vm3', '5G', '0', '3', '-', 'vm1'],
    ],
  );
  const info = await said('vdi', 'info', 'vm1');
  for (const line of [
    '   image: vm1',
    '    size: 5G (5368709120 bytes)',
    '  in use: yes, opened 2 times',
    '  copies: 3',
  ]) {
    t.ok(info.split('\n').includes(line), line);
  }
  t.is(await said('vdi', 'delete', 'vm1', '--force'), 'vm1 deleted\n');
  t.is(await said('vdi', 'delete', 'vm2'), 'vm2 deleted\n');
  t.alike([...administration.vdis.keys()], ['vm3']);
});

test('what is refused says why and what to do in one line', STARTS, async (t) => {
  const { dog, administration } = await openControl(t);
  await administration.vdiCreate('vm1', 10 * MIB, {});
  administration.vdis.get('vm1')!.opens = 1;
  for (const [args, line] of [
    [['vdi', 'create', 'vm1', '1G'], 'there is an image vm1 already; choose another name'],
    [['vdi', 'info', 'none'], "there is no image none; 'dog vdi list' shows all"],
    [['vdi', 'resize', 'vm1', '1M'], 'vm1 would get smaller and lose the data beyond; give --shrink to do so'],
    [['vdi', 'delete', 'vm1'], 'vm1 is in use; end its guest first, or give --force'],
    [['vdi', 'clone', 'none', 'new'], "there is no image none; 'dog vdi list' shows all"],
    [['vdi', 'clone', 'vm1', 'vm1'], 'there is an image vm1 already; choose another name'],
    [['vdi', 'create', 'a/b', '1G'], 'a name holds no slash'],
    [['vdi', 'export', 'none'], "there is no image none; 'dog vdi list' shows all"],
    [['vdi', 'info', 'a\nb\x1b[2J'], "there is no image a b\\x1b[2J; 'dog vdi list' shows all"],
    [['disk', 'remove', '9'], "there is no disk 9; 'dog disk list' shows them"],
    [['disk', 'add', '/srv/a'], '/srv/a is a disk already'],
    [['cluster', 'shutdown'], 'vm1 is in use; end its guest first, or give --force'],
  ] as const) {
    const result = await dog(args);
    t.alike([refusal(result), result.stderr], [REFUSED, `dog: ${line}\n`], args.join(' '));
  }
  t.is(administration.vdis.size, 1);
});

test('mistakes in the command line end with exit code 2 and one line', STARTS, async (t) => {
  const { dog } = await openControl(t);
  for (const [args, pattern] of [
    [[], /a command is missing; usage: dog /],
    [['vdi'], /a command is missing; usage: dog vdi /],
    [['what'], /unknown command 'what'/],
    [['vdi', 'lst'], /unknown command 'lst' \(Did you mean list\?\)/],
    [['vdi', 'create', 'a'], /missing required argument 'SIZE'/],
    [['vdi', 'create', 'a', '10X'], /"10X" is not a size/],
    [['vdi', 'create', 'a', '-1'], /./],
    [['vdi', 'create', 'a', '1G', '--copies', '6'], /--copies takes a number from 1 to 5, not 6/],
    [['vdi', 'create', 'a', '1G', '--copies', '1.5'], /--copies takes/],
    [['vdi', 'create', 'a', '1G', 'more'], /too many arguments/],
    [['vdi', 'list', '--what'], /unknown option '--what'/],
    [['vdi', 'snapshot', 'a', 'b'], /unknown command 'snapshot'/],
    [['status', '--control'], /argument missing/],
    [['node'], /a command is missing; usage: dog node /],
    [['node', 'drain'], /missing required argument 'NAME'/],
    [['cluster', 'token', '--ttl', '1w'], /--ttl "1w" is no time: give a number with s, m, h or d/],
    [['cluster', 'token', '--uses', '0'], /--uses takes a number from 1 to 9999, not 0/],
    [['recovery', '--watch', '--json'], /option '--watch' cannot be used with option '--json'/],
  ] as const) {
    const result = await dog(args);
    t.alike(refusal(result), USAGE, args.join(' '));
    t.ok(pattern.test(result.stderr), result.stderr.trim());
  }
});

test('help and version are no mistakes', STARTS, async (t) => {
  for (const [args, pattern] of [
    [['--help'], /^Usage: dog .*status .*vdi .*node .*disk .*recovery .*cluster /s],
    [['vdi', '--help'], /create .*list .*info .*resize .*delete .*clone .*export .*import /s],
    [['help', 'disk'], /list .*add .*remove /s],
    [['help', 'node'], /list .*drain .*undrain .*remove /s],
    [['cluster', '--help'], /info .*shutdown .*token /s],
    [['--version'], /^\d+\.\d+\.\d+\n$/],
  ] as const) {
    const result = await dogOn('/nowhere', args);
    t.alike([result.status, result.stderr], [0, '']);
    t.ok(pattern.test(result.stdout), args.join(' '));
  }
});

test('without a daemon it says how to start one', STARTS, async (t) => {
  const directory = await temporaryDirectory(t);
  const missing = await dogOn(join(directory, 'none.sock'), ['status']);
  t.alike(refusal(missing), REFUSED);
  t.ok(/no daemon answers at .*none.sock; start one with 'systemctl start sheepdog' or 'sheep'/.test(missing.stderr));
  const { path, kill } = await spawnControl(t);
  kill();
  const dead = await until('the daemon to be gone', async () => {
    const result = await dogOn(path, ['vdi', 'list']);
    return result.status === 1 ? result : null;
  });
  t.ok(/no daemon answers at /.test(dead.stderr), 'its socket is still there');
  t.alike(refusal(dead), REFUSED);
});

test('disks are added and removed', STARTS, async (t) => {
  const { dog, administration, directory } = await openControl(t);
  const list = await dog(['disk', 'list']);
  t.is(list.stdout.split('\n')[1], '   1  ok       1T  614G  60%  /srv/a');
  const added = await dog(['disk', 'add', 'new'], { cwd: directory });
  t.alike([added.status, added.stdout, added.stderr], [0, `${directory}/new added\n`, '']);
  t.is(administration.disks[2]?.directory, join(directory, 'new'), 'a relative path is that of dog, not of the daemon');
  const removed = await dog(['disk', 'remove', '1']);
  t.alike([removed.status, removed.stdout, removed.stderr], [0, 'disk 1 removed\n', '']);
  const quiet = await dog(['disk', 'remove', '/srv/b', '--quiet']);
  t.alike([quiet.status, quiet.stdout, quiet.stderr], [0, '', '']);
  const json = await dog(['disk', 'add', '/srv/d', '--json']);
  const { state, done, total, unit } = JSON.parse(json.stdout);
  t.alike([state, done, total, unit, json.stderr], ['done', 1024, 1024, 'groups', '']);
  Object.assign(administration.disks[0]!, { state: 'failed', problem: 'Input/output error' });
  t.ok(
    (await dog(['disk', 'list'])).stdout.includes(`\n\ndisk ${administration.disks[0]!.number}: Input/output error\n`),
  );
  administration.pace = async () => {
    throw new AdministrationError('NO_SPACE', 'the other disks cannot take what it holds', 'add a disk first');
  };
  const failed = await dog(['disk', 'remove', '/srv/d']);
  t.alike(refusal(failed), REFUSED);
  t.is(failed.stderr, 'dog: the other disks cannot take what it holds; add a disk first\n');
});

test('an interrupted dog says that the work goes on, and another one sees its end', STARTS, async (t) => {
  const { path, administration } = await openControl(t);
  let go: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  administration.pace = () => gate;
  const [command, ...first] = DOG;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const child = spawn(command!, [...first, '--control', path, 'disk', 'remove', '2'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk;
    });
    const ended = new Promise((resolve) => child.on('close', resolve));
    await until('dog to watch', () => administration.watched > 0);
    administration.watched = 0;
    child.kill(signal);
    t.is(await ended, 130);
    t.is(stderr, "dog: removing disk 2 (/srv/b) goes on in the daemon; watch it with 'dog disk remove 2'\n");
    await until('the connection to end', async () => (await openRequests(path)) === 0);
  }
  t.is(administration.disks.length, 2);
  const watching = dogOn(path, ['disk', 'remove', '2']);
  await until('another dog to watch', () => administration.watched > 0);
  go();
  const result = await watching;
  t.alike([result.status, result.stdout], [0, 'disk 2 removed\n']);
  t.is(administration.disks.length, 1);
});

test('a daemon that dies meanwhile is no end of the work', STARTS, async (t) => {
  for (const args of [
    ['disk', 'remove', '2'],
    ['vdi', 'import', 'vm1'],
  ]) {
    const { path, kill } = await spawnControl(t);
    const watching = run('bash', ['-c', 'yes | "$@"', 'bash', ...DOG, '--control', path, ...args]);
    await until('dog to be at it', async () => (await openRequests(path)) > 0);
    kill();
    const result = await watching;
    t.alike(refusal(result), REFUSED, args.join(' '));
    t.ok(
      /dog: (the daemon went away before it had answered|no daemon answers)/.test(result.stderr),
      result.stderr.trim(),
    );
  }
});

test('import and export keep an image as it is, and sparse', STARTS, async (t) => {
  const { shell, administration, directory } = await openControl(t);
  const file = (name: string) => join(directory, name);
  const { size } = await makeSparse(file('in'));
  const imported = await shell('"$@" vdi import vm1 < in');
  t.alike([imported.status, imported.stderr], [0, '']);
  t.is(imported.stdout, 'vm1 imported, 37M, 3.02M of it data\n');
  t.is(administration.vdis.get('vm1')?.size, size);
  t.ok(administration.vdis.get('vm1')!.used < 4 * MIB, 'zeros were not sent');
  for (const [what, command] of [
    ['to a file', '"$@" vdi export vm1 > out'],
    ['to a pipe', '"$@" vdi export vm1 | cat > out'],
    ['to a file that appends', ': > out; "$@" vdi export vm1 >> out'],
    ['over a file that is not cut', 'head -c 50M /dev/urandom | head -c 1000 > out; "$@" vdi export vm1 1<> out'],
    ['through a pipe and in again', '"$@" vdi export vm1 | "$@" vdi import vm2 --quiet && "$@" vdi export vm2 > out'],
  ] as const) {
    const result = await shell(command);
    t.alike([result.status, result.stdout, result.stderr], [0, '', ''], what);
    t.is((await run('cmp', [file('in'), file('out')])).status, 0, `${what}: the same`);
    await truncate(file('out'));
  }
  await must('bash', ['-c', 'rm out', 'bash'], { cwd: directory });
  await shell('"$@" vdi export vm1 > out');
  const { size: length, blocks } = await stat(file('out'));
  t.is(length, size);
  t.ok(blocks * 512 < 4 * MIB, `${blocks * 512} bytes on disk`);
  await shell('(printf header; "$@" vdi export vm1) > out');
  t.is((await stat(file('out'))).size, size + 6, 'after what was written before');
});

test('images of sizes at the edges come through', STARTS, async (t) => {
  const { shell, directory, administration } = await openControl(t);
  for (const size of [1, 4097, MIB, MIB + 1]) {
    for (const fill of [0, 65]) {
      await writeFile(join(directory, 'in'), Buffer.alloc(size, fill));
      const result = await shell(
        'cat in | "$@" vdi import vm --quiet && "$@" vdi export vm > out && cmp in out && "$@" vdi delete vm',
      );
      t.alike([result.status, result.stderr], [0, ''], `${size} bytes of ${fill}`);
    }
  }
  await administration.vdiCreate('empty', 0, {});
  t.is((await shell('"$@" vdi export empty | wc -c')).stdout, '0\n');
  await administration.vdiCreate('hole', 5 * MIB, {});
  t.is((await shell('"$@" vdi export hole > hole; stat -c "%s %b" hole')).stdout, `${5 * MIB} 0\n`);
});

test('an import that cannot be leaves no image', STARTS, async (t) => {
  const { shell, administration, directory } = await openControl(t);
  await must('qemu-img', ['create', '-q', '-f', 'qcow2', join(directory, 'q'), '1M']);
  for (const [command, pattern] of [
    ['"$@" vdi import vm1 < /dev/null', /there is nothing on standard input; no image was made/],
    ['true | "$@" vdi import vm1', /there is nothing on standard input/],
    ['"$@" vdi import vm1 < .', /cannot read standard input \(EISDIR\)/],
    ['"$@" vdi import vm1 < q', /standard input is a qcow2 image, .* qemu-img convert/],
    ['echo hello | gzip | "$@" vdi import vm1', /compressed \(gzip\).* zcat/],
    ['echo hello | "$@" vdi import a/b', /a name holds no slash/],
  ] as const) {
    const result = await shell(command);
    t.alike(refusal(result), REFUSED, command);
    t.ok(pattern.test(result.stderr), result.stderr.trim());
    t.is(administration.vdis.size, 0);
  }
});

test('an import that is refused does not wait for its input', STARTS, async (t) => {
  const { path, administration } = await openControl(t);
  await administration.vdiCreate('vm1', 1, {});
  const [command, ...first] = DOG;
  const child = spawn(command!, [...first, '--control', path, 'vdi', 'import', 'vm1'], {
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  // Its input stays open, with nothing coming.
  t.teardown(() => child.kill('SIGKILL'));
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk;
  });
  t.is(await new Promise((resolve) => child.on('exit', resolve)), 1);
  t.is(stderr, 'dog: there is an image vm1 already; choose another name\n');
});

test('an interrupted import or export is none', STARTS, async (t) => {
  const { path, administration, directory } = await openControl(t);
  await must('bash', ['-c', 'yes | head -c 5M > in'], { cwd: directory });
  await must('bash', ['-c', '"$@" vdi import full --quiet < in', 'bash', ...DOG, '--control', path], {
    cwd: directory,
  });
  let steps = 0;
  let release: () => void = () => {};
  administration.pace = async () => {
    if (++steps > 1) await new Promise<void>((resolve) => (release = resolve));
  };
  for (const [args, message] of [
    [['vdi', 'import', 'vm1'], 'interrupted; no image was made'],
    [['vdi', 'export', 'full'], 'interrupted; the output is no whole image'],
  ] as const) {
    steps = 0;
    const child = spawn('bash', ['-c', 'exec "$@" < in > out', 'bash', ...DOG, '--control', path, ...args], {
      cwd: directory,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk;
    });
    const ended = new Promise((resolve) => child.on('close', resolve));
    await until('it to be half way', () => steps > 1);
    child.kill('SIGINT');
    t.is(await ended, 130);
    t.is(stderr, `dog: ${message}\n`);
    t.is((await stat(join(directory, 'out'))).size, 0);
    release();
  }
  await until('the import to be undone', () => administration.aborted === 1);
  t.alike([...administration.vdis.keys()], ['full']);
});

test('a reader that stops reading is no error to talk of', STARTS, async (t) => {
  const { shell, administration } = await openControl(t);
  for (let number = 0; number < 3000; number++) await administration.vdiCreate(`vm${number}`, MIB, {});
  await administration.vdiCreate('large', 2 ** 40, {});
  for (const [command, output] of [
    ['"$@" vdi list --json | head -1', '[\n'],
    ['"$@" vdi list | head -1 | cut -c 1-4', 'NAME\n'],
    ['"$@" vdi export large | head -c 3 | wc -c', '3\n'],
  ] as const) {
    const result = await shell(command);
    t.alike([result.status, result.stdout, result.stderr], [0, output, ''], command);
  }
});

test('output that cannot be written is an error', STARTS, async (t) => {
  const { shell, administration } = await openControl(t);
  await administration.vdiCreate('vm1', MIB, {});
  for (const command of ['"$@" vdi list > /dev/full', '"$@" vdi export vm1 > /dev/full']) {
    const result = await shell(command);
    t.alike(refusal(result), REFUSED, command);
    t.ok(/cannot write to standard output \(ENOSPC\)/.test(result.stderr), result.stderr.trim());
  }
});

test('on a terminal there is a bar, and images are kept off it', STARTS, async (t) => {
  const { path, administration } = await openControl(t);
  await administration.vdiCreate('vm1', MIB, {});
  // Slow enough for a bar to be drawn.
  administration.pace = () => new Promise((resolve) => setTimeout(resolve, 100));
  const terminal = (...args: string[]) => {
    const command = [...DOG, '--control', path, ...args].map((word) => `'${word}'`).join(' ');
    return run('script', ['-qec', command, '/dev/null']);
  };
  const bar = await terminal('disk', 'add', '/srv/c');
  t.is(bar.status, 0);
  t.ok(/adding disk 3 \(\/srv\/c\) .*[█░]+ \d+% \(\d+ of 1024 groups\)/.test(bar.stdout), JSON.stringify(bar.stdout));
  t.ok(bar.stdout.includes('/srv/c added'));
  const quiet = await terminal('disk', 'remove', '3', '--quiet');
  t.alike([quiet.status, quiet.stdout], [0, '']);
  const exported = await terminal('vdi', 'export', 'vm1');
  t.is(exported.status, 2);
  t.is(exported.stdout, "dog: an image is not shown on a terminal; use 'dog vdi export NAME > FILE'\r\n");
  const imported = await terminal('vdi', 'import', 'vm2');
  t.is(imported.status, 2);
});

test('where there is no terminal, long work tells now and then how far it is', STARTS, async (t) => {
  const { dog, administration } = await openControl(t);
  administration.pace = () => new Promise((resolve) => setTimeout(resolve, 800));
  const { status, stdout, stderr } = await dog(['disk', 'remove', '2']);
  t.alike([status, stderr], [0, '']);
  t.ok(
    /^removing disk 2 \(\/srv\/b\): \d+% \(\d+ of 1024 groups\), \d+ s left\ndisk 2 removed\n$/.test(stdout),
    stdout,
  );
});

test('shutdown waits until the daemon is gone', STARTS, async (t) => {
  const { dog, administration, server } = await openControl(t);
  await administration.vdiCreate('vm1', MIB, {});
  administration.vdis.get('vm1')!.opens = 1;
  t.alike(refusal(await dog(['cluster', 'shutdown'])), REFUSED);
  let closed = false;
  administration.onShutdown = () => {
    setTimeout(async () => {
      closed = true;
      await server.close();
    }, 300);
  };
  const result = await dog(['cluster', 'shutdown', '--force']);
  t.alike([result.status, result.stdout, result.stderr, closed], [0, 'the daemon ended\n', '', true]);
});

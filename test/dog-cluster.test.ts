/** `dog` before a daemon that is one host of several. */
import { spawn } from 'node:child_process';
import { lstat } from 'node:fs/promises';
import { test } from 'brittle';
import { untilToken } from '../lib/cli/token-command.js';
import { AdministrationError, type DiskRecovery } from '../lib/control/administration.js';
import { ControlClient } from '../lib/control/client.js';
import { ControlServer } from '../lib/control/server.js';
import { type Control, openControl, openRequests, REFUSED, refusal, STARTS, spawnControl } from './helpers/control.js';
import { host } from './helpers/memory-administration.js';
import { run } from './helpers/run.js';
import { DOG } from './helpers/sheep.js';
import { until } from './helpers/until.js';

const G = 1024 ** 3;
const SCREEN_LINES = 24;

const CATCHING_UP: DiskRecovery = {
  ...{ host: 'beta', disk: 20, groups: 12, objectsLeft: 4211 },
  ...{ objectsDone: 300, bytesDone: 300 * 4 * 1024 ** 2, bytesPerSecond: 80 * 1024 ** 2, secondsLeft: 210 },
};

async function openThree(...args: Parameters<typeof openControl>): Promise<Control> {
  const control = await openControl(...args);
  control.administration.others.push(host('h3', 'gamma', [100 * G]), host('h2', 'beta', [200 * G, 300 * G]));
  return control;
}

test('status of several hosts that are well names them, and no disk', STARTS, async (t) => {
  const { dog } = await openThree(t);
  const { status, stdout, stderr } = await dog(['status']);
  t.alike([status, stderr], [0, '']);
  t.is(
    stdout,
    [
      '  status: healthy',
      '   hosts: 3, all up; this is alpha, mounted on /var/lib/sheepdog',
      '   space: 1.49T of 5T used (29%), 3.51T free',
      '  images: 0',
      '  groups: 1024, all healthy',
      'recovery: none',
      ' version: 0.1.0',
      '',
      'NAME   STATE  ZONE   DISKS  USED  SIZE  ADDRESS',
      'alpha  up     alpha      2  922G    2T  192.0.2.1:7000',
      'beta   up     beta       2  500G    2T  192.0.2.2:7000',
      'gamma  up     gamma      1  100G    1T  192.0.2.3:7000',
      '',
    ].join('\n'),
  );
});

test('status of several hosts shows first what is not well', STARTS, async (t) => {
  const { dog, administration } = await openThree(t);
  const [gamma, beta] = administration.others;
  gamma!.state = 'down';
  gamma!.version = '0.0.9';
  beta!.disks[1]!.state = 'failed';
  administration.others.push({ ...host('h4', 'delta', [1 * G]), state: 'draining', addresses: [] });
  administration.recovering.push(CATCHING_UP);
  const { stdout } = await dog(['status']);
  t.is(
    stdout,
    [
      '  status: NOT HEALTHY',
      '   hosts: 4, 2 up, 1 draining, 1 down; this is alpha, mounted on /var/lib/sheepdog',
      '   space: 1.1T of 4T used (27%), 2.9T free',
      '  images: 0',
      '  groups: 1024, 612 healthy, 409 with fewer copies than they should have (12 with only one), 3 waiting for a host, 24 moving',
      'recovery: 16% (100 of 624 groups), 1 min 35 s left',
      ' version: 0.1.0, 0.0.9 on 1 host',
      '',
      'NAME   STATE     ZONE   DISKS  USED  SIZE  ADDRESS',
      'gamma  down      gamma      1  100G    1T  192.0.2.3:7000',
      'delta  draining  delta      1    1G    1T  -',
      'beta   up        beta     1/2  200G    1T  192.0.2.2:7000',
      'alpha  up        alpha      2  922G    2T  192.0.2.1:7000',
      '',
      'HOST   DISK  STATE   SIZE  USED  USE  DIRECTORY',
      'beta     21  failed    1T  300G  29%  /srv/b',
      'gamma    30  down      1T  100G   9%  /srv/a',
      'delta    40  ok        1T    1G   0%  /srv/a',
      '',
    ].join('\n'),
  );
});

test('status fits a screen, however much there is', STARTS, async (t) => {
  const { dog, administration } = await openThree(t);
  const lines = async () => (await dog(['status'])).stdout.trimEnd().split('\n');
  for (let number = 4; number < 60; number++) administration.others.push(host(`h${number}`, `host${number}`, [G, G]));
  const well = await lines();
  t.is(well.length, SCREEN_LINES);
  t.is(well.at(-1), "and 45 more; 'dog node list' shows all");
  for (const other of administration.others.slice(0, 40)) other.state = 'down';
  const down = await lines();
  t.is(down.length + 1, SCREEN_LINES, 'a line of it takes two on a screen of 80 columns');
  t.is(down.at(-1), "and 78 more; 'dog disk list' shows all of its host");
  for (let number = 0; number < 9; number++) {
    administration.problems.push({ severity: 'error', message: `problem ${number}`, action: 'do something' });
  }
  const worst = await lines();
  t.is(worst.length + 1, SCREEN_LINES);
  t.ok(worst.includes("and 58 more; 'dog node list' shows all"), worst.join('\n'));
  t.is(worst.at(-1), "and 78 more; 'dog disk list' shows all of its host");
});

test('hosts are listed, drained, undrained and removed', STARTS, async (t) => {
  const { dog, administration } = await openThree(t);
  administration.others[0]!.version = null;
  t.is(
    (await dog(['node', 'list'])).stdout,
    [
      'NAME   STATE  ZONE   DISKS  USED  SIZE  ADDRESS         VERSION',
      'alpha  up     alpha      2  922G    2T  192.0.2.1:7000  0.1.0',
      'beta   up     beta       2  500G    2T  192.0.2.2:7000  0.1.0',
      'gamma  up     gamma      1  100G    1T  192.0.2.3:7000  -',
      '',
    ].join('\n'),
  );
  const said = async (...args: string[]) => {
    const { status, stdout, stderr } = await dog(args);
    t.alike([status, stderr], [0, ''], args.join(' '));
    return stdout;
  };
  t.is(await said('node', 'drain', 'beta'), "beta drained; 'dog node undrain beta' lets it take data again\n");
  t.is(administration.others[1]!.state, 'draining');
  t.is(await said('node', 'undrain', 'h2'), 'h2 takes data again\n', 'by its id');
  t.is(administration.others[1]!.state, 'up');
  t.is(await said('node', 'drain', 'beta', '--quiet'), '');
  const { state, done, total, title } = JSON.parse(await said('node', 'drain', 'beta', '--json'));
  t.alike([state, done, total, title], ['done', 1024, 1024, 'draining host beta']);
  t.is(await said('node', 'remove', 'beta'), 'beta removed\n');
  t.alike(
    administration.others.map(({ name }) => name),
    ['gamma'],
  );
  for (const [args, line] of [
    [['node', 'drain', 'beta'], "there is no host beta; 'dog node list' shows them"],
    [['node', 'undrain', 'a/b'], "there is no host a/b; 'dog node list' shows them"],
    [['node', 'remove', 'gamma', '--force'], 'host gamma is up; remove it without --force'],
  ] as const) {
    const result = await dog(args);
    t.alike([refusal(result), result.stderr], [REFUSED, `dog: ${line}\n`], args.join(' '));
  }
  await said('node', 'remove', 'gamma');
  const last = await dog(['node', 'remove', 'alpha']);
  t.alike(
    [refusal(last), last.stderr],
    [REFUSED, 'dog: no other host could take what alpha has; add another host first\n'],
  );
});

test('draining goes on when dog is interrupted, and shows how far it is', STARTS, async (t) => {
  const { path, dog, administration } = await openThree(t);
  let go: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  administration.pace = () => gate;
  const [command, ...first] = DOG;
  const child = spawn(command!, [...first, '--control', path, 'node', 'drain', 'beta'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk;
  });
  const ended = new Promise((resolve) => child.on('close', resolve));
  await until('dog to watch', () => administration.watched > 0);
  child.kill('SIGINT');
  t.is(await ended, 130);
  t.is(stderr, "dog: draining host beta goes on in the daemon; watch it with 'dog node drain beta'\n");
  administration.watched = 0;
  const watching = dog(['node', 'drain', 'beta', '--json']);
  await until('another dog to watch', () => administration.watched > 0);
  go();
  t.is(JSON.parse((await watching).stdout).id, '1', 'the same work');
});

test(
  'a host that is down with what only it has is given up by force alone, which says what is lost',
  STARTS,
  async (t) => {
    const { dog, administration } = await openThree(t);
    const [gamma] = administration.others;
    gamma!.state = 'down';
    administration.sole = {
      groups: 12,
      images: [
        { name: 'db\n1', objects: 3 },
        { name: 'vm1', objects: 170 },
      ],
    };
    const refused = await dog(['node', 'remove', 'gamma']);
    t.alike(refusal(refused), REFUSED);
    t.is(
      refused.stderr,
      'dog: host gamma is down, and 12 groups have their only complete copy there; start it, or give it up with what only it has: --force\n',
    );
    t.is(administration.others.length, 2);
    const forced = await dog(['node', 'remove', 'gamma', '--force']);
    t.alike([forced.status, forced.stderr], [0, '']);
    t.is(
      forced.stdout,
      [
        'gamma removed for good; 12 groups had no other complete copy, and these images may have lost data:',
        '',
        'IMAGE    OBJECTS LOST AT MOST',
        'vm1                       170',
        'db\\x0a1                     3',
        '',
      ].join('\n'),
    );
    t.is(administration.others.length, 1);
    for (const [sole, line] of [
      [{ groups: 0, images: [] }, 'delta removed for good; nothing was complete on it alone, so nothing is lost'],
      [
        { groups: 1, images: [] },
        'delta removed for good; 1 group had no other complete copy, and no image has data there',
      ],
    ] as const) {
      administration.others.push({ ...host('h4', 'delta', []), state: 'down' });
      administration.sole = { ...sole, images: [] };
      t.is((await dog(['node', 'remove', 'delta', '--force'])).stdout, `${line}\n`);
    }
    administration.others.push({ ...host('h4', 'delta', []), state: 'down' });
    t.alike(JSON.parse((await dog(['node', 'remove', 'delta', '--force', '--json'])).stdout), administration.sole);
  },
);

test('a token is alone on standard output', STARTS, async (t) => {
  const { dog, administration } = await openControl(t);
  const said = async (...args: string[]) => {
    const { status, stdout, stderr } = await dog(['cluster', 'token', ...args]);
    t.alike([status, stderr], [0, ''], args.join(' '));
    return stdout;
  };
  t.is(await said(), 'sheep-c0ffee\n');
  t.alike(JSON.parse(await said('--json', '--ttl', '12h', '--uses', '3')), {
    token: 'sheep-c0ffee',
    expires: '2026-01-02T15:04:05.000Z',
    uses: 3,
  });
  administration.makeToken = async () => {
    throw new AdministrationError('INVALID', 'there is no etcd on this host', 'apt-get install etcd-server');
  };
  const refused = await dog(['cluster', 'token']);
  t.alike(refusal(refused), REFUSED);
  t.is(refused.stderr, 'dog: there is no etcd on this host; apt-get install etcd-server\n');
});

test('a token is waited for while the daemon starts anew for it', STARTS, async (t) => {
  const { dog, path, administration, metrics, server } = await openControl(t);
  const makeToken = administration.makeToken;
  let asked = 0;
  administration.makeToken = async () => {
    asked++;
    return null;
  };
  const waiting = dog(['cluster', 'token', '--uses', '1']);
  await until('the daemon to be asked again', () => asked > 1);
  // It is cut off while it asks, then finds nobody, then somebody who ends, then another worker.
  let go: () => void = () => {};
  administration.makeToken = () => {
    asked = 0;
    return new Promise((resolve) => {
      go = () => resolve(null);
    });
  };
  await until('the daemon to be asked', () => asked === 0);
  const closing = server.close();
  await until('dog to be cut off', async () => (await openRequests(path)) === 0);
  go();
  await closing;
  const since = performance.now();
  await until('dog to be refused', () => performance.now() - since > 600);
  let ending = 0;
  administration.makeToken = async () => {
    ending++;
    throw new AdministrationError('SHUTTING_DOWN', 'the daemon is ending');
  };
  const next = await ControlServer.open({ path, administration, metrics, onDefect: (error) => t.fail(String(error)) });
  t.teardown(() => next.close());
  await until('the daemon to be asked', () => ending > 0);
  administration.makeToken = makeToken;
  const { status, stdout, stderr } = await waiting;
  t.alike([status, stdout, stderr], [0, 'sheep-c0ffee\n', '']);
});

test('a token that does not come is given up with one line', STARTS, async (t) => {
  const { path, administration } = await openControl(t);
  let waits = 0;
  administration.makeToken = async () => null;
  const line = /the daemon has not got ready for other hosts within 0.5 s; its log says why, then ask again/;
  await t.exception(
    untilToken(new ControlClient(path), {}, 500, () => waits++),
    line,
  );
  t.is(waits, 1);
  let go: () => void = () => {};
  administration.makeToken = () =>
    new Promise((resolve) => {
      go = () => resolve(null);
    });
  await t.exception(untilToken(new ControlClient(path), {}, 500), line);
  go();
  const dead = await spawnControl(t);
  dead.kill();
  await until('its end', async () => {
    const error = await untilToken(new ControlClient(dead.path), {}, 50).catch((error) => error);
    return error.code === 'NOT_RUNNING';
  });
  t.ok(await lstat(dead.path), 'where there is no daemon to begin with, it is not waited for');
});

test('recovery shows how far each disk is', STARTS, async (t) => {
  const { dog, administration } = await openThree(t);
  t.is((await dog(['recovery'])).stdout, 'recovery: none\n');
  administration.recovering.push(CATCHING_UP, {
    ...CATCHING_UP,
    host: 'gamma',
    disk: 30,
    bytesPerSecond: 0,
    secondsLeft: null,
  });
  const { status, stdout, stderr } = await dog(['recovery']);
  t.alike([status, stderr], [0, '']);
  t.is(
    stdout,
    [
      'recovery: 16% (100 of 624 groups), 1 min 35 s left',
      '',
      'HOST   DISK  GROUPS LEFT  OBJECTS LEFT   RATE  TIME LEFT',
      'beta     20           12          4211  80M/s  3 min 30 s',
      'gamma    30           12          4211    0/s  -',
      '',
    ].join('\n'),
  );
});

test('recovery is watched to its end, in lines where there is no terminal', STARTS, async (t) => {
  const { dog, path, administration } = await openThree(t);
  t.is((await dog(['recovery', '--watch'])).stdout, 'recovery: none\n');
  administration.recovering.push(CATCHING_UP);
  let asked = 0;
  const recovery = administration.recovery.bind(administration);
  administration.recovery = () => {
    // Long enough for a line at once, one after five seconds, and one at the end.
    if (++asked > 7) administration.recovering.length = 0;
    return recovery();
  };
  const { status, stdout, stderr } = await dog(['recovery', '--watch']);
  t.alike([status, stderr], [0, '']);
  const line = 'recovery: 16% (100 of 624 groups), 1 min 35 s left';
  const lines = stdout.split('\n');
  t.alike(lines.splice(-2), ['recovery: done', '']);
  t.ok(lines.length >= 2 && lines.length < asked - 1, `${lines.length} lines, asked ${asked} times`);
  t.alike([...new Set(lines)], [line]);

  administration.recovering.push(CATCHING_UP);
  administration.recovery = recovery;
  const [command, ...first] = DOG;
  const child = spawn(command!, [...first, '--control', path, 'recovery', '--watch'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk));
  const ended = new Promise((resolve) => child.on('close', resolve));
  await until('it to watch', () => output !== '');
  child.kill('SIGINT');
  t.is(await ended, 130);
  t.is(output, `${line}\ndog: recovery goes on in the daemons; watch it with 'dog recovery --watch'\n`);
});

test('recovery is drawn over itself on a terminal', STARTS, async (t) => {
  const { path, administration } = await openThree(t);
  administration.recovering.push(CATCHING_UP, { ...CATCHING_UP, host: 'x'.repeat(200) });
  let asked = 0;
  const recovery = administration.recovery.bind(administration);
  administration.recovery = () => {
    if (++asked > 2) administration.recovering.length = 0;
    return recovery();
  };
  const command = [...DOG, '--control', path, 'recovery', '--watch'].map((word) => `'${word}'`).join(' ');
  const { status, stdout } = await run('script', ['-qec', `stty cols 60 rows 24; ${command}`, '/dev/null']);
  t.is(status, 0);
  const [one, two, end, ...more] = stdout.replaceAll('\r', '').split('\x1b[0J').slice(1);
  t.alike(more, []);
  t.is(one, `${two!.replace('\x1b[5A\x1b[1G', '')}\x1b[5A\x1b[1G`, 'as many lines up as were drawn');
  t.ok(
    one!.split('\n').every((text) => text.replace('\x1b[5A\x1b[1G', '').length < 60),
    'no line goes on below',
  );
  t.is(end, 'recovery: done\n');
});

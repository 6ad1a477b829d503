import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'brittle';
import { temporaryDirectory } from './helpers/cleanup.js';
import { run } from './helpers/run.js';

const UNIT = fileURLToPath(new URL('../../systemd/sheepdog.service', import.meta.url));
/** Each gives a service a mount namespace of its own, which hides what it mounts from the host. */
const NAMESPACE_SETTINGS =
  /^(PrivateMounts|PrivateTmp|PrivateDevices|ProtectSystem|ProtectHome|ProtectKernel\w+|ProtectControlGroups|ReadOnlyPaths|ReadWritePaths|InaccessiblePaths|MountFlags|RootDirectory|BindPaths|TemporaryFileSystem)=/m;

test('systemd has nothing to say against the unit', { timeout: 60_000 }, async (t) => {
  const directory = await temporaryDirectory(t);
  const program = join(directory, 'sheep');
  await writeFile(program, '#!/bin/sh\n', { mode: 0o755 });
  const unit = await readFile(UNIT, 'utf8');
  t.ok(/^ExecStart=\/usr\/bin\/sheep$/m.test(unit));

  const copy = join(directory, 'sheepdog.service');
  const verify = async (text: string) => {
    await writeFile(copy, text.replace('/usr/bin/sheep', program));
    const result = await run('systemd-analyze', ['verify', '--man=no', copy]);
    const about = result.stderr.split('\n').filter((line) => line.includes('sheepdog.service'));
    return { status: result.status, about: about.join('\n') };
  };
  t.alike(await verify(unit), { status: 0, about: '' });
  const wrong = await verify(unit.replace('KillMode=mixed', 'KillMode=gently'));
  t.ok(wrong.about.includes('gently'), 'a mistake would be seen');
});

test('the unit does what the daemon relies on', async (t) => {
  const unit = await readFile(UNIT, 'utf8');
  for (const setting of ['Type=notify', 'NotifyAccess=all', 'Restart=always', 'KillMode=mixed']) {
    t.ok(unit.split('\n').includes(setting), setting);
  }
  t.ok(/^Before=.*\blibvirtd\.service\b/m.test(unit), 'before libvirt');
  t.absent(NAMESPACE_SETTINGS.test(unit), 'what it mounts is seen by the host');
});

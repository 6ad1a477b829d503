/** A guest moves from one host to another while it runs and writes. */
import { join } from 'node:path';
import { test } from 'brittle';
import { temporaryDirectory } from './helpers/cleanup.js';
import { Cluster } from './helpers/cluster.js';
import { bootGuest } from './helpers/guest.js';
import { Qmp } from './helpers/qmp.js';
import { must, run } from './helpers/run.js';
import { until } from './helpers/until.js';

const TEST = { timeout: 300_000 };
const MIGRATION_DEADLINE_MS = 120_000;
const ROUNDS = 150;
const PORT = 4444;

/** Writes files, each durable before the next, and has the file system checked at the end. */
const SCRIPT = `
/sbin/mke2fs -q -t ext4 /dev/vda
mount -t ext4 /dev/vda /mnt
for i in $(seq ${ROUNDS}); do
  head -c 20000 /dev/urandom > /mnt/$i
  md5sum /mnt/$i >> /mnt/sums
  sync
  echo ROUND-$i
  sleep 0.05
done
umount /mnt
mount -t ext4 /dev/vda /mnt
md5sum -c /mnt/sums > /tmp/checked || { grep -v OK /tmp/checked; false; }
echo CHECKED-$(grep -c OK /tmp/checked)
umount /mnt
`;

test('a guest that writes migrates to another host, and nothing of its file system is lost', TEST, async (t) => {
  const cluster = await Cluster.start(t, 3);
  const [, from, to] = cluster.all as [unknown, ...typeof cluster.all];
  await must('qemu-img', ['create', '-q', '-f', 'raw', join(from!.mount, 'vm.img'), '64M']);
  const sockets = await temporaryDirectory(t);
  const boot = (host: NonNullable<typeof from>, name: string, args: readonly string[] = []) => {
    const qmp = ['-qmp', `unix:${join(sockets, name)},server=on,wait=off`];
    const image = join(host.mount, 'vm.img');
    return bootGuest(t, { image, script: SCRIPT, args: [...qmp, ...args], through: host.through });
  };
  const source = await boot(from!, 'source');
  await source.waitFor(/ROUND-20\b/);
  const target = await boot(to!, 'target', ['-incoming', `tcp:0:${PORT}`]);
  // It listens for the other one before it takes commands.
  (await Qmp.open(join(sockets, 'target'))).close();
  const qmp = await Qmp.open(join(sockets, 'source'));
  t.teardown(() => qmp.close());
  await qmp.ask('migrate', { uri: `tcp:${to!.address}:${PORT}` });
  const moved = await until(
    'the end of the migration',
    async () => {
      const answer = (await qmp.ask('query-migrate')) as { status: string };
      if (answer.status === 'failed') {
        throw new Error(`the migration failed: ${JSON.stringify(answer)}\n${source.console()}\n${target.console()}`);
      }
      return answer.status === 'completed';
    },
    MIGRATION_DEADLINE_MS,
  );
  t.ok(moved);
  await qmp.ask('quit');
  t.absent(source.console().includes(`ROUND-${ROUNDS}\r`), 'it had not finished where it came from');
  const console = await target.ended;
  t.ok(console.includes(`CHECKED-${ROUNDS}`) && /GUEST-OK/.test(console), console.slice(-600));
  for (const host of cluster.all) {
    const { status, stdout } = await run('e2fsck', ['-fn', join(host.mount, 'vm.img')]);
    t.is(status, 0, `the file system is clean as host ${host.number} sees it: ${stdout.slice(-200)}`);
  }
});

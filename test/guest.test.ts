/** A real guest whose disk is on the mount. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'brittle';
import { bootGuest } from './helpers/guest.js';
import { must, run } from './helpers/run.js';
import { startSheep } from './helpers/sheep.js';
import { sleep } from './helpers/until.js';

const MIB = 1024 * 1024;
const TIMEOUT = 200_000;
/** What the kernel of a guest says when its disk fails it. */
const DISK_TROUBLE = /I\/O error|EXT4-fs error|Remounting filesystem read-only|blk_update_request|critical/i;

const FIRST_BOOT = `
/sbin/mke2fs -q -t ext4 -E discard /dev/vda
mount -t ext4 /dev/vda /mnt
echo GUEST-MOUNTED
i=0
while [ $i -lt 40 ]; do
  dd if=/dev/urandom of=/mnt/file$i bs=64k count=$((1 + i % 7)) 2>/dev/null
  [ $((i % 10)) -eq 0 ] && sync
  i=$((i + 1))
done
mkdir /mnt/directory
cp /mnt/file1* /mnt/directory/
rm /mnt/file2*
(cd /mnt && find . -type f ! -name SUMS | sort | xargs sha256sum > SUMS)
wc -l < /mnt/SUMS
sync
umount /mnt
`;

const SECOND_BOOT = `
mount -t ext4 /dev/vda /mnt
cd /mnt
sha256sum -c SUMS > /tmp/result || { cat /tmp/result; false; }
echo GUEST-CHECKED $(grep -c OK /tmp/result)
rm -r /mnt/directory
echo again > /mnt/second-boot
cd /
umount /mnt
mount -t ext4 /dev/vda /mnt
cat /mnt/second-boot
umount /mnt
/sbin/e2fsck -f -p /dev/vda
`;

test('a Linux guest keeps its files over a reboot', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  const image = join(mount, 'vm1.img');
  await must('qemu-img', ['create', '-f', 'raw', image, '1G']);

  const first = await (await bootGuest(t, { image, script: FIRST_BOOT })).ended;
  t.ok(first.includes('GUEST-OK'), lastLines(first));
  t.absent(DISK_TROUBLE.test(first));
  t.is((await run('e2fsck', ['-fn', image])).status, 0, 'the file system is clean after the first boot');

  const second = await (await bootGuest(t, { image, script: SECOND_BOOT })).ended;
  t.ok(second.includes('GUEST-OK'), lastLines(second));
  t.ok(/GUEST-CHECKED 40\b/.test(second), 'every checksum is right');
  t.absent(DISK_TROUBLE.test(second));
  t.is((await run('e2fsck', ['-fn', image])).status, 0, 'and after the second');
});

test('a Linux guest does not notice that the worker is killed', { timeout: TIMEOUT }, async (t) => {
  const sheep = await startSheep(t);
  const image = join(sheep.mount, 'vm1.img');
  await must('qemu-img', ['create', '-f', 'raw', image, '1G']);

  const guest = await bootGuest(t, { image, script: FIRST_BOOT });
  await guest.waitFor(/GUEST-MOUNTED/);
  let last: number | undefined;
  for (let kill = 0; kill < 3 && !guest.console().includes('GUEST-OK'); kill++) {
    last = await sheep.workerPid(last);
    process.kill(last, 'SIGKILL');
    await sleep(400);
  }
  t.ok(last, 'the worker was killed');
  const first = await guest.ended;
  t.ok(first.includes('GUEST-OK'), lastLines(first));
  t.absent(DISK_TROUBLE.test(first));

  const second = await (await bootGuest(t, { image, script: SECOND_BOOT })).ended;
  t.ok(second.includes('GUEST-OK'), lastLines(second));
  t.is((await run('e2fsck', ['-fn', image])).status, 0, 'the file system is clean');
});

test('what a guest trims is given back', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  const image = join(mount, 'vm1.img');
  await must('qemu-img', ['create', '-f', 'raw', image, '1G']);
  const used = async () => (await stat(image)).blocks * 512;
  const drive = 'discard=unmap';

  const fill = `
/sbin/mke2fs -q -t ext4 /dev/vda
mount -t ext4 /dev/vda /mnt
dd if=/dev/urandom of=/mnt/big bs=1M count=100 2>/dev/null
umount /mnt
`;
  const filled = await (await bootGuest(t, { image, drive, script: fill })).ended;
  t.ok(filled.includes('GUEST-OK'), lastLines(filled));
  const before = await used();
  t.ok(before >= 100 * MIB, `${before} bytes in use`);

  const trim = `
mount -t ext4 /dev/vda /mnt
rm /mnt/big
sync
fstrim -v /mnt
umount /mnt
`;
  const trimmed = await (await bootGuest(t, { image, drive, script: trim })).ended;
  t.ok(trimmed.includes('GUEST-OK'), lastLines(trimmed));
  const after = await used();
  t.ok(after <= before - 90 * MIB, `${after} bytes in use after fstrim`);
  t.is((await run('e2fsck', ['-fn', image])).status, 0);
});

function lastLines(text: string): string {
  return text.trim().split('\n').slice(-3).join(' | ').replace(/\r/g, '');
}

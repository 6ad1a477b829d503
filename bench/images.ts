/** What takes no time however large the image is, or should not. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fio } from '../test/helpers/fio.js';
import { must } from '../test/helpers/run.js';

/** Milliseconds of each step, from starting the program to its end. */
export type ImageTimes = Record<string, number>;

const PARTS = 16;

/** Makes, lists, opens and deletes an image of 1 TiB, and copies one of 100 GiB that holds 1 GiB of data. */
export async function measureImages(directory: string): Promise<ImageTimes> {
  const huge = join(directory, 'huge.img');
  const golden = join(directory, 'golden.img');
  const copy = join(directory, 'copy.img');
  const times: ImageTimes = {};
  const timed = async (name: string, command: string, args: readonly string[]) => {
    times[name] = (await must(command, args, { deadlineMs: 300_000 })).elapsedMs;
  };
  await timed('create 1 TiB', 'truncate', ['-s', '1T', huge]);
  await timed('list', 'ls', ['-l', directory]);
  await timed('open and read the end', 'dd', [`if=${huge}`, 'bs=4k', 'count=1', 'skip=268435455', 'status=none']);
  await timed('delete', 'rm', [huge]);

  await must('truncate', ['-s', '100G', golden]);
  // The data lies in parts all over the image.
  await fio(
    {
      rw: 'write:6080m',
      bs: '64m',
      ioengine: 'psync',
      number_ios: PARTS,
      refill_buffers: true,
      filename: golden,
      size: '100g',
      end_fsync: 1,
    },
    300_000,
  );
  const { blocks } = await stat(golden);
  if (blocks * 512 < 1024 ** 3) throw new Error(`${golden} holds ${blocks * 512} bytes of data, not 1 GiB`);
  await timed('copy 100 GiB with 1 GiB of data', 'cp', [golden, copy]);
  await timed('delete the original', 'rm', [golden]);
  await must('rm', [copy]);
  return times;
}

/** Opens the disk in a directory and tells how long that took, and how much memory it takes. Run with --expose-gc. */
import { Disk } from '../../lib/store/index.js';

const [directory] = process.argv.slice(2) as [string];
global.gc!();
const before = process.memoryUsage.rss();
const startedMs = performance.now();
const disk = await Disk.open(directory, {}, { replicated: true });
const milliseconds = Math.round(performance.now() - startedMs);
global.gc!();
const bytes = process.memoryUsage.rss() - before;
process.stdout.write(JSON.stringify({ objects: disk.index.objects, milliseconds, bytes }));
await disk.close();

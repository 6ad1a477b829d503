import { Random } from '../helpers/random.js';
import { SimulatedDevice } from './disk-device.js';

/** Where a path leads. */
export interface Place {
  /** Null for a directory on which a device could be mounted, and is not. */
  readonly device: SimulatedDevice | null;
  /** Of the bare directory. */
  readonly inode: number;
  /** The names within the device. */
  readonly rest: string[];
}

interface MountPoint {
  readonly path: string;
  readonly inode: number;
  device: SimulatedDevice | null;
}

const NOWHERE: Place = { device: null, inode: 0, rest: [] };

/** What a machine has mounted where. */
export class Mounts {
  readonly #points = new Map<string, MountPoint>();
  /** Stands for the machine's own disk: it answers for directories on which nothing is mounted. */
  readonly bare = new SimulatedDevice({ random: new Random(0) });

  /** In place of what was mounted there. */
  mount(path: string, device: SimulatedDevice): void {
    this.#point(path).device = device;
  }

  /** The empty directory below shows; who has files of the device open keeps them. */
  unmount(path: string): void {
    this.#point(path).device = null;
  }

  at(path: string): SimulatedDevice | null {
    return this.#points.get(path)?.device ?? null;
  }

  get devices(): SimulatedDevice[] {
    return [...this.#points.values()].flatMap(({ device }) => device ?? []);
  }

  find(path: string): Place {
    const point = this.#points.get(this.#mountOf(path));
    if (!point) return NOWHERE;
    const { device, inode } = point;
    if (path.length === point.path.length) return { device, inode, rest: [] };
    // Within a directory that is empty.
    if (device === null) return NOWHERE;
    return { device, inode, rest: path.slice(point.path.length + 1).split('/') };
  }

  #mountOf(path: string): string {
    for (let end = path.indexOf('/', 1); end >= 0; end = path.indexOf('/', end + 1)) {
      const at = path.slice(0, end);
      if (this.#points.has(at)) return at;
    }
    return path;
  }

  #point(path: string): MountPoint {
    let point = this.#points.get(path);
    if (!point) {
      point = { path, inode: this.#points.size + 1, device: null };
      this.#points.set(path, point);
    }
    return point;
  }
}

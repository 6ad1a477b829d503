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
  readonly inode: number;
  device: SimulatedDevice | null;
}

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
    for (const [at, point] of this.#points) {
      if (!path.startsWith(at)) continue;
      if (path.length === at.length) return { ...point, rest: [] };
      if (path[at.length] !== '/') continue;
      const rest = path.slice(at.length + 1).split('/');
      // Within a directory that is empty.
      if (point.device === null) break;
      return { ...point, rest };
    }
    return { device: null, inode: 0, rest: [] };
  }

  #point(path: string): MountPoint {
    let point = this.#points.get(path);
    if (!point) {
      point = { inode: this.#points.size + 1, device: null };
      this.#points.set(path, point);
    }
    return point;
  }
}

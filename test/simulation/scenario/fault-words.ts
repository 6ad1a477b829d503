import type { Direction, DiskTrouble, Fault } from '../faults.js';

const ONE_HOST = ['kill', 'start', 'drain', 'undrain', 'remove', 'force-remove', 'store-cut', 'store-heal'] as const;
const FOR_A_TIME = ['pause', 'suspend', 'clock-step'] as const;
const OUTSIDE = ['store-outage', 'store-back', 'store-slow', 'store-fast'] as const;

type Make = (words: readonly string[]) => Fault;

const MAKE: Record<string, Make> = {
  ...Object.fromEntries(ONE_HOST.map((kind): [string, Make] => [kind, ([host]) => ({ kind, host: host! })])),
  ...Object.fromEntries(
    FOR_A_TIME.map((kind): [string, Make] => [kind, ([host, ms]) => ({ kind, host: host!, ms: Number(ms) })]),
  ),
  ...Object.fromEntries(OUTSIDE.map((kind): [string, Make] => [kind, () => ({ kind })])),
  reboot: ([host]) => ({ kind: 'reboot', host: host!, unsynced: 'torn' }),
  'power-cut': (hosts) => ({ kind: 'power-cut', hosts: [...hosts], unsynced: 'torn' }),
  cut: (words) => ({ kind: 'cut', directions: directionsOf(words) }),
  heal: (words) => ({ kind: 'heal', directions: directionsOf(words) }),
  reset: ([first, second]) => ({ kind: 'reset', first: first!, second: second! }),
  disk: ([host, disk, trouble, number]) => {
    return { kind: 'disk', host: host!, disk: Number(disk), trouble: trouble as DiskTrouble, number: Number(number) };
  },
  'disk-mend': ([host, number]) => ({ kind: 'disk-mend', host: host!, number: Number(number) }),
};

/** The fault that a command names, or null where it names none. */
export function faultIn(command: string): Fault | null {
  const [kind = '', ...words] = command.split(' ');
  return MAKE[kind]?.(words) ?? null;
}

/** `host1 to host2` is one direction; `host1 host2 host3` is host1 from each of the others, in both. */
function directionsOf([first, ...others]: readonly string[]): Direction[] {
  if (others[0] === 'to') return others.slice(1).map((other): Direction => [first!, other]);
  return others.flatMap((other): Direction[] => [
    [first!, other],
    [other, first!],
  ]);
}

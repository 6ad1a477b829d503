import type { BegunKind } from '../fault-rates.js';

/** Members of groups leave and return, with what they had in memory or without, and writes reach some of them. */
export const MEMBERS: readonly BegunKind[] = ['kill', 'reboot', 'pause', 'cut', 'reset', 'network-rough'];

/** What was not synced is lost, at several hosts at a time. */
export const POWER: readonly BegunKind[] = ['kill', 'reboot', 'power-cut', 'pause', 'network-rough'];

/** Hosts hear of maps and writers at different times. */
export const STORE: readonly BegunKind[] = [
  ...(['kill', 'pause', 'suspend', 'reboot', 'cut', 'network-rough'] as const),
  ...(['store-outage', 'store-slow', 'store-rough', 'store-cut'] as const),
];

/** Messages come late, and by sessions that are over. */
export const NETWORK: readonly BegunKind[] = ['cut', 'reset', 'network-rough', 'pause', 'kill'];

/** Disks fail. */
export const DISKS: readonly BegunKind[] = ['disk', 'kill', 'reboot', 'power-cut'];

/** Groups move to other disks, and back. */
export const MOVES: readonly BegunKind[] = ['disk-add', 'disk-remove', 'join', 'drain', 'kill', 'reboot', 'power-cut'];

/** Layers come and go, on hosts that are there and on hosts that are not. */
export const LAYERS: readonly BegunKind[] = ['kill', 'reboot', 'power-cut', 'pause', 'cut', 'store-cut'];

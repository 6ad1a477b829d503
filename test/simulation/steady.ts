import type { DeviceLatency } from './disk-device.js';
import { CALM_NETWORK, type NetworkConditions, type Range } from './network-conditions.js';
import { CALM_STORE, type StoreConditions } from './store-conditions.js';

/*
 * For worlds in which everything takes the same time each time, so that a person can reckon with it.
 */

const ALWAYS = (ms: number): Range => [ms, ms];

export const STEADY_NETWORK: NetworkConditions = {
  ...CALM_NETWORK,
  ...{ latencyMs: ALWAYS(1), connectMs: ALWAYS(5), noticeMs: ALWAYS(1), silenceMs: ALWAYS(1000) },
};

export const STEADY_STORE: StoreConditions = {
  ...CALM_STORE,
  ...{ travelMs: ALWAYS(1), watchMs: ALWAYS(1) },
};

export const STEADY_DEVICE: DeviceLatency = {
  read: ALWAYS(0.1),
  write: ALWAYS(0.1),
  sync: ALWAYS(2),
  name: ALWAYS(0.1),
  commit: ALWAYS(0.1),
};

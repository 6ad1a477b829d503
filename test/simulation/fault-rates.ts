/** What the planner begins of itself; what ends follows from it. */
export type BegunKind =
  | 'kill'
  | 'reboot'
  | 'power-cut'
  | 'conductor'
  | 'pause'
  | 'suspend'
  | 'clock-step'
  | 'cut'
  | 'reset'
  | 'network-rough'
  | 'store-outage'
  | 'store-slow'
  | 'store-rough'
  | 'store-cut'
  | 'disk'
  | 'crowd'
  | 'disk-add'
  | 'disk-remove'
  | 'join'
  | 'drain'
  | 'force-remove';

/** How many of each kind begin in a simulated minute, on average. */
export type FaultRates = Record<BegunKind, number>;

export const NO_FAULTS: FaultRates = {
  kill: 0,
  reboot: 0,
  'power-cut': 0,
  conductor: 0,
  pause: 0,
  suspend: 0,
  'clock-step': 0,
  cut: 0,
  reset: 0,
  'network-rough': 0,
  'store-outage': 0,
  'store-slow': 0,
  'store-rough': 0,
  'store-cut': 0,
  disk: 0,
  crowd: 0,
  'disk-add': 0,
  'disk-remove': 0,
  join: 0,
  drain: 0,
  'force-remove': 0,
};

/** Mostly one thing at a time, so that each is recovered from before the next. */
export const GENTLE_FAULTS: FaultRates = {
  kill: 1,
  reboot: 0.5,
  'power-cut': 0.1,
  conductor: 0.3,
  pause: 1,
  suspend: 0.2,
  'clock-step': 1,
  cut: 1,
  reset: 2,
  'network-rough': 0.7,
  'store-outage': 0.3,
  'store-slow': 0.3,
  'store-rough': 0.5,
  'store-cut': 0.3,
  disk: 1.5,
  crowd: 0.7,
  'disk-add': 0.4,
  'disk-remove': 0.4,
  join: 0.4,
  drain: 0.5,
  'force-remove': 1,
};

/** One on top of the other. */
export const ROUGH_FAULTS: FaultRates = scaleRates(GENTLE_FAULTS, 6);

export function scaleRates(rates: FaultRates, factor: number): FaultRates {
  const scaled = { ...rates };
  for (const kind of Object.keys(scaled) as BegunKind[]) scaled[kind] *= factor;
  return scaled;
}

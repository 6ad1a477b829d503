import type { Range } from './network-conditions.js';

/** How the store answers while nobody takes it away. */
export interface StoreConditions {
  /** One way: to the store, and back. */
  travelMs: Range;
  /** So often one way takes `slowMs` instead. */
  slowChance: number;
  slowMs: Range;
  /** Until a client gives a request up, which may be carried out all the same, before or after. */
  timeoutMs: Range;
  /** So often a request is lost on its way to the store. */
  requestLostChance: number;
  /** So often the answer to a request that was carried out is lost. */
  answerLostChance: number;
  /** So often a request that meets a store without a majority waits for it, to be carried out when it is back. */
  waitChance: number;
  /** From a change to a watch's hearing of it. */
  watchMs: Range;
  /** So often a watch hears `watchLateMs` after the change; later changes wait behind it. */
  watchLateChance: number;
  watchLateMs: Range;
}

export const CALM_STORE: StoreConditions = {
  travelMs: [0.2, 1],
  slowChance: 0,
  slowMs: [0, 0],
  timeoutMs: [2000, 2000],
  requestLostChance: 0,
  answerLostChance: 0,
  waitChance: 0,
  watchMs: [0.2, 2],
  watchLateChance: 0,
  watchLateMs: [0, 0],
};

export const ROUGH_STORE: StoreConditions = {
  travelMs: [0.2, 10],
  slowChance: 0.02,
  slowMs: [10, 1500],
  timeoutMs: [500, 4000],
  requestLostChance: 0.005,
  answerLostChance: 0.01,
  waitChance: 0.5,
  watchMs: [0.2, 50],
  watchLateChance: 0.02,
  watchLateMs: [50, 5000],
};

/** For a store that is slow for a while, most requests are lost to their clients' patience. */
export const SLOW_STORE: StoreConditions = {
  ...ROUGH_STORE,
  travelMs: [200, 2500],
  watchMs: [200, 2500],
};

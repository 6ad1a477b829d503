import type { Random } from '../helpers/random.js';

/** From the first to the second number of milliseconds, each as likely. */
export type Range = readonly [minMs: number, maxMs: number];

/** How the network behaves while nobody cuts or resets anything. */
export interface NetworkConditions {
  latencyMs: Range;
  /** So often a message takes `slowMs` instead; those behind it on its session wait for it. */
  slowChance: number;
  slowMs: Range;
  /** Between two hosts that could be connected and their next session, and between its two ends' knowing of it. */
  connectMs: Range;
  /** Until an end notices that its session is gone, where the other end still answers. */
  noticeMs: Range;
  /** The same where nothing answers, or where one direction is cut. */
  silenceMs: Range;
  /** So often what a lost session was still carrying, in one direction, arrives late all the same. */
  lateChance: number;
  lateMs: Range;
}

export const CALM_NETWORK: NetworkConditions = {
  latencyMs: [0.05, 0.3],
  slowChance: 0,
  slowMs: [0, 0],
  connectMs: [0.5, 5],
  noticeMs: [0.1, 2],
  silenceMs: [500, 1500],
  lateChance: 0,
  lateMs: [0, 0],
};

export const ROUGH_NETWORK: NetworkConditions = {
  latencyMs: [0.05, 5],
  slowChance: 0.01,
  slowMs: [5, 400],
  connectMs: [0.5, 300],
  noticeMs: [0.1, 200],
  silenceMs: [200, 6000],
  lateChance: 0.3,
  lateMs: [0, 8000],
};

export function within(random: Random, [minMs, maxMs]: Range): number {
  return minMs + (maxMs - minMs) * random.next();
}

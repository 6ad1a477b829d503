import type { SimulatedStore } from './coordination-store.js';
import type { Fault } from './faults.js';
import type { Network } from './network.js';
import { CALM_NETWORK, ROUGH_NETWORK } from './network-conditions.js';
import { CALM_STORE, ROUGH_STORE, SLOW_STORE } from './store-conditions.js';

/** What is outside of all hosts. */
export interface World<Message> {
  network: Network<Message>;
  store: SimulatedStore;
}

/** Carries out a fault of the network or the store, and what calm means to them. Answers false for those of hosts. */
export function carryOutInWorld<Message>(world: World<Message>, fault: Fault): boolean {
  const { network, store } = world;
  switch (fault.kind) {
    case 'cut':
      for (const [from, to] of fault.directions) network.cut(from, to);
      return true;
    case 'heal':
      for (const [from, to] of fault.directions) network.heal(from, to);
      return true;
    case 'reset':
      network.reset(fault.first, fault.second);
      return true;
    case 'store-outage':
    case 'store-back':
      store.setAvailable(fault.kind === 'store-back');
      return true;
    case 'store-slow':
    case 'store-rough':
      store.conditions = fault.kind === 'store-slow' ? SLOW_STORE : ROUGH_STORE;
      return true;
    case 'store-fast':
    case 'store-smooth':
      // Where it was both, the end of one is the end of both.
      store.conditions = CALM_STORE;
      return true;
    case 'network-rough':
    case 'network-smooth':
      network.conditions = fault.kind === 'network-rough' ? ROUGH_NETWORK : CALM_NETWORK;
      return true;
    case 'store-cut':
    case 'store-heal':
      store.setReachable(fault.host, fault.kind === 'store-heal');
      return true;
    case 'calm':
      network.healAll();
      network.conditions = CALM_NETWORK;
      store.conditions = CALM_STORE;
      // Hosts have their part in it too.
      return false;
    default:
      return false;
  }
}

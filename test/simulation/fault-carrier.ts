import { CONDUCTOR_KEY, decodeConductorRecord } from '../../lib/cluster/conductor-record.js';
import { administer, recordOf } from './admin-faults.js';
import type { BegunKind, FaultRates } from './fault-rates.js';
import { NO_FAULTS } from './fault-rates.js';
import type { Fault } from './faults.js';
import type { SimulatedHost } from './simulated-host.js';
import type { World } from './world.js';
import { carryOutInWorld } from './world-faults.js';

/** How long a conductor that was killed takes to be started again, in milliseconds. */
const RESTART_MS = 500;

/** Rates of so many of the kinds, the others never. */
export function only(rates: FaultRates, kinds: readonly BegunKind[]): FaultRates {
  return Object.fromEntries(
    Object.entries(NO_FAULTS).map(([kind]) => [kind, kinds.includes(kind as BegunKind) ? rates[kind as BegunKind] : 0]),
  ) as FaultRates;
}

/** Carries out in a world what the planner of faults decides. Answers false for what it refuses. */
export function carryOut(world: World, fault: Fault): boolean {
  if (carryOutInWorld(world, fault)) return true;
  const administered = administer(world, fault);
  if (administered !== null) return administered;
  const host = 'host' in fault ? world.hosts.find(({ id }) => id === fault.host) : undefined;
  // The end of something on a host that was removed meanwhile.
  if ('host' in fault && !host) return false;
  switch (fault.kind) {
    case 'kill':
      return host!.isRunning && done(() => host!.kill());
    case 'start':
      return !host!.isRunning && done(() => host!.start());
    case 'reboot':
      return done(() => world.reboot(host!));
    case 'power-cut':
      return done(() => {
        for (const each of [...world.hosts]) if (fault.hosts.includes(each.id)) world.reboot(each);
      });
    case 'pause':
      return done(() => host!.pauseFor(fault.ms));
    case 'suspend':
      return done(() => {
        host!.hostClock.suspendFor(fault.ms);
        host!.pauseFor(fault.ms);
      });
    case 'disk': {
      const slot = world.slotOf(fault);
      if (!slot) return false;
      const recorded = recordOf(world, fault.host)?.disks.find(({ number }) => number === slot.number)?.opens ?? 0;
      if (!host!.disks.trouble(slot, fault.trouble, fault.number, recorded)) return false;
      return done(() => world.trace.note(host!.id, `disk ${slot.number} has ${fault.trouble}`));
    }
    case 'disk-mend':
      return done(() => host!.disks.mend(fault.number));
    case 'clock-step':
      return done(() => host!.hostClock.step(fault.ms));
    case 'crowd':
      return done(() => host!.crowd(fault.disk, fault.share));
    case 'uncrowd':
      return done(() => host!.uncrowd());
    case 'conductor':
      return troubleConductor(world, fault.ms);
    case 'calm':
      return done(() => {
        for (const each of world.hosts) if (!each.isRunning) each.start();
      });
    default:
      return false;
  }
}

function troubleConductor(world: World, ms: number | null): boolean {
  const found = world.store.peek(CONDUCTOR_KEY);
  const host: SimulatedHost | undefined =
    found === null ? undefined : world.hosts.find(({ id }) => id === decodeConductorRecord(found.value).host);
  if (!host?.isRunning) return false;
  if (ms !== null) return done(() => host.pauseFor(ms));
  host.kill();
  world.scheduler.after(RESTART_MS, () => {
    if (!host.isRunning) host.start();
  });
  return true;
}

function done(action: () => void): true {
  action();
  return true;
}

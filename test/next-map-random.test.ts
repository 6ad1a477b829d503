import { test } from 'brittle';
import { MapModel } from './helpers/map-model.js';
import { Random } from './helpers/random.js';

const SEEDS = 30;
const TICKS = 400;
/** Restarting takes 30 s, being let in again up to half an hour, and all groups move in turns. */
const CALM_TICKS = 8000;

test('next map, random: whoever may answer is complete, one restarts a group, all heals', (t) => {
  // The same ones each time: a map that is changed is compared on them. Others: SEED=…
  const first = Number(process.env.SEED ?? 1);
  const seeds = process.env.SEED ? 1 : SEEDS;
  const totals = { acknowledged: 0, reads: 0, restarts: 0, ticks: 0 };
  for (let seed = first; seed < first + seeds; seed++) {
    const random = new Random(seed);
    const model = new MapModel(random, 3 + random.below(3), 6);
    try {
      disturb(model);
      totals.ticks += heal(model);
    } catch (error) {
      t.comment(model.trace.slice(-30).join('\n'));
      t.fail(`SEED=${seed}: ${(error as Error).message}`);
      return;
    }
    totals.acknowledged += model.acknowledged;
    totals.reads += model.reads;
    totals.restarts += model.restarts;
  }
  t.comment(`seeds from ${first}: ${JSON.stringify(totals)}`);
  if (seeds > 1) t.ok(totals.acknowledged > 1000 && totals.reads > 1000 && totals.restarts > 10, 'it did something');
});

function disturb(model: MapModel): void {
  const { random } = model;
  for (let tick = 0; tick < 20; tick++) model.tick();
  for (let tick = 0; tick < TICKS; tick++) {
    if (random.chance(0.12)) fault(model);
    for (const host of model.hosts) if (random.chance(0.05)) model.start(host);
    if (random.chance(0.02)) for (const host of model.hosts) model.restoreDisks(host);
    model.tick();
  }
}

function fault(model: MapModel): void {
  const { random } = model;
  const host = model.hosts[random.below(model.hosts.length)]!;
  const disks = [...host.open.keys()];
  switch (random.below(8)) {
    case 0:
      model.kill(host);
      return;
    case 1:
      model.kill(host);
      model.start(host);
      return;
    case 2:
      model.reboot(host);
      return;
    case 3:
      host.pausedUntil = model.now + random.below(12_000);
      return;
    case 4:
      if (random.chance(0.3)) for (const each of model.hosts) model.reboot(each);
      return;
    case 5:
      model.newConductor();
      return;
    case 6:
      if (disks.length > 0) model.vanish(host, disks[random.below(disks.length)]!, random.chance(0.5));
      return;
    default: {
      const record = model.records.get(host.id)!;
      model.records.set(host.id, { ...record, standing: random.chance(0.5) ? 'in' : 'draining' });
    }
  }
}

/** Answers the ticks it took. */
function heal(model: MapModel): number {
  for (const host of model.hosts) {
    model.start(host);
    model.restoreDisks(host);
    model.records.set(host.id, { ...model.records.get(host.id)!, standing: 'in' });
  }
  for (let tick = 0; tick < CALM_TICKS; tick++) {
    if (model.isHealthy) return tick;
    model.tick();
    if (tick % 50 === 0) for (const host of model.hosts) model.restoreDisks(host);
  }
  throw new Error(`not healthy: ${JSON.stringify(model.map)}`);
}

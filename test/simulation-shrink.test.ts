import { test } from 'brittle';
import { kindOfComplaint, subjectOf } from './simulation/complaint.js';
import type { Plan, PlannedFault } from './simulation/plan.js';
import { relevantLines } from './simulation/relevant-lines.js';
import { Shrinker } from './simulation/shrink.js';

const fault = (atMs: number, host: string): PlannedFault => ({ atMs, fault: { kind: 'kill', host }, ends: [] });

const PLAN: Plan = {
  ...{ seed: 1, hosts: 5, forgiveLosses: false, administration: 0 },
  rounds: [0, 1].map(() => ({
    ms: 1000,
    steps: Array.from({ length: 100 }, (_, number) => ({ atMs: number * 10, seed: number })),
    faults: Array.from({ length: 10 }, (_, number) => fault(number * 100, `host${1 + (number % 5)}`)),
  })),
};

async function shrunk(fails: (plan: Plan) => boolean, width = 2): Promise<Plan> {
  const firstToFail = async (plans: readonly Plan[]) => plans.find(fails) ?? null;
  return new Shrinker(PLAN, firstToFail, () => false, width).shrink();
}

test('a plan is shrunk to what its failure needs', async (t) => {
  const needed = (plan: Plan) => {
    const steps = plan.rounds.at(-1)!.steps.map(({ seed }) => seed);
    const faults = plan.rounds.at(-1)!.faults.map(({ atMs }) => atMs);
    return steps.includes(17) && steps.includes(41) && faults.includes(300);
  };
  for (const width of [1, 2, 7]) {
    const { hosts, rounds } = await shrunk(needed, width);
    t.is(rounds.length, 1);
    t.alike(
      rounds[0]!.steps.map(({ seed }) => seed),
      [17, 41],
    );
    t.alike(rounds[0]!.faults, [fault(300, 'host4')]);
    t.is(hosts, 4, 'the host of the fault that is needed stays');
    t.ok(rounds[0]!.ms < 1000);
  }
});

test('a plan that needs all of it stays as it is, and time limits the search', async (t) => {
  t.alike(await shrunk((plan) => plan === PLAN), PLAN);
  let tried = 0;
  const firstToFail = async (plans: readonly Plan[]) => {
    tried += plans.length;
    return plans[0]!;
  };
  await new Shrinker(PLAN, firstToFail, () => tried >= 3, 1).shrink();
  t.is(tried, 3);
});

test('complaints of one kind are told by their words', (t) => {
  const same = [
    'vdi 16 on host2: sector 7 shows zeros; it may show write 29 (flushed)',
    'in the end, vdi 17 on host1: sector 8198 shows write 3; it may show zeros',
  ];
  t.is(new Set(same.map(kindOfComplaint)).size, 1);
  t.not(kindOfComplaint(same[0]!), kindOfComplaint('copies of vdi 16 differ at index 0: …'));
});

test('a complaint is about an image, an index, a sector, a group', (t) => {
  const groupOf = (vdi: number, index: number) => ({ copies: 3, pg: vdi + index });
  t.alike(subjectOf('vdi 16 on host2: sector 8198 shows zeros', groupOf), {
    ...{ vdi: 16, index: 1, sector: 8198, group: { copies: 3, pg: 17 } },
  });
  t.alike(subjectOf('object 17/1/2 is active for ever', groupOf), {
    ...{ vdi: 17, index: 2, sector: null, group: { copies: 3, pg: 19 } },
  });
  t.alike(subjectOf('stuck: group 2/5: acting 1, in sync 1', groupOf), {
    ...{ vdi: null, index: null, sector: null, group: { copies: 2, pg: 5 } },
  });
});

test('of a trace, what has to do with a complaint is shown', (t) => {
  const subject = { vdi: 16, index: 1, sector: 8200, group: { copies: 3, pg: 6 } };
  const shown = [
    '       0.000  host1       worker 1 starts',
    '     542.376  store       revision 11 by host3: put /map',
    '     542.376  map         epoch 1: host1 is down with 0, ',
    '    1538.614  map         epoch 2: group 3/6 acting 21,12,31, in sync 21,12,31, since 2, lossy 0',
    '    1626.860  host4       vdi 16: guest starts',
    '    1724.675  host4       vdi 16: write 1 of 1+3072 3584, vdi 16',
    '    1724.819  host2       gets from host4 by 1: 2: write vdi 16 index 1, generation 1.0, disk 12 group 3/6 since 2',
    '    1727.947  host4       gets from host2 by 1: 2 answered ',
    '    1728.000  host4       sends to host3 by 1: 3: write vdi 16 index 1, generation 1.0, disk 21 group 3/6 since 2',
    '    1730.351  host4       vdi 16: write 1 is done',
    '    1731.698  world       DEFECT: Error: in the end',
  ];
  const others = [
    '      45.322  host4       session 1 with host3 is open',
    '    1538.614  map         epoch 2: group 3/5 acting 21,12,31, in sync 21,12,31, since 2, lossy 0',
    '    1628.611  store       revision 19 by host4: put /writer/18',
    '    1724.675  host4       vdi 16: write 2 of 1+8192 512, vdi 16',
    '    1724.675  host4       vdi 17: write 3 of 1+3072 3584, vdi 17',
    '    1724.675  host4       sends to host2 by 1: 2: write vdi 16 index 1, generation 1.0, disk 12 group 3/6 since 2',
    '    1725.000  host2       gets from host4 by 1: 4: write vdi 16 index 2, generation 1.0, disk 12 group 3/7 since 2',
    '    1726.000  host4       gets from host2 by 1: 4 answered ',
    '    1727.000  host4       vdi 16: write 2 is done',
  ];
  const lines = [...shown, ...others].sort((a, b) => Number.parseFloat(a) - Number.parseFloat(b));
  t.alike(relevantLines(lines, subject).sort(), [...shown].sort());
});

import { test } from 'brittle';
import { initialClusterOf, memberDuty, nextMemberStep, type SeenMember } from '../lib/coordination/etcd-member-step.js';
import { type EtcdHost, wantedMembers } from '../lib/coordination/etcd-wanted.js';

/** `a`, `b@rack`, `-c`: a host in a zone of its own, one in a zone with others, one that is down. */
function hostsOf(text: string): EtcdHost[] {
  return text.split(' ').map((word) => {
    const [, down, id, zone] = /^(-?)(\w+)(?:@(\w+))?$/.exec(word)!;
    return { id: id!, zone: zone ?? id!, isUp: down === '', peerUrl: `https://${id}:1`, clientUrl: `https://${id}:2` };
  });
}

/** `a`, `-b`, `c?`, `d*`: a healthy member, a sick one, a learner, one that was added and has not started. */
function membersOf(text: string): SeenMember[] {
  return text.split(' ').map((word) => {
    const [, sick, name, kind] = /^(-?)(\w+)([?*]?)$/.exec(word)!;
    return {
      id: `#${name}`,
      name: kind === '*' ? '' : name!,
      peerUrls: [`https://${name}:1`],
      clientUrls: kind === '*' ? [] : [`https://${name}:2`],
      isLearner: kind !== '',
      isHealthy: sick === '' && kind !== '*',
    };
  });
}

test('wanted members', (t) => {
  const cases: [string, string, string][] = [
    // Hosts, members until now, members from now on.
    ['a', 'a', 'a'],
    ['a b', 'a', 'a'],
    ['a b c', 'a', 'a b c'],
    ['a b -c', 'a', 'a'],
    ['a -b c d', 'a', 'a c d'],
    ['a b c d e f', 'a b c', 'a b c'],
    ['a b c d e f g', 'a b c', 'a b c d e'],
    ['a b c -d -e -f g', 'a b c', 'a b c'],
    ['a b c -d -e f g', 'a b c', 'a b c f g'],
    // One that is down stays; one that was removed is replaced.
    ['a b -c d', 'a b c', 'a b c'],
    ['a b d', 'a b c', 'a b d'],
    ['a b -d', 'a b c', 'a b'],
    ['a b d', 'a b', 'a b d'],
    // Fewer hosts.
    ['a b c d e f', 'a b c d e', 'a b c d e'],
    ['a b c d', 'a b c d e', 'a b c'],
    ['a -b c d', 'a b c d e', 'a c d'],
    ['a b', 'a b c', 'a'],
    ['-a b', 'a b c', 'b'],
    // Zones.
    ['a@x b@x c@y d@z', 'a', 'a c d'],
    ['a@x b@x c@y', 'a', 'a c b'],
    ['a@x b@x c@y d@z', 'a c b', 'a c d'],
    ['a@x b@x c@y -d@z', 'a c b', 'a c b'],
    ['a@x b@x c@y d@y', 'a c b', 'a c b'],
    ['a@x b@x c@x d@y e@y f@z g@z', 'a d f', 'a d f e b'],
    ['a@x b@x', 'a', 'a'],
    ['a@x b@y', 'a', 'a'],
  ];
  for (const [hosts, current, expected] of cases) {
    const wanted = wantedMembers(hostsOf(hosts), current.split(' '));
    const known = expected.split(' ');
    if (hosts.includes('g@z')) {
      t.alike(wanted.slice(0, 3), known.slice(0, 3), `${hosts}: those that are there stay`);
      const zones = wanted.map((id) => hostsOf(hosts).find((host) => host.id === id)!.zone);
      t.alike(zones.sort(), ['x', 'x', 'y', 'y', 'z'], 'spread');
    } else t.alike(wanted, known, `${hosts}; ${current}`);
    t.alike(wantedMembers(hostsOf(hosts), wanted), wanted, 'and then stays so');
  }
});

test('the next change of members', (t) => {
  const cases: [string, string, string, string][] = [
    // Hosts, wanted, members, step.
    ['a', 'a', 'a', 'none'],
    ['a b', 'a', 'a', 'none'],
    ['a b c', 'a b c', 'a', 'add b'],
    ['a b c', 'a b c', 'a b*', 'promote #b'],
    ['a b c', 'a b c', 'a b?', 'promote #b'],
    ['a b c', 'a b c', '-a b?', 'wait'],
    ['a -b c', 'a b c', 'a b?', 'remove #b'],
    ['a b c', 'a c', 'a b?', 'remove #b'],
    ['a b c', 'a b c', 'a b', 'add c'],
    ['a b c', 'a b c', 'a -b', 'wait'],
    ['a b -c', 'a b c', 'a b', 'wait'],
    ['a b c', 'a b c', 'a b c', 'none'],
    ['a b -c', 'a b c', 'a b -c', 'none'],
    ['a b -c d', 'a b c', 'a b -c', 'none'],
    // A dead one that is not wanted is removed first, a live one when the other votes.
    ['a b d', 'a b d', 'a b -c', 'remove #c'],
    ['a b d', 'a b d', 'a -b -c', 'wait'],
    ['a b d', 'a b d', 'a b', 'add d'],
    ['a b c d', 'a b d', 'a b c', 'add d'],
    ['a b c d', 'a b d', 'a b c d?', 'promote #d'],
    ['a b c d', 'a b d', 'a b c d', 'remove #c'],
    ['a b c d', 'a b d', 'a -b c d', 'wait'],
    ['a b', 'a', 'a b', 'remove #b'],
    ['a b', 'a', 'a -b', 'remove #b'],
    ['a b', 'b', '-a b', 'remove #a'],
    ['b', 'b', 'a', 'add b'],
    // The last one is never removed, whatever is wanted.
    ['b', 'a', 'b', 'wait'],
    // One that nobody knows.
    ['a b c', 'a b c', 'a b c x*', 'remove #x'],
  ];
  for (const [hosts, wanted, members, expected] of cases) {
    const step = nextMemberStep(hostsOf(hosts), wanted.split(' '), membersOf(members));
    const words = { add: 'host', promote: 'id', remove: 'id', update: 'id', wait: '', none: '' }[step.type];
    const text = [step.type, (step as unknown as Record<string, string>)[words]].filter(Boolean).join(' ');
    t.is(text, expected, `${hosts}; wanted ${wanted}; members ${members}`);
  }
});

test('without hosts, nothing is changed', (t) => {
  t.alike(wantedMembers([], ['a', 'b', 'c']), []);
  t.is(nextMemberStep([], [], membersOf('a b c')).type, 'wait');
});

test('a host whose address has changed', (t) => {
  const hosts = hostsOf('a b c');
  hosts[2]!.peerUrl = 'https://elsewhere:1';
  const step = (members: string) => nextMemberStep(hosts, ['a', 'b', 'c'], membersOf(members));
  t.alike(step('a b c'), { type: 'update', id: '#c', peerUrl: 'https://elsewhere:1' });
  t.alike(
    step('a b -c'),
    { type: 'update', id: '#c', peerUrl: 'https://elsewhere:1' },
    'that it does not answer is why',
  );
  t.is(step('a -b c').type, 'wait');
  t.alike(step('a b c*'), { type: 'remove', id: '#c', why: 'it is not wanted any more' }, 'added, and never started');
});

test('what a host has to do about its own member', (t) => {
  const [a, b] = hostsOf('a b');
  const members = membersOf('a b*');
  const none = { exists: false, joined: null };
  t.is(memberDuty(a!, members, { exists: true, joined: null }), 'run');
  t.is(memberDuty(a!, members, none), 'lost');
  t.is(memberDuty(b!, members, none), 'join');
  t.is(memberDuty(b!, members, { exists: true, joined: '#an earlier one' }), 'join');
  t.is(memberDuty(b!, members, { exists: true, joined: '#b' }), 'run', 'it has begun to');
  t.is(memberDuty(b!, members, { exists: false, joined: '#b' }), 'run', 'even before it had written anything');
  t.is(memberDuty(b!, membersOf('a'), { exists: true, joined: '#b' }), 'stop');
  t.alike(initialClusterOf(b!, members), { a: 'https://a:1', b: 'https://b:1' });
});

test('from any state, every step leads on, and never leaves a minority', (t) => {
  const hosts = hostsOf('a b c d e f g');
  for (const wanted of [['a'], ['a', 'b', 'c'], ['a', 'b', 'c', 'd', 'e'], ['e', 'f', 'g'], ['g']]) {
    for (const start of ['a', 'a b', 'a b c', 'a b c d', 'a b c d e', 'a b c f?']) {
      let members = membersOf(start);
      let steps = 0;
      for (; steps < 30; steps++) {
        const step = nextMemberStep(hosts, wanted, members);
        if (step.type === 'none') break;
        if (step.type === 'add') members = [...members, ...membersOf(`${step.host}*`)];
        else if (step.type === 'remove') members = members.filter(({ id }) => id !== step.id);
        else if (step.type === 'promote') {
          const name = step.id.slice(1);
          members = members.map((member) => (member.id === step.id ? membersOf(name)[0]! : member));
        } else t.fail(`${start}, wanted ${wanted}: ${step.type}`);
        const voters = members.filter(({ isLearner }) => !isLearner);
        if (voters.length === 0) t.fail('no voter is left');
        if (members.length - voters.length > 1) t.fail('two learners at a time');
      }
      t.alike(members.map(({ name }) => name).sort(), wanted, `${start} to ${wanted} in ${steps} steps`);
    }
  }
});

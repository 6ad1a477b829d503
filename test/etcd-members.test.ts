import { join } from 'node:path';
import { type Assertions, test } from 'brittle';
import { type EtcdCoordination, openEtcd } from '../lib/coordination/etcd.js';
import { type EtcdAdministration, openEtcdAdministration } from '../lib/coordination/etcd-administration.js';
import { decodeEtcdRecord, ETCD_KEY, EtcdMembers } from '../lib/coordination/etcd-members.js';
import { EtcdOwnMember } from '../lib/coordination/etcd-own-member.js';
import { wipeEtcd } from '../lib/coordination/etcd-process.js';
import type { EtcdHost } from '../lib/coordination/etcd-wanted.js';
import { type TestCertificates, testCertificates } from './helpers/certificates.js';
import { temporaryDirectory, track } from './helpers/cleanup.js';
import { freePorts } from './helpers/etcd.js';
import { sleep, until } from './helpers/until.js';

const STEP_MS = 200;

interface TestHost extends EtcdHost {
  own: EtcdOwnMember;
  directory: string;
}

/** Hosts, each with what runs its member, and one that sees to the members of all. */
class TestHosts {
  readonly hosts: TestHost[] = [];
  readonly said: string[] = [];
  readonly #certificates: TestCertificates;
  readonly #root: string;
  readonly #t: Assertions;
  store!: EtcdCoordination;
  administration!: EtcdAdministration;

  constructor(t: Assertions, root: string) {
    this.#t = t;
    this.#root = root;
    this.#certificates = testCertificates(root);
  }

  async add(id: string): Promise<TestHost> {
    const directory = join(this.#root, id);
    const urls = await urlsOf();
    const say = (message: string) => this.said.push(`${id}: ${message}`);
    const own = new EtcdOwnMember({
      ...{ directory, say },
      administration: { remove: (member) => this.administration.remove(member) },
      member: { token: this.#root, tls: this.#certificates },
    });
    const host = { id, zone: id, isUp: true, ...urls, own, directory };
    this.hosts.push(host);
    this.#t.teardown(() => own.release().then(() => wipeEtcd(directory)), { order: 500, force: true });
    return host;
  }

  async begin(host: TestHost): Promise<void> {
    await host.own.begin(host);
    track(host.own.process!.pid!);
    const options = { endpoints: [host.clientUrl], tls: this.#certificates.pem };
    this.store = await until('etcd to answer', () => openEtcd(options).catch(() => null), 20_000);
    this.administration = openEtcdAdministration(options);
    this.#t.teardown(() => Promise.all([this.store.close(), this.administration.close()]), { order: -1 });
  }

  remove(host: TestHost): void {
    this.hosts.splice(this.hosts.indexOf(host), 1);
  }

  /** Steps, and has all hosts that are up follow, until there is nothing to do. Answers the steps taken. */
  async settle(): Promise<string[]> {
    const members = new EtcdMembers({
      coordination: this.store,
      administration: this.administration,
      hosts: () => this.hosts,
      say: () => {},
    });
    const steps: string[] = [];
    await until(
      'members as wanted',
      async () => {
        try {
          const step = await members.step();
          if (step.type === 'none') return true;
          if (step.type !== 'wait') steps.push(step.type === 'add' ? `add ${step.host}` : step.type);
          await this.#follow();
        } catch (error) {
          if ((error as { code?: string }).code !== 'UNAVAILABLE') throw error;
        }
        await sleep(STEP_MS);
        return false;
      },
      60_000,
    );
    await this.#follow();
    return steps;
  }

  async #follow(): Promise<void> {
    const members = await this.administration.members();
    for (const host of this.hosts) {
      if (!host.isUp) continue;
      await host.own.follow(host, members);
      if (host.own.process?.pid) track(host.own.process.pid);
    }
    const { members: wanted } = decodeEtcdRecord((await this.store.get(ETCD_KEY))!.value);
    const urls = wanted.map(({ clientUrl }) => clientUrl);
    this.store.setEndpoints(urls);
    this.administration.setEndpoints(urls);
  }

  async voters(): Promise<string[]> {
    const members = await this.administration.members();
    return members.flatMap(({ name, isLearner }) => (isLearner ? [] : [name])).sort();
  }

  async put(key: string): Promise<void> {
    await until(
      `${key} to be stored`,
      async () => {
        try {
          await this.store.transaction({ success: [{ put: key, value: Buffer.from('x') }] });
          return true;
        } catch (error) {
          if ((error as { code?: string }).code !== 'UNAVAILABLE') throw error;
          return false;
        }
      },
      30_000,
    );
  }
}

async function urlsOf(): Promise<{ peerUrl: string; clientUrl: string }> {
  const [peer, client] = await freePorts(2);
  return { peerUrl: `https://127.0.0.1:${peer}`, clientUrl: `https://127.0.0.1:${client}` };
}

test('one member becomes three, a host that is gone is replaced, one that moved is found', {
  timeout: 150_000,
}, async (t) => {
  const cluster = new TestHosts(t, await temporaryDirectory(t));
  const a = await cluster.add('a');
  await cluster.begin(a);
  await cluster.put('/one');
  const b = await cluster.add('b');
  t.alike(await cluster.settle(), [], 'two hosts: one member');
  t.alike(await cluster.voters(), ['a']);
  t.is(b.own.process, null);

  const c = await cluster.add('c');
  const steps = await cluster.settle();
  t.alike(
    steps.filter((step) => step !== 'promote'),
    ['add b', 'add c'],
  );
  t.alike(await cluster.voters(), ['a', 'b', 'c']);

  // Host a dies; the others go on.
  await a.own.stop();
  a.isUp = false;
  await cluster.put('/two');
  t.is(cluster.hosts.includes(a), true);
  await cluster.add('d');
  t.alike(await cluster.settle(), [], 'one that is down may come back');
  cluster.remove(a);
  t.alike(
    (await cluster.settle()).filter((step) => step !== 'promote'),
    ['remove', 'add d'],
  );
  t.alike(await cluster.voters(), ['b', 'c', 'd']);

  // Host b gets another address.
  Object.assign(b, await urlsOf());
  t.alike(await cluster.settle(), ['update']);
  await cluster.put('/three');
  await until(
    'b to answer at its new address',
    async () => {
      try {
        return (await cluster.administration.status(b.clientUrl)).leader !== '0';
      } catch {
        return false;
      }
    },
    20_000,
  );

  // Host c loses its data, and gets it anew.
  await c.own.stop();
  await wipeEtcd(c.directory);
  t.alike(
    (await cluster.settle()).filter((step) => step !== 'promote' && step !== 'remove'),
    [],
    'not noticed as long as it does not answer',
  );
  await until(
    'c to be given its data anew',
    async () => {
      await cluster.settle();
      return (await cluster.voters()).join() === 'b,c,d' && c.own.process !== null;
    },
    60_000,
  );
  await cluster.put('/four');
  t.alike(
    (await cluster.store.range('')).map(({ key }) => key),
    ['/etcd', '/four', '/one', '/three', '/two'],
  );
});

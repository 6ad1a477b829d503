import { readFileSync, rmSync } from 'node:fs';
import { readAllDisks } from '../cluster/all-disks.js';
import type { Clock } from '../cluster/clock.js';
import { readDown } from '../cluster/down-hosts.js';
import { HostClock } from '../cluster/host-clock.js';
import type { HostsWatch } from '../cluster/hosts-watch.js';
import { NEXT_MAP_DEFAULTS } from '../cluster/observation.js';
import { PatientCoordination } from '../cluster/patient-coordination.js';
import { PGS_DEFAULT } from '../cluster/placement.js';
import { type Configuration, parseConfiguration } from '../control/configuration.js';
import { OperationMetrics } from '../control/operation-metrics.js';
import type { Works } from '../control/works.js';
import type { Coordination } from '../coordination/coordination.js';
import { whereStoreIs } from '../coordination/move-to-etcd.js';
import { Directory } from '../filesystem/directory.js';
import { Filesystem } from '../filesystem/filesystem.js';
import { Handles } from '../filesystem/handles.js';
import { type LockBreaker, Locks } from '../filesystem/locks.js';
import { prepareMountPoint } from '../fuse/mount.js';
import { mountNative } from '../fuse/native.js';
import type { Operations } from '../fuse/operations.js';
import { type Negotiated, Session } from '../fuse/session.js';
import { FamilyWatch } from '../vdi/family-watch.js';
import { OpenImages } from '../vdi/open-images.js';
import { Vdis } from '../vdi/vdis.js';
import type { DaemonAdministration, DaemonAdministrationOptions } from './administration.js';
import { ClusterStatus } from './cluster-status.js';
import { HostDisks } from './disks.js';
import { REPORTED_OPENS_MAX } from './host-report.js';
import { HostReports } from './host-reports.js';
import { type Logger, makeLogger } from './log.js';
import { LOCAL_STORE, LoneMembership, type MembershipContext } from './lone-membership.js';
import type { Membership } from './membership.js';
import { DEVICE_FD, POLL_FD } from './messages.js';
import { NodeAdministration } from './node-administration.js';
import { StateDirectory } from './state.js';
import { etcdDirectory } from './store-member.js';
import { MountRefused, SupervisorLink } from './supervisor-link.js';
import { Tokens } from './tokens.js';
import { VERSION } from './version.js';

/** For an answer of the control socket to be on its way. */
const RESTART_DELAY_MS = 50;
/** Of each part; in a cluster the longest wait is for hosts to be called down. */
const CLOSE_MS_MAX = 30_000;

/** A mount that is being served, whichever backend serves it. */
interface Served {
  /** Resolves when the mount has gone by itself. */
  closed: Promise<void>;
  unmount: () => Promise<void>;
}

/**
 * The worker: opens everything from the state directory up, serves the mount, and lets go of it all in the opposite
 * order. It keeps nothing in memory that the next worker would need.
 */
class Worker {
  readonly #configuration: Configuration;
  readonly #link: SupervisorLink;
  readonly #log: Logger;
  readonly #trace: ((line: string) => void) | undefined;
  /** What was opened, to be closed last first. */
  readonly #opened: { name: string; close: () => unknown }[] = [];
  /** What this start has made and takes back if it is refused after all. */
  readonly #undo: (() => void)[] = [];
  readonly #operations = new Map<string, OperationMetrics>();
  /** Whether what guests have open outlives this process: the kernel sends again what was in flight. */
  #isResumable = false;
  #isRestarting = false;
  #administration: DaemonAdministration | null = null;
  #served: Served | null = null;
  #openFiles = () => 0;
  #stopping: Promise<void> | null = null;

  constructor(configuration: Configuration, link: SupervisorLink) {
    this.#configuration = configuration;
    this.#link = link;
    const { log, trace } = makeLogger();
    this.#log = log;
    this.#trace = trace;
  }

  async run(): Promise<void> {
    const configuration = this.#configuration;
    const kernel = configuration.fuse === 'kernel';
    if (kernel && process.getuid?.() !== 0) {
      throw new MountRefused('mounting needs root: run sheep as root, or with --fuse native');
    }
    const mountPoint = await this.#prepareMountPoint();
    const state = this.#keep('state', StateDirectory.open(configuration.state, configuration.join !== null));
    this.#undo.push(() => state.undo());
    if (configuration.join !== null || state.identity.joining) {
      const { joinUnlessDone } = await import('./joining.js');
      this.#link.onStop(() => void this.giveUp().finally(() => process.exit(0)));
      await joinUnlessDone(state, configuration, this.#log);
    }
    const clock = new HostClock();
    const membership = this.#keep('membership', await this.#openMembership(state, clock));
    const { network, hosts } = membership;
    const isAlone = network === null;
    const handles = this.#keep('handles', new Handles(state.directory('handles'), bootId()));
    this.#openFiles = () => handles.size;
    // Guests wait for a store that does not answer; the heartbeat does not.
    const coordination = isAlone ? membership.coordination : new PatientCoordination(membership.coordination, clock);
    // Before any disk is looked at: what is deleted of it, or merged, goes by the families.
    const families = this.#keep('families', new FamilyWatch(coordination));
    await families.open();
    const disks = this.#keep(
      'disks',
      await HostDisks.open({
        ...{ state, coordination: membership.coordination, clock, hosts, network, layers: families, bootId: bootId() },
        ...{ directories: configuration.disk, tolerant: this.#link.isRestart, log: this.#log },
        ...{ name: configuration.name, zone: configuration.zone, copies: configuration.copies },
        written: async () => membership.shutdown?.written(),
      }),
    );
    const host = state.identity.host;
    const reports = this.#keep('reports', this.#reports({ host, coordination, clock, handles, disks, isAlone }));
    const toMove = () => disks.cluster.toMove;
    const cluster = new ClusterStatus({ host, hosts, reports, map: () => disks.cluster.map, toMove });
    const isOpen = (id: number) => handles.opens(id) > 0;
    const vdis = this.#keep(
      'images',
      new Vdis({
        ...{ coordination, host, families, clock },
        objects: disks.cluster.replica,
        allDisks: () => readAllDisks(coordination),
        isOpen,
        opens: isAlone ? null : new OpenImages({ coordination, clock, host, isOpen }),
        onError: (error, family) =>
          this.#log.error(`cleaning up family ${family} failed, will be tried again: ${error}`),
      }),
    );
    const breaker: LockBreaker = {
      down: (hosts) => readDown(coordination, hosts),
      endHandles: (vdi, hosts, change) => vdis.endHandles(vdi, hosts, change),
    };
    const locks = new Locks(coordination, host, breaker, clock);
    const directory = await Directory.open(coordination, !isAlone);
    const { copies } = configuration;
    const space = () => (isAlone ? disks.space() : cluster.space(copies));
    const filesystem = new Filesystem({ vdis, handles, locks, directory, mountPoint, copies, space });

    const serving = disks.start();
    const nodes = (works: Works) => {
      return new NodeAdministration({
        ...{ coordination: membership.coordination, clock, hosts, works, pgs: PGS_DEFAULT },
        ...{ ttlMs: NEXT_MAP_DEFAULTS.ttlMs, map: () => disks.cluster.map, nextMap: () => disks.cluster.nextChange() },
        keepsStore: (id) => membership.keepsStore(id),
        images: () => vdis.images(),
      });
    };
    const tokens = new Tokens(membership.tokens);
    const onShutdown = async () => (membership.shutdown ? membership.shutdown.ask() : void this.stop());
    const parts = { onShutdown, configuration, state, vdis, disks, cluster, nodes, tokens };
    const openControl = () => this.#openControl(parts);
    // A start that is to be refused is refused before anything is mounted; a restart serves those who wait first.
    if (!this.#link.isRestart) await openControl();

    const { resume } = kernel ? await this.#link.mount(mountPoint) : { resume: null };
    if (resume === null) {
      // A new mount: nothing that an earlier one had open, locked or asked for means anything now.
      handles.clear();
      await locks.dropAllOf(host);
      await vdis.catalog.forgetRequests();
    }
    await serving;
    membership.serve({ map: () => disks.cluster.map, conducts: () => disks.cluster.conducts });
    await reports.open();
    await vdis.start();
    this.#served = kernel
      ? this.#serveKernel(filesystem, mountPoint, resume)
      : await this.#serveNative(filesystem, mountPoint);
    this.#undo.length = 0;
    if (this.#link.isRestart) await openControl();
    this.#administration?.resume();
    membership.shutdown?.onAsked(() => void this.stop());
    if (!isAlone) hosts.onChange(() => this.#stopWhereRemoved(hosts, host));
    this.#link.onStop(() => void this.stop());
    this.#link.onLost(() => {
      if (!this.#stopping) {
        this.#log.error(
          `the supervisor died; guests go on, but nothing starts this worker again: end it (kill ${process.pid}) and start sheep anew when no guest runs`,
        );
      }
    });
    this.#link.ready();
    this.#log.info(`ready${resume === null ? '' : ' again'}: images are in ${mountPoint}`);
    await this.#served.closed;
    if (!this.#isRestarting) await this.stop();
  }

  async #openMembership(state: StateDirectory, clock: Clock): Promise<Membership> {
    const context: MembershipContext = {
      ...{ state, clock, configuration: this.#configuration, log: this.#log, link: this.#link },
      mayRestart: () => this.#isResumable || this.#openFiles() === 0,
      restartSoon: () => setTimeout(() => void this.#restart(), RESTART_DELAY_MS),
    };
    // A process that has moved what is agreed on may have died before it could say so here.
    if (!state.isShared && (await whereStoreIs(state.directory(LOCAL_STORE), etcdDirectory(state))) === 'etcd') {
      state.setShared(state.identity.cluster);
    }
    if (!state.isShared) return LoneMembership.open(context);
    // A host alone has no use for all that it takes.
    const { SharedMembership } = await import('./shared-membership.js');
    return SharedMembership.open(context);
  }

  #reports(parts: {
    host: string;
    coordination: Coordination;
    clock: Clock;
    handles: Handles;
    disks: HostDisks;
    isAlone: boolean;
  }): HostReports {
    const { handles, disks, ...options } = parts;
    return new HostReports({
      ...options,
      own: () => ({
        ...{ version: VERSION, mount: this.#configuration.mount, disks: disks.status(), space: disks.space() },
        recovery: disks.cluster.replica.recovery,
        opens: handles.openImages(REPORTED_OPENS_MAX),
      }),
      opens: (vdi) => handles.opens(vdi),
      failed: (error) => this.#log.debug(`what this host tells of itself was not stored: ${error}`),
    });
  }

  // Loaded here, not with this module: it is a fifth of all that a worker loads, and a restart has no time for it.
  async #openControl(parts: Omit<DaemonAdministrationOptions, 'onDefect'>): Promise<void> {
    const [{ DaemonAdministration }, { ControlServer }, { Metrics }] = await Promise.all([
      import('./administration.js'),
      import('../control/server.js'),
      import('../control/metrics.js'),
    ]);
    const administration = new DaemonAdministration({
      ...parts,
      onDefect: (error) => this.#log.error(error as Error, 'defect'),
    });
    this.#administration = this.#keep('administration', administration);
    const metrics = new Metrics(this.#operations);
    metrics.workerRestarts = this.#link.restarts;
    const control = await ControlServer.open({
      path: this.#configuration.control,
      administration,
      metrics,
      onDefect: (error) => this.#log.error(error as Error, 'defect in the control socket'),
    });
    // Closed last: who asked the daemon to end takes the end of its socket for that.
    this.#opened.unshift({ name: 'control socket', close: () => control.close() });
  }

  async #restart(): Promise<void> {
    // What libfuse has mounted ends with this process, but not at once.
    this.#isRestarting = true;
    if (this.#configuration.fuse === 'native') await this.#served?.unmount();
    this.#link.restart();
  }

  /** Its admission has ended, and with it all that its guests could do. */
  #stopWhereRemoved(hosts: HostsWatch, host: string): void {
    if (hosts.get(host) || this.#stopping) return;
    this.#log.error('this host was removed from its cluster: it ends');
    void this.stop();
  }

  /** Ends everything in order and then the process. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#log.info('stopping');
    await this.#served?.unmount();
    const failed = !(await this.closeAll());
    this.#log.info('stopped');
    process.exit(failed ? 1 : 0);
  }

  /** Closes what was opened, last first; answers whether all of it went well. */
  async closeAll(): Promise<boolean> {
    let well = true;
    for (const { name, close } of this.#opened.reverse()) {
      try {
        await this.#inTime(name, close);
      } catch (error) {
        well = false;
        this.#log.error(`closing ${name}: ${error instanceof Error ? error.message : error}`);
      }
    }
    this.#opened.length = 0;
    return well;
  }

  /** What other hosts have to do with may never end: then it is left as after a crash. */
  async #inTime(name: string, close: () => unknown): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`it has not ended within ${CLOSE_MS_MAX / 1000} s`)), CLOSE_MS_MAX);
    });
    try {
      await Promise.race([close(), late]);
    } finally {
      clearTimeout(timer);
      this.#log.debug(`closed ${name}`);
    }
  }

  /** Ends a start that is refused: everything is as it was before. */
  async giveUp(): Promise<void> {
    await this.closeAll();
    for (const undo of this.#undo.reverse()) undo();
  }

  async #prepareMountPoint(): Promise<string> {
    const { mount } = this.#configuration;
    // After a restart of the worker the mount is there already, and must not be looked at: nobody would answer.
    if (this.#link.isRestart) return mount;
    const { path, made } = await prepareMountPoint(mount);
    if (made !== undefined) this.#undo.push(() => rmSync(made, { recursive: true }));
    return path;
  }

  #serveKernel(operations: Operations, mountPoint: string, resume: Negotiated | null): Served {
    this.#isResumable = resume?.resend ?? false;
    const session = new Session({
      device: DEVICE_FD,
      pollDevice: POLL_FD,
      operations,
      resume,
      onNegotiated: (negotiated) => {
        this.#isResumable = negotiated.resend;
        this.#link.negotiated(negotiated);
      },
      onDefect: (error, request) => this.#log.error(error as Error, `defect while serving ${request}`),
      meter: (request) => {
        const meter = new OperationMetrics();
        this.#operations.set(request.toLowerCase(), meter);
        return meter;
      },
      trace: this.#trace,
    });
    session.start();
    const unmount = async () => {
      if (await this.#link.unmount(mountPoint)) this.#log.warn('files were open when the mount was taken away');
    };
    return { closed: session.closed, unmount };
  }

  async #serveNative(operations: Operations, path: string): Promise<Served> {
    const onDefect = (error: unknown, request: string) =>
      this.#log.error(error as Error, `defect while serving ${request}`);
    const mount = await mountNative(path, operations, { onDefect });
    return { closed: mount.closed, unmount: () => mount.unmount() };
  }

  #keep<Resource extends { close(): unknown }>(name: string, resource: Resource): Resource {
    this.#opened.push({ name, close: () => resource.close() });
    return resource;
  }
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

const link = new SupervisorLink();
const configuration = parseConfiguration(process.argv.slice(2));
const worker = new Worker(configuration, link);
worker.run().catch(async (error) => {
  process.stderr.write(`sheep: ${error instanceof Error ? error.message : error}\n`);
  await worker.giveUp();
  process.exit(1);
});

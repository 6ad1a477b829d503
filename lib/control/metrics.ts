import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { DiskRecovery, DiskStatus, RecoveryStatus, Status } from './administration.js';
import { LATENCY_BOUNDS, OperationMetrics } from './operation-metrics.js';

/** What Prometheus is told. Everything is counted as plain numbers and put in order only when it is asked for. */
export class Metrics {
  /** How often the worker was started again; whoever knows sets it. */
  workerRestarts = 0;
  readonly contentType: string;
  private readonly operations: Map<string, OperationMetrics>;
  private readonly registry = new Registry();
  private status: Status | null = null;
  private recovery: RecoveryStatus | null = null;

  /** `operations` are counters that were kept before there was this object. */
  constructor(operations = new Map<string, OperationMetrics>()) {
    this.operations = operations;
    this.contentType = this.registry.contentType;
    this.defineRequests();
    this.defineCluster();
    this.defineHosts();
    this.defineDisks();
    this.defineRecovery();
    this.defineProcess();
  }

  /** The counters of one kind of request, to be asked for once and kept. */
  operation(name: string): OperationMetrics {
    let operation = this.operations.get(name);
    if (!operation) {
      operation = new OperationMetrics();
      this.operations.set(name, operation);
    }
    return operation;
  }

  /** Everything in Prometheus' text format. What comes of a status that is not there is left out. */
  async render(status: Status | null, recovery: RecoveryStatus | null): Promise<string> {
    this.status = status;
    this.recovery = recovery;
    return this.registry.metrics();
  }

  private defineRequests(): void {
    const labelNames = ['operation'];
    const perOperation = (value: (operation: OperationMetrics) => number) =>
      [...this.operations].map(([operation, metrics]): Sample => ({ labels: { operation }, value: value(metrics) }));
    this.counter('sheepdog_requests_total', 'Requests of guests that were answered', labelNames, () =>
      perOperation((operation) => operation.count),
    );
    this.counter('sheepdog_request_errors_total', 'Those that were answered with an error', labelNames, () =>
      perOperation((operation) => operation.errors),
    );
    this.counter('sheepdog_request_bytes_total', 'Bytes that they read or wrote', labelNames, () =>
      perOperation((operation) => operation.bytes),
    );
    new OperationHistogram(this.registry, this.operations);
    this.counter('sheepdog_worker_restarts_total', 'Times that the worker was started again', [], () => [
      { labels: {}, value: this.workerRestarts },
    ]);
  }

  private defineCluster(): void {
    const gauge = (name: string, help: string, value: (status: Status) => number) =>
      this.gauge(name, help, [], () => (this.status ? [{ labels: {}, value: value(this.status) }] : []));
    gauge('sheepdog_healthy', '1 when nothing is missing and every copy in sync', (status) => Number(status.healthy));
    gauge('sheepdog_vdis', 'Images', (status) => status.vdis);
    gauge('sheepdog_capacity_bytes', 'Size of all disks that work', (status) => status.capacity.size);
    gauge('sheepdog_capacity_used_bytes', 'Of it, in use', (status) => status.capacity.used);
    gauge('sheepdog_groups', 'Placement groups', (status) => status.groups.total);
    gauge('sheepdog_groups_healthy', 'Groups with every copy in sync', (status) => status.groups.healthy);
    gauge('sheepdog_groups_moving', 'Groups on their way to another disk', (status) => status.groups.moving);
    gauge('sheepdog_groups_degraded', 'Served groups with too few copies', (status) => status.groups.degraded);
    gauge('sheepdog_groups_single', 'Of those, groups with a single copy', (status) => status.groups.single);
    gauge('sheepdog_groups_stopped', 'Groups that guests wait for', (status) => status.groups.stopped);
    gauge('sheepdog_recovery_active', '1 while data is moved', (status) => Number(status.recovery.active));
    this.gauge('sheepdog_info', 'Always 1', ['version'], () =>
      this.status ? [{ labels: { version: this.status.version }, value: 1 }] : [],
    );
  }

  private defineHosts(): void {
    this.gauge('sheepdog_host_up', '1 when the host is there', ['host', 'zone'], () =>
      (this.status?.hosts ?? []).map(({ name, zone, state }) => ({
        labels: { host: name, zone },
        value: Number(state !== 'down'),
      })),
    );
  }

  private defineDisks(): void {
    const gauge = (name: string, help: string, value: (disk: DiskStatus) => number) =>
      this.gauge(name, help, ['host', 'disk', 'directory'], () =>
        (this.status?.hosts ?? []).flatMap((host) =>
          host.disks.map((disk) => ({
            labels: { host: host.name, disk: String(disk.number), directory: disk.directory },
            value: value(disk),
          })),
        ),
      );
    gauge('sheepdog_disk_size_bytes', "Size of a disk's file system", (disk) => disk.size);
    gauge('sheepdog_disk_used_bytes', 'Of it, in use', (disk) => disk.used);
    gauge('sheepdog_disk_failed', '1 when the disk is out of use', (disk) => Number(disk.state === 'failed'));
  }

  private defineRecovery(): void {
    const labelNames = ['host', 'disk'];
    const perDisk = (value: (disk: DiskRecovery) => number) => () =>
      (this.recovery?.disks ?? []).map((disk): Sample => {
        return { labels: { host: disk.host, disk: String(disk.disk) }, value: value(disk) };
      });
    const gauge = (name: string, help: string, value: (disk: DiskRecovery) => number) =>
      this.gauge(name, help, labelNames, perDisk(value));
    gauge('sheepdog_recovery_groups_left', 'Groups that a disk has still to complete', (disk) => disk.groups);
    gauge('sheepdog_recovery_objects_left', 'Objects of them, as far as known', (disk) => disk.objectsLeft);
    const bytes = perDisk((disk) => disk.bytesDone);
    this.counter('sheepdog_recovery_bytes_total', 'Bytes that a disk which catches up has got', labelNames, bytes);
  }

  private defineProcess(): void {
    this.gauge('process_resident_memory_bytes', 'Memory of the worker that is resident', [], () => [
      { labels: {}, value: process.memoryUsage.rss() },
    ]);
    this.gauge('sheepdog_heap_bytes', 'Memory of the worker by kind', ['kind'], () => {
      const memory = process.memoryUsage();
      return [
        { labels: { kind: 'heap' }, value: memory.heapUsed },
        { labels: { kind: 'external' }, value: memory.external },
      ];
    });
    this.counter('process_cpu_seconds_total', 'CPU time of the worker', [], () => {
      const { user, system } = process.cpuUsage();
      return [{ labels: {}, value: (user + system) / 1_000_000 }];
    });
    this.gauge('process_start_time_seconds', 'When the worker was started, since 1970', [], () => [
      { labels: {}, value: performance.timeOrigin / 1000 },
    ]);
  }

  private counter(name: string, help: string, labelNames: string[], samples: () => Sample[]): void {
    const counter = new Counter({
      name,
      help,
      labelNames,
      registers: [this.registry],
      collect: () => {
        counter.reset();
        for (const { labels, value } of samples()) counter.inc(labels, value);
      },
    });
  }

  private gauge(name: string, help: string, labelNames: string[], samples: () => Sample[]): void {
    const gauge = new Gauge({
      name,
      help,
      labelNames,
      registers: [this.registry],
      collect: () => {
        gauge.reset();
        const all = samples();
        // Without labels there is a 0 from the start, which would be a lie where there is no sample.
        if (all.length === 0 && labelNames.length === 0) gauge.remove();
        for (const { labels, value } of all) gauge.set(labels, value);
      },
    });
  }
}

interface Sample {
  labels: Record<string, string>;
  value: number;
}

const NAME = 'sheepdog_request_seconds';
const HELP = 'Time from the arrival of a request to its answer';

/** Latencies, out of counts that are kept elsewhere; prom-client's own can only be observed one by one. */
class OperationHistogram extends Histogram {
  private readonly operations: ReadonlyMap<string, OperationMetrics>;

  constructor(registry: Registry, operations: ReadonlyMap<string, OperationMetrics>) {
    super({
      name: NAME,
      help: HELP,
      labelNames: ['operation'],
      buckets: [...LATENCY_BOUNDS],
      registers: [registry],
    });
    this.operations = operations;
  }

  /** What the registry calls for its text, and `get` too. */
  async getForPromString() {
    const values = [...this.operations].flatMap(([operation, metrics]) => samples(operation, metrics));
    return { name: NAME, help: HELP, type: 'histogram', values, aggregator: 'sum' };
  }
}

function samples(operation: string, metrics: OperationMetrics) {
  let count = 0;
  const buckets = [...LATENCY_BOUNDS, '+Inf'].map((le, index) => {
    count += metrics.buckets[index]!;
    return { metricName: `${NAME}_bucket`, labels: { operation, le }, value: count };
  });
  return [
    ...buckets,
    { metricName: `${NAME}_sum`, labels: { operation }, value: metrics.secondsSum },
    { metricName: `${NAME}_count`, labels: { operation }, value: count },
  ];
}

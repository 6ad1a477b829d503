import Table from 'cli-table3';
import type { ImageTimes } from './images.js';
import { median, type Sample } from './measure.js';
import type { Workload } from './workloads.js';

export interface TargetReport {
  title: string;
  /** Samples of each workload, one a round. */
  samples: Record<string, Sample[]>;
  peakMemoryBytes: number | null;
  images: ImageTimes | null;
}

export interface Report {
  startedAt: string;
  machine: { kernel: string; cpus: number; cpu: string; memoryBytes: number; node: string; qemu: string; fio: string };
  settings: { seconds: number; rounds: number; bytes: number; directory: string };
  /** The target that others are compared with. */
  reference: string;
  targets: Record<string, TargetReport>;
}

/** The report as tables for a terminal. */
export function formatReport(report: Report, workloads: readonly Workload[]): string {
  const names = Object.keys(report.targets);
  const reference = report.targets[report.reference];
  const head = ['', ...names.map((name) => report.targets[name]!.title)];

  const rates = newTable(head);
  const cpu = newTable(head);
  for (const workload of workloads) {
    const rate = (target: TargetReport | undefined) => middle(target, workload.name, (sample) => sample[workload.unit]);
    const base = rate(reference);
    const row = names.map((name) => {
      const value = rate(report.targets[name]);
      if (value === null) return '-';
      const ratio = base === null || name === report.reference ? '' : `  ${(value / base).toFixed(2)}x`;
      return `${formatRate(value, workload.unit)}${ratio}`;
    });
    rates.push([workload.title, ...row]);
    const seconds = names.map((name) =>
      middle(report.targets[name], workload.name, (sample) => sample.cpuSecondsPerGib),
    );
    cpu.push([workload.title, ...seconds.map((value) => (value === null ? '-' : value.toFixed(2)))]);
  }
  cpu.push(['peak memory, MiB', ...names.map((name) => formatMebibytes(report.targets[name]!.peakMemoryBytes))]);

  const { seconds, rounds, bytes, directory } = report.settings;
  const title = `Median of ${rounds} times ${seconds} s, image of ${bytes / 1024 ** 2} MiB in ${directory}`;
  const lines = [title, '', `Rate, and ratio to ${reference?.title ?? report.reference}:`, rates.toString()];
  lines.push('', 'CPU seconds of the serving processes per GiB:', cpu.toString());
  const images = formatImages(report, names);
  if (images) lines.push('', 'Milliseconds:', images);
  return `${lines.join('\n')}\n`;
}

function formatImages(report: Report, names: readonly string[]): string | null {
  const measured = names.filter((name) => report.targets[name]!.images);
  if (measured.length === 0) return null;
  const table = newTable(['', ...measured.map((name) => report.targets[name]!.title)]);
  for (const step of Object.keys(report.targets[measured[0]!]!.images!)) {
    table.push([step, ...measured.map((name) => report.targets[name]!.images![step]!.toFixed(0))]);
  }
  return table.toString();
}

function newTable(head: string[]) {
  const colAligns = head.map((_, column) => (column === 0 ? ('left' as const) : ('right' as const)));
  return new Table({ head, colAligns, style: { head: [], border: [], compact: true } });
}

function middle(
  target: TargetReport | undefined,
  name: string,
  value: (sample: Sample) => number | null,
): number | null {
  const values = (target?.samples[name] ?? []).map(value).filter((number) => number !== null);
  return values.length === 0 ? null : median(values);
}

function formatRate(value: number, unit: Workload['unit']): string {
  return unit === 'iops' ? `${Math.round(value).toLocaleString('en')}/s` : `${(value / 1e6).toFixed(0)} MB/s`;
}

function formatMebibytes(bytes: number | null): string {
  return bytes === null ? '-' : (bytes / 1024 ** 2).toFixed(0);
}

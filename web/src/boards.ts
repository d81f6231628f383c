// What the overview draws: for a service under tuning, the host and ALL-USE itself, which
// expressions make which chart.

import { type Unit, unitOf } from "./format";
import { metricsOf, withWindow } from "./promql";
import type { Target } from "./wire";

export interface Query {
  expr: string;
  /** For the legend. */
  name?: string;
}

export interface Panel {
  title: string;
  note?: string;
  unit: Unit;
  stack?: boolean;
  /** Takes two columns: it has many lines to tell apart. */
  wide?: boolean;
  queries: Query[];
  /** What it is drawn from, named where it is absent. */
  metrics: string[];
}

export interface Board {
  title: string;
  note: string;
  /** Whether it is about the service. */
  target?: boolean;
  panels: Panel[];
}

export function boardQueries(boards: Board[]): string[] {
  return boards.flatMap((b) => b.panels.flatMap((p) => p.queries.map((q) => q.expr)));
}

const mean = (metric: string, match: string, w: string) => `sum(rate(${metric}_sum${match}[${w}])) / sum(rate(${metric}_count${match}[${w}]))`;
const quantile = (q: number, metric: string, match: string, w: string) => `histogram_quantile(${q}, sum by (le) (rate(${metric}_bucket${match}[${w}])))`;

/** A service as its client sees it, and as it sees itself. */
export function targetBoard(target: Target, w: string): Board {
  const job = `{job=${JSON.stringify(target.name)}}`;
  const panels = target.name === "ledger" ? ledgerPanels(w) : [objectivePanel(target, w)];
  return {
    title: target.name,
    note: `${target.objective.goal} ${target.objective.name}`,
    target: true,
    panels: [...panels, processCpu(job, w), processMemory(job)],
  };
}

/** What is optimized, for a service of which nothing more is known. */
function objectivePanel({ objective }: Target, w: string): Panel {
  const expr = withWindow(objective.query, w);
  return { title: objective.name, unit: unitOf(objective.unit), queries: [{ expr, name: "value" }], metrics: metricsOf(expr) };
}

/** The ledger that comes with ALL-USE, and the client that drives it. */
function ledgerPanels(w: string): Panel[] {
  const transfer = '{op="transfer"}';
  const transaction = '{op="transaction"}';
  return [
      {
        title: "Requests answered",
        note: "by operation",
        unit: "per second",
        stack: true,
        queries: [{ expr: `sum by (op) (rate(load_requests_total{code="2xx"}[${w}]))` }],
        metrics: ["load_requests_total"],
      },
      {
        title: "Transfer latency",
        note: "from intended start",
        unit: "seconds",
        queries: [
          { expr: mean("load_request_duration_seconds", transfer, w), name: "mean" },
          { expr: quantile(0.99, "load_request_duration_seconds", transfer, w), name: "p99" },
        ],
        metrics: ["load_request_duration_seconds"],
      },
      {
        title: "Time in the service",
        note: "transactions, queue included",
        unit: "seconds",
        queries: [
          { expr: mean("ledger_operation_duration_seconds", transaction, w), name: "mean" },
          { expr: quantile(0.99, "ledger_operation_duration_seconds", transaction, w), name: "p99" },
        ],
        metrics: ["ledger_operation_duration_seconds"],
      },
      {
        title: "Commit group",
        note: "transactions a synced commit",
        unit: "count",
        queries: [{ expr: mean("ledger_commit_group_size", "", w), name: "mean" }],
        metrics: ["ledger_commit_group_size"],
      },
      {
        title: "Writer",
        note: "mean time a transaction waits, a commit takes",
        unit: "seconds",
        queries: [
          { expr: mean("ledger_writer_queue_wait_seconds", "", w), name: "wait" },
          { expr: mean("ledger_commit_duration_seconds", "", w), name: "commit" },
        ],
        metrics: ["ledger_writer_queue_wait_seconds", "ledger_commit_duration_seconds"],
      },
      {
        title: "Failed requests",
        note: "by outcome",
        unit: "per second",
        queries: [{ expr: `sum by (code) (rate(load_requests_total{code!="2xx"}[${w}]))` }],
        metrics: ["load_requests_total"],
      },
  ];
}

function processCpu(match: string, w: string): Panel {
  return {
    title: "CPU",
    note: "of one core",
    unit: "share",
    queries: [{ expr: `sum(rate(process_cpu_seconds_total${match}[${w}]))`, name: "used" }],
    metrics: ["process_cpu_seconds_total"],
  };
}

function processMemory(match: string): Panel {
  return {
    title: "Memory",
    unit: "bytes",
    queries: [{ expr: `sum(process_resident_memory_bytes${match})`, name: "resident" }],
    metrics: ["process_resident_memory_bytes"],
  };
}

/** This machine, after node_exporter's names. */
export function hostBoard(w: string): Board {
  const pressure = (what: string) => `rate(node_pressure_${what}_waiting_seconds_total[${w}])`;
  return {
    title: "Host",
    note: "sampled each second",
    panels: [
      {
        title: "CPU by mode",
        note: "cores busy",
        unit: "cores",
        stack: true,
        wide: true,
        queries: [{ expr: `sum by (mode) (rate(node_cpu_seconds_total{mode!="idle"}[${w}]))` }],
        metrics: ["node_cpu_seconds_total"],
      },
      {
        title: "Load",
        note: "runnable tasks, averaged",
        unit: "count",
        queries: [
          { expr: "node_load1", name: "1 min" },
          { expr: "node_load5", name: "5 min" },
        ],
        metrics: ["node_load1", "node_load5"],
      },
      {
        title: "Memory",
        note: "in use",
        unit: "bytes",
        stack: true,
        queries: [
          { expr: "node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes", name: "used" },
          { expr: "node_memory_Cached_bytes + node_memory_Buffers_bytes", name: "page cache" },
        ],
        metrics: ["node_memory_MemTotal_bytes", "node_memory_MemAvailable_bytes", "node_memory_Cached_bytes"],
      },
      {
        title: "Disk throughput",
        unit: "bytes/s",
        queries: [
          { expr: `sum(rate(node_disk_read_bytes_total[${w}]))`, name: "read" },
          { expr: `sum(rate(node_disk_written_bytes_total[${w}]))`, name: "written" },
        ],
        metrics: ["node_disk_read_bytes_total", "node_disk_written_bytes_total"],
      },
      {
        title: "Disk busy",
        note: "share of time",
        unit: "share",
        queries: [{ expr: `sum by (device) (rate(node_disk_io_time_seconds_total[${w}]))` }],
        metrics: ["node_disk_io_time_seconds_total"],
      },
      {
        title: "Network",
        note: "without loopback",
        unit: "bytes/s",
        queries: [
          { expr: `sum(rate(node_network_receive_bytes_total{device!="lo"}[${w}]))`, name: "in" },
          { expr: `sum(rate(node_network_transmit_bytes_total{device!="lo"}[${w}]))`, name: "out" },
        ],
        metrics: ["node_network_receive_bytes_total", "node_network_transmit_bytes_total"],
      },
      {
        title: "Pressure",
        note: "share of time some task waits",
        unit: "share",
        queries: [
          { expr: pressure("cpu"), name: "CPU" },
          { expr: pressure("io"), name: "I/O" },
          { expr: pressure("memory"), name: "memory" },
        ],
        metrics: ["node_pressure_cpu_waiting_seconds_total", "node_pressure_io_waiting_seconds_total", "node_pressure_memory_waiting_seconds_total"],
      },
    ],
  };
}

/** What watching costs. */
export function alluseBoard(w: string): Board {
  const job = '{job="alluse"}';
  return {
    title: "ALL-USE itself",
    note: "what watching and tuning cost",
    panels: [
      processCpu(job, w),
      processMemory(job),
      {
        title: "Samples stored",
        unit: "per second",
        queries: [{ expr: `sum(rate(alluse_ingested_samples_total[${w}]))`, name: "ingested" }],
        metrics: ["alluse_ingested_samples_total"],
      },
      {
        title: "Turn of the loop",
        note: "mean time",
        unit: "seconds",
        queries: [{ expr: mean("alluse_loop_turn_seconds", "", w), name: "mean" }],
        metrics: ["alluse_loop_turn_seconds"],
      },
    ],
  };
}

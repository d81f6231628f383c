// The JSON of the loop's API, mirrored from crates/wire (control.rs, live.rs, knobs.rs).

export type TrustLevel = "recommend" | "approve" | "autonomous";

export type Value = boolean | number | string;

export interface Effect {
  /** Relative change of the objective: -0.2 is 20 % lower. */
  estimate: number;
  /** Absent when unbounded. */
  low: number | null;
  high: number | null;
  /** Coverage of the interval at any stopping time. */
  level: number;
}

export interface Running {
  change: number;
  /** `baseline` or `variant`: what is in force. */
  arm: string | null;
  pairs: number;
  pairs_max: number;
  e_value: number;
  effect: Effect | null;
}

export interface Status {
  version: string;
  now_ms: number;
  started_ms: number;
  trust: TrustLevel;
  /** Why everything is frozen, when it is: who pressed. */
  red_button: string | null;
  /** `healthy` or `disk_full`. */
  store: string;
  series: number;
  samples: number;
  running: Running | null;
  changes: Record<string, number>;
}

export type Domain =
  | { kind: "int" | "float"; min: number; max: number; log: boolean }
  | { kind: "bool" }
  | { kind: "choice"; choices: string[]; ordered: boolean };

export interface Knob {
  name: string;
  help: string;
  unit: string;
  domain: Domain;
  default: Value;
  baseline: Value;
  value: Value;
  /** Largest step of a live change, share of the range on its scale, 0 to 1. */
  max_step: number;
  apply: "free" | "settles" | "restart";
}

export interface Objective {
  name: string;
  /** PromQL; `$window` stands for the length of a measured window. */
  query: string;
  goal: "minimize" | "maximize";
  unit: string;
}

export interface Guard {
  name: string;
  query: string;
  bound: "at_most" | "at_least";
  value: number;
  last: number | null;
}

export interface Target {
  name: string;
  url: string;
  up: boolean;
  frozen: string | null;
  objective: Objective;
  guards: Guard[];
  knobs: Knob[];
}

export interface Verdict {
  call: "better" | "worse" | "inconclusive";
  /** `evidence`, `futile`, `cap`, `guard` or `aborted`. */
  ending: string;
  effect: Effect | null;
  pairs: number;
  e_value: number;
  alpha: number;
  baseline: number | null;
  variant: number | null;
}

export interface Setting {
  knob: string;
  old: Value;
  new: Value;
  read_back: Value | null;
}

export interface Breach {
  guard: string;
  /** Absent when the metric went missing. */
  value: number | null;
  bound: number;
  at_ms: number;
}

export interface Change {
  id: number;
  target: string;
  /** `waiting`, `trying`, `keeping`, `undoing`, `kept`, `undone`, `refused`, `expired`, `failed`. */
  state: string;
  author: string;
  reason: string;
  settings: Setting[];
  begun_ms: number;
  ended_ms: number | null;
  verdict: Verdict | null;
  breach: Breach | null;
  verified: boolean;
  rollback_ms: number | null;
  apply_ms: number | null;
}

export interface ProposalRequest {
  target: string;
  values: Record<string, Value>;
  reason: string;
  by: string;
}

export interface Decision {
  proposal: number;
  change: number | null;
  /** `admit`, `await_approval`, `defer` or `refuse`. */
  ruling: string;
  rule: string | null;
  message: string;
  at_ms: number;
}

export interface Trial {
  id: number;
  change: number | null;
  params: Record<string, Value>;
  state: string;
  /** Log ratio of the objective to the incumbent's. */
  value: number | null;
}

export interface Study {
  id: number;
  target: string;
  objective: string;
  method: string;
  seed: number;
  state: string;
  trials: Trial[];
}

export interface Finding {
  id: number;
  series: string;
  at_ms: number;
  /** `anomaly`, `change_point` or `exhaustion`. */
  kind: string;
  /** -log10 p. */
  severity: number;
  summary: string;
}

export interface Point {
  /** Index of the query in the request. */
  query: number;
  /** The series, as PromQL writes it. */
  series: string;
  value: number | null;
}

export type LiveEvent =
  | { event: "points"; at_ms: number; points: Point[] }
  | { event: "change"; change: Change }
  | { event: "decision"; decision: Decision }
  | { event: "finding"; finding: Finding }
  | { event: "status"; status: Status };

// PromQL as an editor sees it: its functions, and where in an expression an error lies.

export const FUNCTIONS: readonly string[] = [
  "abs", "absent", "absent_over_time", "avg_over_time", "ceil", "changes", "clamp", "clamp_max",
  "clamp_min", "count_over_time", "delta", "deriv", "exp", "floor", "histogram_avg",
  "histogram_count", "histogram_fraction", "histogram_quantile", "histogram_sum", "idelta",
  "increase", "irate", "label_join", "label_replace", "last_over_time", "ln", "log10", "log2",
  "mad_over_time", "max_over_time", "min_over_time", "predict_linear", "present_over_time",
  "quantile_over_time", "rate", "resets", "round", "scalar", "sgn", "sort", "sort_desc", "sqrt",
  "stddev_over_time", "sum_over_time", "time", "timestamp", "vector",
];

export const AGGREGATIONS: readonly string[] = [
  "avg", "bottomk", "count", "count_values", "group", "max", "min", "quantile", "stddev", "stdvar",
  "sum", "topk",
];

export interface Located {
  /** Index in the expression, or null where the message has no position. */
  at: number | null;
  message: string;
}

/** Finds `line:column:` in an error of the server. */
export function locate(expr: string, error: string): Located {
  const found = /(?:^|\s)(\d+):(\d+): (?:parse error: )?(.*)$/s.exec(error);
  if (!found) return { at: null, message: error };
  const [, line = "1", column = "1", message = error] = found;
  const lines = expr.split("\n");
  const before = lines.slice(0, Number(line) - 1).reduce((sum, l) => sum + l.length + 1, 0);
  return { at: Math.min(expr.length, before + Number(column) - 1), message };
}

/** `$window` in an objective stands for the length of a measured window. */
export function withWindow(query: string, window: string): string {
  return query.replaceAll("$window", window);
}

/** The metrics an expression names, for saying which are missing. */
export function metricsOf(expr: string): string[] {
  const bare = expr.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""').replaceAll(/\{[^}]*\}|\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)|\[[^\]]*\]/g, " ");
  const words = bare.match(/[a-zA-Z_:][\w:]*(?!\s*\()\b(?!\s*\()/g) ?? [];
  const known = new Set([...FUNCTIONS, ...AGGREGATIONS, "by", "without", "on", "ignoring", "or", "and", "unless", "bool", "offset"]);
  return [...new Set(words.filter((w) => w.length > 2 && !known.has(w)))];
}

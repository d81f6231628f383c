// Refusals counted.

import { expect, test } from "vitest";
import { type Refusal, tally } from "./health";

test("refusals are counted by door and reason, the newest of each kept", () => {
  const refusal = (id: number, door: string, reason: string): Refusal => ({ id, at: id, door, reason, series: `s${id}`, detail: "" });
  const rows = tally([refusal(3, "otlp", "metric_limit"), refusal(4, "csv", "malformed"), refusal(5, "otlp", "metric_limit")]);
  expect(rows.map(({ door, reason, count, newest }) => [door, reason, count, newest.id])).toEqual([
    ["otlp", "metric_limit", 2, 5],
    ["csv", "malformed", 1, 4],
  ]);
});

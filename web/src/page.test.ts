// Addresses, errors with a position, the lane, and lists kept current.

import { describe, expect, test } from "vitest";
import { spansIn } from "./lane";
import { locate, metricsOf, withWindow } from "./promql";
import { asCurl } from "./prometheus";
import { link, parseRoute } from "./route";
import { newestFirst } from "./state";
import type { Change } from "./wire";

describe("addresses", () => {
  test("a link leads back to what it was made of", () => {
    const { page, params } = parseRoute(link("explore", { expr: 'a{b="c&d"} + 1 # ?', from: undefined }));
    expect(page).toBe("explore");
    expect(Object.fromEntries(params)).toEqual({ expr: 'a{b="c&d"} + 1 # ?' });
  });

  test("an unknown page is the overview", () => {
    expect(parseRoute("#/nowhere?x=1").page).toBe("overview");
    expect(parseRoute("").page).toBe("overview");
  });
});

describe("errors and expressions", () => {
  test("a position is found in the text", () => {
    expect(locate("rate(foo)", "1:6: parse error: expected type range vector")).toEqual({ at: 5, message: "expected type range vector" });
    expect(locate("a +\nb c", "2:3: parse error: unexpected")).toEqual({ at: 6, message: "unexpected" });
    expect(locate("x", "too many samples")).toEqual({ at: null, message: "too many samples" });
  });

  test("metrics are told from everything else", () => {
    expect(metricsOf('sum by (mode) (rate(node_cpu_seconds_total{mode!="idle"}[5s])) / on (job) up')).toEqual(["node_cpu_seconds_total"]);
    expect(metricsOf("node_load1 or node_load5")).toEqual(["node_load1", "node_load5"]);
    expect(withWindow("rate(x[$window]) / rate(y[$window])", "5s")).toBe("rate(x[5s]) / rate(y[5s])");
  });

  test("a command for the shell survives quotes", () => {
    expect(asCurl("http://h", "query", { query: "it's" })).toBe(`curl -sG 'http://h/api/v1/query' \\\n  --data-urlencode 'query=it'\\''s'`);
  });
});

function change(id: number, state: string, begun: number, ended: number | null): Change {
  return {
    id, state, target: "t", author: "a", reason: "", settings: [], begun_ms: begun * 1000, ended_ms: ended === null ? null : ended * 1000,
    verdict: null, breach: null, verified: false, rollback_ms: null, apply_ms: null,
  };
}

describe("the lane", () => {
  test("holds the changes that touched the service in the time shown, cut to it", () => {
    const all = [change(4, "trying", 95, null), change(3, "refused", 90, 90), change(2, "undone", 40, 60), change(1, "kept", 10, 20)];
    const spans = spansIn(all, { from: 50, to: 100 }, 98).map(({ change: c, fate, from, to }) => [c.id, fate, from, to]);
    expect(spans).toEqual([[2, "undone", 50, 60], [4, "trying", 95, 98]]);
  });
});

describe("lists", () => {
  test("an entry is put in at its place or replaced, newest first", () => {
    const id = (e: { n: number }) => e.n;
    expect(newestFirst([{ n: 3 }, { n: 1 }], { n: 2 }, id).map(id)).toEqual([3, 2, 1]);
    expect(newestFirst([{ n: 3, v: 1 }, { n: 1, v: 1 }], { n: 1, v: 2 }, id)).toEqual([{ n: 3, v: 1 }, { n: 1, v: 2 }]);
  });
});

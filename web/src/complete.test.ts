// Autocomplete: `|` marks the caret.

import { describe, expect, test } from "vitest";
import { accept, nameCandidates, ranked, wantedAt } from "./complete";

function at(marked: string) {
  const caret = marked.indexOf("|");
  const text = marked.replace("|", "");
  return { text, caret, wanted: wantedAt(text, caret) };
}

describe("what is wanted at the caret", () => {
  test.each([
    ["node_l|", "name", "node_l"],
    ["rate(node_|", "name", "node_"],
    ["up + ra|", "name", "ra"],
    ["up{|", "label", ""],
    ["up{jo|", "label", "jo"],
    ['up{job="a", ins|', "label", "ins"],
    ['up{job="al|', "value", "al"],
    ['up{job=~"|"}', "value", ""],
    ["sum by (mo|", "label", "mo"],
    ["sum by (mode, cp|) (x)", "label", "cp"],
    ["rate(x[5|", "none", ""],
    ["5|", "none", ""],
    ['"text|', "none", ""],
    ['up{job="a}b"}|', "name", ""],
    ['label_replace(up, "d|', "none", ""],
  ])("%s", (marked, kind, prefix) => {
    const { wanted } = at(marked);
    expect(wanted.kind).toBe(kind);
    expect(wanted.prefix).toBe(prefix);
  });

  test("a label knows its metric, a value its label too", () => {
    expect(at("rate(up{jo|").wanted.metric).toBe("up");
    expect(at('up{job!="a", instance=~"x|').wanted).toMatchObject({ metric: "up", label: "instance" });
  });
});

describe("accepting", () => {
  test.each([
    ["node_l|", { text: "node_load1", kind: "metric" as const }, "node_load1|"],
    ["ra|", { text: "rate", kind: "function" as const }, "rate(|)"],
    ["ra|(up[5s])", { text: "rate", kind: "function" as const }, "rate(|up[5s])"],
    ["up{jo|", { text: "job", kind: "label" as const }, 'up{job="|"'],
    ['up{jo|="x"}', { text: "job", kind: "label" as const }, 'up{job|="x"}'],
    ["sum by (mo|)", { text: "mode", kind: "label" as const }, "sum by (mode|)"],
    ['up{job="al|"}', { text: "alluse", kind: "value" as const }, 'up{job="alluse"|}'],
    ['up{job="al|', { text: 'a"b', kind: "value" as const }, 'up{job="a\\"b"|'],
    ["node_lo|ad5 + 1", { text: "node_load1", kind: "metric" as const }, "node_load1| + 1"],
  ])("%s", (marked, candidate, expected) => {
    const { text, wanted } = at(marked);
    const done = accept(text, wanted, candidate);
    expect(`${done.text.slice(0, done.caret)}|${done.text.slice(done.caret)}`).toBe(expected);
  });
});

describe("candidates", () => {
  test("those that begin with what was typed come first", () => {
    expect(ranked(["a_load", "load1", "x"], "load", 5)).toEqual(["load1", "a_load"]);
  });

  test("functions stand beside metrics, nothing is offered before anything is typed", () => {
    expect(nameCandidates(["rates_total"], "rate", 10).map((c) => c.kind)).toEqual(["function", "metric"]);
    expect(nameCandidates(["up"], "", 10)).toEqual([]);
  });
});

import { expect, test } from "vitest";
import { type Alert, inOrder, safeLink, stateOf } from "./alerts";

function alert(more: Partial<Alert>): Alert {
  return {
    fingerprint: "0",
    labels: {},
    annotations: {},
    startsAt: "2026-01-01T00:00:00.000Z",
    generatorURL: "",
    receivers: [],
    status: { state: "active", silencedBy: [], inhibitedBy: [] },
    value: null,
    root: null,
    told: true,
    escalation: 0,
    acknowledged: null,
    ...more,
  };
}

test("an alert has one state, the strongest reason first", () => {
  const held = { state: "suppressed", silencedBy: ["x"], inhibitedBy: ["y"] };
  expect(stateOf(alert({}))).toBe("firing");
  expect(stateOf(alert({ status: held }))).toBe("silenced");
  expect(stateOf(alert({ status: { ...held, silencedBy: [] } }))).toBe("inhibited");
  expect(stateOf(alert({ root: "1", status: { ...held, silencedBy: [] } }))).toBe("follows");
  expect(stateOf(alert({ acknowledged: { by: "ann", comment: "", at: "" } }))).toBe("acknowledged");
});

test("what nobody knows of comes first, the newest before the others", () => {
  const old = alert({ fingerprint: "old" });
  const young = alert({ fingerprint: "young", startsAt: "2026-02-01T00:00:00.000Z" });
  const known = alert({ fingerprint: "known", acknowledged: { by: "ann", comment: "", at: "" }, startsAt: "2026-03-01T00:00:00.000Z" });
  expect(inOrder([known, old, young]).map((a) => a.fingerprint)).toEqual(["young", "old", "known"]);
});

test("only addresses are links", () => {
  expect(safeLink("https://a/b")).toBe("https://a/b");
  expect(safeLink("/#/explore?expr=up")).toBe("/#/explore?expr=up");
  for (const bad of ["javascript:alert(1)", "//evil", "data:x", ""]) expect(safeLink(bad)).toBeNull();
});

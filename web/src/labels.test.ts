// Series as PromQL writes them, with everything a hostile label value may hold.

import { describe, expect, test } from "vitest";
import { distinguishing, parseSeries, seriesKey, seriesText, shortName } from "./labels";

describe("series", () => {
  test.each([
    ["up", { __name__: "up" }],
    ["", {}],
    ["{}", {}],
    ['up{job="a"}', { __name__: "up", job: "a" }],
    ['{cpu="0", mode="user"}', { cpu: "0", mode: "user" }],
    ['x{a="1,2}",b="{"}', { __name__: "x", a: "1,2}", b: "{" }],
    [String.raw`x{a="q\"\\\n"}`, { __name__: "x", a: 'q"\\\n' }],
    ['{"http.requests", "a.b"="c"}', { __name__: "http.requests", "a.b": "c" }],
    ['x{a="<img src=x onerror=alert(1)>"}', { __name__: "x", a: "<img src=x onerror=alert(1)>" }],
  ])("%s is read", (text, labels) => {
    expect(parseSeries(text)).toEqual(labels);
  });

  test("what is written is read back", () => {
    const labels = { __name__: "x", a: 'q"\\', b: "line\nbreak" };
    expect(parseSeries(seriesText(labels))).toEqual(labels);
  });

  test("the key does not depend on the order of labels, nor do tricky values collide", () => {
    expect(seriesKey({ a: "1", b: "2" })).toBe(seriesKey({ b: "2", a: "1" }));
    expect(seriesKey({ a: '1","b' })).not.toBe(seriesKey({ a: "1", b: "" }));
  });

  test("a legend names what differs", () => {
    const all = [{ job: "x", mode: "user" }, { job: "x", mode: "idle" }];
    expect(distinguishing(all)).toEqual(["mode"]);
    expect(shortName(all[0] ?? {}, ["mode"])).toBe("user");
    expect(shortName({ __name__: "up", job: "x" }, [])).toBe("up");
  });
});

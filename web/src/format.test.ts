// Numbers as people read them.

import { describe, expect, test } from "vitest";
import { bytes, count, elapsed, grouped, inUnit, knobValue, plain, seconds, share, unitOfExpression } from "./format";

const tight = (text: string) => text.replaceAll("\u202f", " ");

describe("numbers", () => {
  test.each([
    [0, "0"], [1, "1"], [12.345, "12.3"], [123.6, "124"], [0.00123, "0.00123"], [-2.5, "−2.5"], [1e-9, "1.00e-9"], [0.1 + 0.2, "0.3"],
  ])("%f", (value, text) => expect(plain(value)).toBe(text));

  test("seconds choose their unit", () => {
    expect([0, 4.2e-5, 0.0123, 1.5].map(seconds).map(tight)).toEqual(["0", "42 µs", "12.3 ms", "1.5 s"]);
  });

  test("bytes by 1024, counts by 1000, shares in percent", () => {
    expect(tight(bytes(1536))).toBe("1.5 KiB");
    expect(tight(count(1_234_000))).toBe("1.23 M");
    expect(tight(share(0.0123))).toBe("1.23 %");
  });

  test("what is not there is a dash, not a zero", () => {
    expect(inUnit(null, "seconds")).toBe("–");
    expect(inUnit(0, "per second")).toBe("0/s");
  });

  test("knobs", () => {
    expect([true, "fifo", 60_000, 0.25, null].map(knobValue).map(tight)).toEqual(["on", "fifo", "60 000", "0.25", "–"]);
  });

  test("durations and thousands", () => {
    expect(tight(elapsed(64_000))).toBe("1 min 4 s");
    expect(tight(elapsed(3_700_000))).toBe("1 h 1 min");
    expect(tight(grouped(1_234_567))).toBe("1 234 567");
  });

  test("units follow Prometheus's names", () => {
    expect(unitOfExpression("process_resident_memory_bytes")).toBe("bytes");
    expect(unitOfExpression("rate(node_network_receive_bytes_total[5s])")).toBe("bytes/s");
    expect(unitOfExpression("rate(load_requests_total[5s])")).toBe("per second");
    expect(unitOfExpression("histogram_quantile(0.9, rate(x_seconds_bucket[5s]))")).toBe("seconds");
    expect(unitOfExpression("rate(node_cpu_seconds_total[5s])")).toBe("count");
    expect(unitOfExpression("up")).toBe("count");
  });
});

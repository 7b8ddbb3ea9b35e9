import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { watchSleep } from "./wakefulness";

class FakeDocument extends EventTarget {
  hidden = false;
  set(hidden: boolean): void {
    this.hidden = hidden;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}

let page: FakeDocument;
let network: EventTarget;
const onwake = vi.fn();

beforeEach(() => {
  vi.useFakeTimers();
  onwake.mockReset();
  page = new FakeDocument();
  network = new EventTarget();
  vi.stubGlobal("document", page);
  vi.stubGlobal("addEventListener", network.addEventListener.bind(network));
  vi.stubGlobal("removeEventListener", network.removeEventListener.bind(network));
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test("a short look elsewhere is no sleep, a long one is", () => {
  const rest = watchSleep(onwake);
  page.set(true);
  vi.advanceTimersByTime(10_000);
  page.set(false);
  expect(onwake).not.toHaveBeenCalled();
  page.set(true);
  vi.advanceTimersByTime(30_000);
  page.set(false);
  expect(onwake).toHaveBeenCalledOnce();
  rest();
});

test("a clock that jumps and a network that comes back wake the page", () => {
  const rest = watchSleep(onwake);
  vi.setSystemTime(Date.now() + 3_600_000);
  vi.advanceTimersByTime(5000);
  expect(onwake).toHaveBeenCalledOnce();
  network.dispatchEvent(new Event("online"));
  expect(onwake).toHaveBeenCalledTimes(2);
  rest();
  network.dispatchEvent(new Event("online"));
  vi.setSystemTime(Date.now() + 3_600_000);
  vi.advanceTimersByTime(10_000);
  expect(onwake).toHaveBeenCalledTimes(2);
});

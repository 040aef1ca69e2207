/** Rates over a minute, an hour and a day, by a clock that is set. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Deadlines } from '../../src/acceptor/deadlines.ts';
import { MessageRates } from '../../src/acceptor/message-rates.ts';
import { RateWindow } from '../../src/acceptor/rate-window.ts';

class HandClock {
  nowMs = 0;

  epochMs(): number {
    return this.nowMs;
  }

  monotonicMs(): number {
    return this.nowMs;
  }
}

describe('a rate', () => {
  it('forgets what is longer ago than its span', () => {
    const clock = new HandClock();
    const window = new RateWindow(clock);
    clock.nowMs = 1_000_000;
    window.add(600);
    assert.equal(window.minute.count, 600);
    clock.nowMs += 60_000;
    assert.equal(window.minute.count, 600);
    assert.equal(window.minute.perSecond, 10);
    clock.nowMs += 10_000;
    assert.deepEqual(window.minute, { count: 0, perSecond: 0 });
    assert.equal(window.hour.count, 600);
    clock.nowMs += 2 * 3_600_000;
    assert.equal(window.hour.count, 0);
    assert.equal(window.day.count, 600);
    clock.nowMs += 30 * 3_600_000;
    assert.equal(window.day.count, 0);
    assert.equal(window.total, 600);
  });

  it('is that of what comes evenly', () => {
    const clock = new HandClock();
    const window = new RateWindow(clock);
    for (let second = 0; second < 3600; second += 1) {
      clock.nowMs = second * 1000;
      window.add(7);
      window.fold();
    }
    for (const { perSecond } of [window.tenSeconds, window.minute, window.tenMinutes, window.hour])
      assert.ok(Math.abs(perSecond - 7) < 0.8, String(perSecond));
  });

  it('is kept by group and topic, and folded without being looked at', () => {
    const clock = new HandClock();
    const deadlines = new Deadlines();
    const rates = new MessageRates(clock, deadlines);
    const window = rates.windowOf('g', 't');
    assert.equal(rates.windowOf('g', 't'), window);
    rates.took(window, 5);
    clock.nowMs = 5000;
    deadlines.run(clock.nowMs);
    clock.nowMs = 40_000;
    assert.equal(rates.of('g', 't')?.tenSeconds.count, 0);
    assert.equal(rates.of('g', 't')?.minute.count, 5);
    assert.equal(rates.handedOut.total, 5);
    assert.equal(rates.of('g', 'other'), undefined);
  });
});

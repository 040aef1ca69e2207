/** The wait for an answer that comes sooner than a thread would fall asleep. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BriefWait } from '../../src/agent/brief-wait.ts';
import { PARK_WORD_BYTES, ParkWord } from '../../src/agent/park-word.ts';
import { Pump } from '../../src/agent/pump.ts';
import { systemClock } from '../../src/base/clock.ts';

/** A clock that goes on by 10 microseconds at each look. */
function tickingClock(): { monotonicMs: () => number; epochMs: () => number } {
  let ticks = 0;
  const monotonicMs = (): number => {
    ticks += 1;
    return ticks / 100;
  };
  return { monotonicMs, epochMs: monotonicMs };
}

/** Chances of 1,000 that are taken when each wait ends like this. */
function taken(wait: BriefWait, hasWork: () => boolean): number {
  let count = 0;
  for (let chance = 0; chance < 1000; chance += 1) {
    if (!wait.isWorthIt(1)) continue;
    count += 1;
    wait.run(hasWork);
  }
  return count;
}

describe('a brief wait', () => {
  it('ends as soon as there is work', () => {
    let looks = 0;
    const wait = new BriefWait(tickingClock());
    assert.equal(
      wait.run(() => {
        looks += 1;
        return looks === 40;
      }),
      true,
    );
    assert.equal(looks, 40);
  });

  it('ends without work when its time is over', () => {
    let looks = 0;
    const wait = new BriefWait(tickingClock());
    assert.equal(
      wait.run(() => {
        looks += 1;
        return false;
      }),
      false,
    );
    assert.ok(looks > 16 && looks <= 16 * 9, `${looks} looks in 80 microseconds`);
  });

  it('is tried at each chance while it succeeds, and seldom while it fails', () => {
    const wait = new BriefWait(tickingClock());
    assert.equal(
      taken(wait, () => true),
      1000,
    );
    assert.ok(taken(wait, () => false) < 15);
  });

  it('comes back as soon as one succeeds', () => {
    const wait = new BriefWait(tickingClock());
    taken(wait, () => false);
    assert.ok(taken(wait, () => true) > 700);
  });

  it('is not for many requests at once', () => {
    assert.equal(new BriefWait(tickingClock()).isWorthIt(3), false);
  });
});

describe('a pump that expects answers', () => {
  type Side = { pump: Pump; word: ParkWord; state: { work: number; turns: number } };

  function makePump(briefWait: BriefWait | undefined): Side {
    const word = new ParkWord(new SharedArrayBuffer(PARK_WORD_BYTES), 0);
    const state = { work: 0, turns: 0 };
    const pump = new Pump({
      doWork: () => {
        const { work } = state;
        state.work = 0;
        state.turns += 1;
        return work;
      },
      hasWork: () => state.work > 0,
      msUntilDue: () => Number.POSITIVE_INFINITY,
      words: () => [word],
      briefWait,
    });
    return { pump, word, state };
  }

  const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('takes its word back, so that nobody sends a message to wake it, and sleeps again after', async () => {
    const { pump, word, state } = makePump(new BriefWait(systemClock));
    word.announce(() => false);
    pump.expect(1);
    assert.equal(word.takeAnnouncement(), false, 'it is awake');
    await nextTurn();
    assert.equal(state.turns, 1);
    assert.equal(word.takeAnnouncement(), true, 'it has said that it sleeps');
    pump.close();
  });

  it('leaves its word alone where it does not wait', async () => {
    const { pump, word, state } = makePump(undefined);
    word.announce(() => false);
    pump.expect(1);
    assert.equal(word.takeAnnouncement(), true);
    await nextTurn();
    assert.equal(state.turns, 0);
    pump.close();
  });

  it('does not turn after it was closed', async () => {
    const { pump, state } = makePump(new BriefWait(systemClock));
    pump.expect(1);
    pump.close();
    await nextTurn();
    assert.equal(state.turns, 0);
  });
});

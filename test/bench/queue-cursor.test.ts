import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { QueueCursor } from '../../src/bench/queue-cursor.ts';

describe('a queue cursor', () => {
  it('takes deliveries in order as new', () => {
    const cursor = new QueueCursor();
    assert.equal(cursor.take(0, 10), 0);
    assert.equal(cursor.take(10, 5), 0);
    assert.equal(cursor.next, 15);
  });

  it('knows what comes again, as a whole and in part', () => {
    const cursor = new QueueCursor();
    cursor.take(0, 10);
    assert.equal(cursor.take(0, 10), 10);
    assert.equal(cursor.take(5, 10), 5);
    assert.equal(cursor.next, 15);
  });

  it('does not take what is late for what comes again', () => {
    const cursor = new QueueCursor();
    cursor.take(0, 10);
    assert.equal(cursor.take(20, 10), 0);
    assert.equal(cursor.next, 10);
    assert.equal(cursor.take(20, 10), 10);
    assert.equal(cursor.take(10, 10), 0);
    assert.equal(cursor.next, 30);
  });
});

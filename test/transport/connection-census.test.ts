import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TEST_LIMITS } from '../../src/testing/front-door-fixture.ts';
import { ConnectionCensus } from '../../src/transport/connection-census.ts';

describe('the census of connections', () => {
  it('admits up to a limit, refuses some above it, and drops the rest without counting', () => {
    const census = new ConnectionCensus({ ...TEST_LIMITS, connectionsMax: 2 });
    const admissions = Array.from({ length: 30 }, (_, index) => census.enter(`a${index}`));
    assert.deepEqual(admissions.slice(0, 3), ['admitted', 'admitted', 'refused']);
    assert.equal(admissions.filter((admission) => admission === 'refused').length, 16);
    assert.equal(census.total, 18);
    assert.equal(census.isOver('a0'), true);
    for (let index = 0; index < 17; index += 1) census.leave(`a${index}`);
    assert.equal(census.isOver('a0'), false);
    assert.equal(census.enter('a0'), 'admitted');
  });

  it('limits each address on its own', () => {
    const census = new ConnectionCensus({ ...TEST_LIMITS, connectionsPerAddressMax: 1 });
    assert.equal(census.enter('a'), 'admitted');
    assert.equal(census.enter('a'), 'refused');
    assert.equal(census.enter('b'), 'admitted');
    assert.deepEqual([census.isOver('a'), census.isOver('b')], [true, false]);
    census.leave('a');
    assert.equal(census.isOver('a'), false);
  });

  it('notices a connection that leaves twice', () => {
    const census = new ConnectionCensus(TEST_LIMITS);
    census.enter('a');
    census.leave('a');
    assert.throws(() => census.leave('a'), { code: 'INVARIANT' });
    assert.equal(census.total, 0);
  });
});

/** Tag expressions as RocketMQ reads them, and the filters of its clients, compiled once. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import { CompiledFilters } from '../../src/filter/compiled-filters.ts';
import { parseTagExpression, tagCode, tagCodes } from '../../src/filter/tag-expression.ts';
import { recordWith } from '../../src/testing/sql-records.ts';

const tagged = (tag: string) => recordWith(new Map([['TAGS', tag]]));

describe('a tag expression', () => {
  it('is read as RocketMQ reads it', () => {
    for (const all of [null, undefined, '', ' ', '*', ' * '])
      assert.equal(parseTagExpression(all), null);
    assert.deepEqual(parseTagExpression('a || b||c || a ||'), ['a', 'b', 'c']);
    assert.deepEqual(parseTagExpression('||'), []);
    assert.deepEqual(parseTagExpression('a || *'), ['a', '*']);
  });

  it('has the codes of String.hashCode', () => {
    assert.equal(tagCode(''), 0);
    assert.equal(tagCode('a'), 97);
    assert.equal(tagCode('TagA'), 2598919);
    // Beyond 31 bits, and beyond ASCII.
    assert.equal(tagCode('created-by-hand'), 1876028992);
    assert.equal(tagCode('é€'), 15587);
    assert.deepEqual(tagCodes(parseTagExpression('a||b')), [97, 98]);
    assert.deepEqual(tagCodes(null), []);
  });
});

describe('compiled filters', () => {
  it('look at the tag whole', () => {
    const matcher = new CompiledFilters().compile(undefined, 'created || paid');
    for (const [tag, isWanted] of Object.entries({
      created: true,
      paid: true,
      pai: false,
      '': false,
    }))
      assert.equal(matcher?.matches(tagged(tag)), isWanted, tag);
    assert.equal(new CompiledFilters().compile('TAG', '||')?.matches(tagged('a')), false);
    assert.equal(new CompiledFilters().compile('TAG', '*'), null);
  });

  it('see the tag as TAGS and the key as KEYS, and not a property of that name', () => {
    const matcher = new CompiledFilters().compile(
      'SQL92',
      "TAGS = 'paid' AND KEYS CONTAINS 'o-17'",
    );
    const record = recordWith(
      new Map([
        ['TAGS', 'paid'],
        ['KEYS', 'o-16 o-17'],
      ]),
    );
    assert.equal(matcher?.matches(record), true);
    assert.equal(matcher?.matches(tagged('paid')), false);
    const noTag = new CompiledFilters().compile('SQL92', 'TAGS IS NULL AND KEYS IS NULL');
    assert.equal(noTag?.matches(tagged('')), true);
  });

  it('are kept while they are used, and forgotten oldest first', () => {
    const filters = new CompiledFilters(2);
    const first = filters.compile('SQL92', 'a = 1');
    const second = filters.compile('SQL92', 'a = 2');
    assert.equal(filters.compile('SQL92', 'a = 1'), first);
    filters.compile('SQL92', 'a = 3');
    assert.equal(filters.size, 2);
    assert.equal(filters.compile('SQL92', 'a = 1'), first);
    assert.notEqual(filters.compile('SQL92', 'a = 2'), second);
  });

  it('refuse what they cannot read', () => {
    const filters = new CompiledFilters();
    const isRefusal = (error: unknown): boolean =>
      error instanceof SluiceError && error.code === 'INVALID_ARGUMENT';
    assert.throws(() => filters.compile('SQL92', 'a >'), isRefusal);
    assert.throws(() => filters.compile('SQL92', null), isRefusal);
    assert.throws(() => filters.compile('CLASS', 'a'), /filter language "CLASS" is not known/);
    assert.equal(filters.size, 0);
  });
});

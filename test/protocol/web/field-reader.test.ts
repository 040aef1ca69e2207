import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SluiceError } from '../../../src/base/errors.ts';
import { closestWord } from '../../../src/protocol/web/did-you-mean.ts';
import { FieldReader, shown } from '../../../src/protocol/web/field-reader.ts';

const refusal = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof SluiceError && error.code === 'INVALID_ARGUMENT');
    return `${error.message} | ${error.hint}`;
  }
  throw new Error('it was not refused');
};

test('fields are read by type and range, and null is absent', () => {
  const reader = new FieldReader(
    { text: 'a', number: 5, none: null, flag: false, list: ['x'] },
    'it',
  );
  assert.equal(reader.text('text'), 'a');
  assert.equal(reader.optionalText('none'), undefined);
  assert.equal(reader.optionalText('absent'), undefined);
  assert.equal(reader.integer('number', 0, 5), 5);
  assert.equal(reader.optionalBoolean('flag'), false);
  assert.deepEqual(reader.texts('list', 1), ['x']);
  assert.equal(reader.has('none'), true);
  assert.match(
    refusal(() => reader.text('none')),
    /"none" is missing/,
  );
  assert.match(
    refusal(() => reader.integer('number', 6, 9)),
    /is 5, but must be an integer from 6 to 9/,
  );
  assert.match(
    refusal(() => reader.integer('text', 0, 9)),
    /is "a"/,
  );
  assert.match(
    refusal(() => reader.optionalBoolean('text')),
    /true or false/,
  );
  assert.match(
    refusal(() => reader.texts('list', 0)),
    /1 items/,
  );
});

test('what an object inherits is no field of it', () => {
  const reader = new FieldReader({}, 'it');
  for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
    assert.equal(reader.raw(name), undefined);
    assert.equal(reader.has(name), false);
  }
});

test('an unknown field is named, with the one that was meant', () => {
  const reader = new FieldReader({ tpoic: 1 }, 'send');
  assert.match(
    refusal(() => reader.allow(['topic', 'body'])),
    /"tpoic" is not known \| Did you mean "topic"\?/,
  );
  assert.match(
    refusal(() => new FieldReader({ zzz: 1 }, 'ping').allow([])),
    /It has none/,
  );
});

test('the closest word is close', () => {
  const words = ['send', 'subscribe', 'ack', 'nack'];
  assert.equal(closestWord('sned', words), 'send');
  assert.equal(closestWord('Subscribe', words), 'subscribe');
  assert.equal(closestWord('akc', words), 'ack');
  assert.equal(closestWord('xyz', words), undefined);
  assert.equal(closestWord('x'.repeat(10_000), words), undefined);
});

test('values are shown short', () => {
  assert.equal(shown('x'.repeat(100)).length, 63);
  assert.deepEqual(
    [shown([]), shown({}), shown(null), shown(1.5)],
    ['an array', 'an object', 'null', '1.5'],
  );
});

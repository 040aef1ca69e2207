import assert from 'node:assert/strict';
import { test } from 'node:test';
import { messageOfLine } from '../../src/cli/message-line.ts';

const none = { keyField: undefined, tagField: undefined };
const bodyOf = (text: string): unknown => messageOfLine(Buffer.from(text), none).body;

test('JSON is JSON, whatever its type; the rest is text', () => {
  const json: readonly (readonly [string, unknown])[] = [
    ['{"a":1}', { a: 1 }],
    [' [1] ', [1]],
    ['"text"', 'text'],
    ['-1.5e3', -1500],
    ['null', null],
    ['true', true],
  ];
  for (const [text, value] of json) assert.deepEqual(bodyOf(text), value, text);
  for (const text of ['plain', '{"a":', 'nul', '2026-01-31', "{'a':1}"])
    assert.equal(bodyOf(text), text);
});

test('what is no UTF-8 stays the bytes that it is', () => {
  const bytes = Uint8Array.of(0x22, 0xff, 0x22);
  const { body } = messageOfLine(bytes, none);
  assert.deepEqual(body, bytes);
  assert.notEqual(body, bytes, 'a copy: the line is gone with the next one');
});

test('an object of nothing but $bytes is bytes, if they are base64', () => {
  assert.deepEqual(bodyOf('{"$bytes":"AAEC"}'), Uint8Array.of(0, 1, 2));
  assert.deepEqual(bodyOf('{"$bytes":"?"}'), { $bytes: '?' });
  assert.deepEqual(bodyOf('{"$bytes":"AAEC","a":1}'), { $bytes: 'AAEC', a: 1 });
});

test('key and tag come from fields of an object that are text, number or boolean', () => {
  const fields = { keyField: 'id', tagField: 'kind' };
  const of = (text: string): unknown => {
    const { key, tag } = messageOfLine(Buffer.from(text), fields);
    return [key, tag];
  };
  assert.deepEqual(of('{"id":"a","kind":"x"}'), ['a', 'x']);
  assert.deepEqual(of('{"id":17,"kind":false}'), ['17', 'false']);
  assert.deepEqual(of('{"id":null,"kind":{}}'), [undefined, undefined]);
  assert.deepEqual(of('{"id":""}'), [undefined, undefined]);
  assert.deepEqual(of('["id"]'), [undefined, undefined]);
  const inherited = messageOfLine(Buffer.from('{}'), {
    keyField: 'toString',
    tagField: '__proto__',
  });
  assert.deepEqual([inherited.key, inherited.tag], [undefined, undefined]);
});

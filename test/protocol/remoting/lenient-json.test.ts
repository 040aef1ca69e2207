/** JSON as fastjson writes it, and what is no JSON at all. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { REMOTING_BODY_DEPTH_MAX } from '../../../src/base/limits.ts';
import { BodyReader } from '../../../src/protocol/remoting/body-reader.ts';
import {
  decoded,
  type LenientValue,
  parseLenientJson,
} from '../../../src/protocol/remoting/lenient-json.ts';

const parse = (text: string): LenientValue => parseLenientJson(Buffer.from(text));

/** Maps as arrays of entries, so that they compare. */
function plain(value: LenientValue): unknown {
  if (value instanceof Map)
    return [...value].map(([key, inner]) => [key, plain(inner as LenientValue)]);
  return Array.isArray(value) ? value.map(plain) : value;
}

describe('lenient JSON', () => {
  it('is JSON', () => {
    const text = ' {"a" : [1, -2.5e3, true, false, null, "x\\n\\u4e2d\\/"], "b":{} , "c":[]} ';
    assert.deepEqual(plain(parse(text)), [
      ['a', [1, -2500, true, false, null, 'x\n\u4e2d/']],
      ['b', []],
      ['c', []],
    ]);
  });

  it('has integers and objects as keys, names without quotes, and single quotes', () => {
    assert.deepEqual(plain(parse('{0:"a",-1:"b"}')), [
      ['0', 'a'],
      ['-1', 'b'],
    ]);
    assert.deepEqual(plain(parse("{name:'it\\'s'}")), [['name', "it's"]]);
    assert.deepEqual(plain(parse('{{"brokerName":"b","queueId":0}:5}')), [
      ['{"brokerName":"b","queueId":0}', 5],
    ]);
    assert.deepEqual(plain(parse('{"__proto__":1,"$ref":"$.a"}')), [
      ['__proto__', 1],
      ['$ref', '$.a'],
    ]);
  });

  it('says where it is none', () => {
    for (const text of [
      ...['', '{', '[1', '{"a"}', '{"a":}', '{"a":1,}', '[1,]', '"abc', '"\\q"', '"\\u12"', 'nul'],
      ...['1 2', '{"a":1}}', '{:1}', '+1', '\'a"', '[1 2]'],
    ])
      assert.throws(() => parse(text), { code: 'BAD_FRAME', message: /at character \d+/ }, text);
  });

  it('is bounded in depth', () => {
    const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
    parse(nested(REMOTING_BODY_DEPTH_MAX + 1));
    assert.throws(() => parse(nested(REMOTING_BODY_DEPTH_MAX + 2)), /nested too deeply/);
    assert.throws(() => parse('['.repeat(1_000_000)), /nested too deeply/);
    assert.throws(() => parse('{'.repeat(1_000_000)), /nested too deeply/);
  });

  it('cut anywhere is refused', () => {
    const text = '{"a":[1,"x\\n",{0:true}],\'b\':null}';
    for (let end = 0; end < text.length; end += 1)
      assert.throws(() => parse(text.slice(0, end)), { code: 'BAD_FRAME' });
  });
});

describe('the reader of a body', () => {
  const reader = (text: string): BodyReader => new BodyReader(parse(text), 'body');

  it('gives values of their type, and defaults for what is missing or null', () => {
    const body = reader('{"t":"x","i":7,"q":"8","b":true,"w":"false","n":null,"l":["a"]}');
    assert.equal(body.text('t', 5), 'x');
    assert.equal(body.text('n', 5, 'd'), 'd');
    assert.equal(body.optionalText('n', 5), undefined);
    assert.equal(body.integer('i', 0, 10), 7);
    assert.equal(body.integer('q', 0, 10), 8);
    assert.equal(body.integer('n', 0, 10, 3), 3);
    assert.equal(body.boolean('b', false), true);
    assert.equal(body.boolean('w', true), false);
    assert.deepEqual(body.texts('l', 3, 3), ['a']);
    assert.deepEqual(body.items('n', 3), []);
  });

  it('names the field that is wrong', () => {
    const body = reader('{"t":5,"i":1.5,"b":1,"l":[1],"o":[]}');
    const wrong = (read: () => unknown, message: RegExp): void =>
      assert.throws(read, { code: 'INVALID_ARGUMENT', message });
    wrong(() => body.text('t', 5), /body\.t is 5, but must be a string/);
    wrong(() => body.text('z', 5), /body\.z is missing/);
    wrong(() => body.integer('i', 0, 9), /body\.i is 1\.5, but must be an integer from 0 to 9/);
    wrong(() => body.boolean('b', true), /true or false/);
    wrong(() => body.texts('l', 1, 1), /body\.l\[0\]/);
    wrong(() => body.entries('o', 1), /an object of at most 1 entries/);
    wrong(() => reader('[]'), /body is an array of 0, but must be an object/);
  });

  it('inside a decoder never throws', () => {
    const result = decoded(() => reader('5'));
    assert.ok('refusal' in result && result.refusal.code === 'INVALID_ARGUMENT');
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseProperties } from '../../src/config/properties-text.ts';

const read = (text: string): [string, string][] =>
  parseProperties(text).map(({ key, value }) => [key, value]);

test('the three ways to separate key and value are the same', () => {
  assert.deepEqual(read('a=1\nb: 2\nc 3\n  d  =  4'), [
    ['a', '1'],
    ['b', '2'],
    ['c', '3'],
    ['d', '4'],
  ]);
});

test('comments and empty lines say nothing, a value may hold their characters', () => {
  assert.deepEqual(read('# a=1\n\n  ! b=2\r\nc=3#4=5:6\r'), [['c', '3#4=5:6']]);
});

test('a backslash continues a line, unless it is escaped itself', () => {
  assert.deepEqual(read('a=1,\\\n   2\\\n,3\nb=x\\\\\nc=y'), [
    ['a', '1,2,3'],
    ['b', 'x\\'],
    ['c', 'y'],
  ]);
  assert.deepEqual(read('a=1\\'), [['a', '1']]);
});

test('escapes stand for characters', () => {
  assert.deepEqual(read('a\\ b\\=c=\\u0041\\t\\q\\\\'), [['a b=c', 'A\tq\\']]);
});

test('a key without a value is empty, blanks at the end do not count, a byte order mark neither', () => {
  assert.deepEqual(read('\uFEFFa\nb=\nc=1  '), [
    ['a', ''],
    ['b', ''],
    ['c', '1'],
  ]);
});

test('each entry knows the line on which it begins', () => {
  const lines = parseProperties('\na=1\\\n2\n# x\nb=3').map(({ line }) => line);
  assert.deepEqual(lines, [2, 5]);
});

test('a hundred thousand continued lines, or backslashes, are read in a moment', () => {
  const lines = 100_000;
  assert.deepEqual(read(`a=1${'\\\n2'.repeat(lines)}`), [['a', `1${'2'.repeat(lines)}`]]);
  const slashes = '\\'.repeat(lines);
  assert.deepEqual(read(`a=${slashes}b`), [['a', `${'\\'.repeat(lines / 2)}b`]]);
});

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { type Line, readLines } from '../../src/cli/line-reader.ts';

async function linesOf(chunks: readonly (Uint8Array | string)[], lengthMax = 100): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const some of readLines(Readable.from(chunks), lengthMax)) {
    lines.push(...some.map((line) => ({ ...line, bytes: Uint8Array.from(line.bytes) })));
  }
  return lines;
}

const texts = (lines: readonly Line[]): string[] =>
  lines.map(({ bytes }) => Buffer.from(bytes).toString('utf8'));

const SAMPLE = 'eins\n\nzwö\r\n{"a":"ß"}\nlast without end';

test('lines are cut at line feeds, without them and without a carriage return before', async () => {
  const lines = await linesOf([Buffer.from(SAMPLE)]);
  assert.deepEqual(texts(lines), ['eins', '', 'zwö', '{"a":"ß"}', 'last without end']);
  assert.deepEqual(
    lines.map(({ number }) => number),
    [1, 2, 3, 4, 5],
  );
});

test('it does not matter where chunks are cut, not even inside a character', async () => {
  const bytes = Buffer.from(SAMPLE);
  const whole = await linesOf([bytes]);
  for (let at = 0; at <= bytes.length; at += 1) {
    assert.deepEqual(
      await linesOf([bytes.subarray(0, at), bytes.subarray(at)]),
      whole,
      `cut at ${at}`,
    );
  }
  assert.deepEqual(await linesOf(Array.from(bytes, (byte) => Uint8Array.of(byte))), whole);
});

test('a line that is too long is counted, not kept, and the next one is whole', async () => {
  const [first, long, last] = await linesOf(['ab\n', 'x'.repeat(60), 'x'.repeat(60), '\nok\n']);
  assert.deepEqual([first?.isTooLong, long?.isTooLong, last?.isTooLong], [false, true, false]);
  assert.deepEqual([long?.length, long?.bytes.length], [120, 0]);
  assert.deepEqual(texts([last as Line]), ['ok']);
  const [exact] = await linesOf(['x'.repeat(100)]);
  assert.equal(exact?.isTooLong, false);
});

test('a byte order mark is no part of the first line, and no line follows the last line feed', async () => {
  assert.deepEqual(texts(await linesOf([Buffer.from('\ufeff{"a":1}\n')])), ['{"a":1}']);
  assert.deepEqual(await linesOf([]), []);
});

test('the source is read no faster than lines are taken', async () => {
  let given = 0;
  async function* source(): AsyncGenerator<Uint8Array> {
    for (; given < 1000; given += 1) yield Buffer.from('a\n');
  }
  for await (const lines of readLines(source(), 10)) {
    assert.equal(lines.length, 1);
    if (given >= 3) break;
  }
  assert.equal(given, 3);
});

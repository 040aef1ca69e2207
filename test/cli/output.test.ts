import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countText, sizeText, tableText, timeText } from '../../src/cli/output.ts';

test('a table has its numbers on the right, its text on the left, and a dash for nothing', () => {
  const rows = [
    { name: 'orders', count: 12, note: null },
    { name: 'x', count: 3456, note: 'ok' },
  ];
  const text = tableText(
    [
      { title: 'topic', value: (row) => row.name },
      { title: 'messages', value: (row) => row.count },
      { title: 'note', value: (row) => row.note },
    ],
    rows,
  );
  assert.equal(
    text,
    ['topic   messages  note', 'orders        12  -', 'x           3456  ok'].join('\n'),
  );
});

test('text from outside cannot command the terminal or break the table', () => {
  const text = tableText([{ title: 'a', value: (row: string) => row }], ['x\u001b[2J\ny']);
  assert.equal(text, 'a\nx\\u001b[2J\\u000ay');
});

test('sizes, times and counts are written as people read them', () => {
  assert.deepEqual([0, 1023, 1536, 64 * 1024 * 1024].map(sizeText), [
    '0 B',
    '1023 B',
    '1.5 KiB',
    '64 MiB',
  ]);
  assert.equal(timeText(1_760_000_000_000), '2025-10-09T08:53:20.000Z');
  assert.deepEqual(
    [timeText(null), timeText(0), timeText(9e15)],
    [undefined, undefined, undefined],
  );
  assert.deepEqual(
    [countText(1, 'batch'), countText(2, 'batch'), countText(0, 'entry'), countText(3, 'message')],
    ['1 batch', '2 batches', '0 entries', '3 messages'],
  );
});

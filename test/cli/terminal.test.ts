import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasColours, Progress, paint } from '../../src/cli/terminal.ts';

function stream(isTTY: boolean): {
  isTTY: boolean;
  write: (text: string) => boolean;
  written: string[];
} {
  const written: string[] = [];
  return { isTTY, written, write: (text) => written.push(text) > 0 };
}

test('colours are for terminals, and not where NO_COLOR is set', () => {
  const before = process.env['NO_COLOR'];
  try {
    delete process.env['NO_COLOR'];
    assert.equal(paint(stream(true), 'red', 'x'), '\u001b[31mx\u001b[0m');
    assert.equal(paint(stream(false), 'red', 'x'), 'x');
    process.env['NO_COLOR'] = '1';
    assert.equal(hasColours(stream(true)), false);
    process.env['NO_COLOR'] = '';
    assert.equal(hasColours(stream(true)), true);
  } finally {
    if (before === undefined) delete process.env['NO_COLOR'];
    else process.env['NO_COLOR'] = before;
  }
});

test('progress writes over one line of a terminal, and takes it away', () => {
  const terminal = stream(true);
  const progress = new Progress(true, terminal);
  progress.update(() => 'half', 0.5);
  progress.update(() => 'too soon to be seen', 0.6);
  progress.clear();
  progress.clear();
  assert.deepEqual(terminal.written, [
    `\r\u001b[2K[${'='.repeat(12)}${' '.repeat(12)}] 50 %  half`,
    '\r\u001b[2K',
  ]);
});

test('progress is silent elsewhere, and does not even make its text', () => {
  for (const [isWanted, isTTY] of [
    [true, false],
    [false, true],
  ] as const) {
    const target = stream(isTTY);
    const progress = new Progress(isWanted, target);
    progress.update(() => assert.fail('asked for its text'), 0.5);
    progress.clear();
    assert.deepEqual(target.written, []);
  }
});

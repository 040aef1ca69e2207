import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import { asUsage, errorBody, errorText, UsageError } from '../../src/cli/report-error.ts';

test('an error is code, text, causes, evidence and hint, and no stack trace', () => {
  const cause = new Error('fetch failed', { cause: new Error('connect ECONNREFUSED 127.0.0.1:1') });
  const error = new SluiceError('STORAGE_FULL', 'the disk is full', {
    cause,
    hint: 'Free space.',
    facts: { volume: '/data', freeBytes: 12 },
  });
  assert.deepEqual(errorText(error).split('\n'), [
    'STORAGE_FULL  the disk is full',
    '  cause     fetch failed',
    '  cause     connect ECONNREFUSED 127.0.0.1:1',
    '  evidence  volume=/data  freeBytes=12',
    '  hint      Free space.',
  ]);
});

test('a cause that the text names already is not told twice, and a ring of causes ends', () => {
  const ring = new Error('around');
  ring.cause = ring;
  const error = new SluiceError('STORAGE_IO', 'open x: EACCES', { cause: new Error('EACCES') });
  assert.doesNotMatch(errorText(error), /cause/);
  assert.match(
    errorText(new SluiceError('STORAGE_IO', 'read', { cause: ring })),
    /cause +around\n/,
  );
});

test('an error of several addresses tells them all', () => {
  const cause = new AggregateError(
    [new Error('connect ::1:1'), new Error('connect 127.0.0.1:1')],
    '',
  );
  const text = errorText(new SluiceError('DISCONNECTED', 'no answer', { cause }));
  assert.match(text, /connect ::1:1; connect 127\.0\.0\.1:1/);
});

test('what is no error of ours is INVARIANT with its text; control characters are written out', () => {
  const text = errorText(new Error('boom \u001b[2J'));
  assert.match(text, /^INVARIANT {2}boom \\u001b\[2J\n/);
  assert.doesNotMatch(text, /at .*:\d+/);
});

test('for programs it is the body of the wire, with the cause', () => {
  const error = new SluiceError('DISCONNECTED', 'no answer', { cause: new Error('ECONNREFUSED') });
  assert.deepEqual(errorBody(error), { ...error.toBody(), cause: 'ECONNREFUSED' });
  const usage = new UsageError('unknown option', 'See --help');
  assert.deepEqual(errorBody(usage), {
    code: 'INVALID_ARGUMENT',
    retryable: false,
    stored: false,
    message: 'unknown option',
    hint: 'See --help',
  });
});

test('a refusal of what the user wrote is wrong usage; anything else stays what it is', () => {
  const refuse = (): never => {
    throw new SluiceError('INVALID_ARGUMENT', 'no address', { hint: 'ws://…' });
  };
  assert.throws(() => asUsage(refuse), new UsageError('no address', 'ws://…'));
  const bug = new TypeError('x');
  assert.throws(
    () =>
      asUsage(() => {
        throw bug;
      }),
    bug,
  );
});

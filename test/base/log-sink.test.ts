import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recordingLogger, silentLogger } from '../../src/base/log-sink.ts';

test('a recording logger keeps lines of all its children, in order', () => {
  const { logger, lines } = recordingLogger();
  logger.child('log').child('shard').warn('disk-slow', { waitedMs: 12 });
  logger.info('ready');
  assert.deepEqual(lines, [
    { level: 'warn', folder: 'shard', event: 'disk-slow', facts: { waitedMs: 12 } },
    { level: 'info', folder: '', event: 'ready', facts: {} },
  ]);
});

test('a silent logger has silent children', () => {
  assert.equal(silentLogger.child('log'), silentLogger);
});

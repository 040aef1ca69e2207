import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import type { Logger } from '../../src/base/log-sink.ts';
import { createLogger, type LoggerOptions } from '../../src/observe/logger.ts';

const NOON_MS = Date.UTC(2026, 0, 2, 12, 0, 0, 5);
const TOKEN = 'correct-horse-battery-staple';
const ESCAPE = '\u001b';

function logging(options: LoggerOptions = {}): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  const logger = createLogger({
    pretty: false,
    clock: { epochMs: () => NOON_MS, monotonicMs: () => 0 },
    write: (line) => lines.push(line),
    ...options,
  });
  return { logger, lines };
}

function lastOf(lines: readonly string[]): Record<string, unknown> {
  return JSON.parse(lines.at(-1) ?? '') as Record<string, unknown>;
}

describe('the logger', () => {
  it('writes time, level, folder, event and facts as one line of JSON', () => {
    const { logger, lines } = logging();
    logger.child('broker').child('log').info('segment-full', { segmentBytes: 64, none: undefined });
    assert.deepEqual(lines, [
      '{"level":"info","time":"2026-01-02T12:00:00.005Z","folder":"log","event":"segment-full","segmentBytes":64}\n',
    ]);
  });

  it('writes nothing below its level', () => {
    const { logger, lines } = logging({ level: 'warn' });
    logger.info('a');
    logger.warn('b');
    logger.error('c');
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).event),
      ['b', 'c'],
    );
    const silent = logging({ level: 'silent' });
    silent.logger.error('a');
    assert.deepEqual(silent.lines, []);
  });

  it('leaves credentials out, by the name of the fact and wherever they stand', () => {
    const { logger, lines } = logging({ secrets: [TOKEN, 'a'] });
    logger.info('hello', {
      authToken: 'x',
      Authorization: 'x',
      tokenCount: 3,
      url: `/?t=${TOKEN}`,
      header: 'Bearer abcdefgh12345 rest',
      error: new SluiceError('UNAUTHENTICATED', `not ${TOKEN}`, { facts: { token: 'x' } }),
    });
    logger.info(`event ${TOKEN}`);
    assert.ok(!lines.join('').includes(TOKEN) && !lines.join('').includes('abcdefgh'));
    const facts = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
    assert.equal(facts['authToken'], '[redacted]');
    assert.equal(facts['Authorization'], '[redacted]');
    assert.equal(facts['tokenCount'], 3);
    assert.equal(facts['url'], '/?t=[redacted]');
    assert.equal(facts['header'], 'Bearer [redacted] rest');
    assert.equal(facts['error'], 'not [redacted]');
    assert.equal(facts['error.token'], '[redacted]');
  });

  it('lets nobody write lines or commands of a terminal, and loses nothing in JSON', () => {
    const evil = `a\nERROR b${ESCAPE}[2J\u009b2J\u2028c\u202ed`;
    const { logger, lines } = logging();
    logger.info(evil, { topic: evil });
    assert.equal(lines.length, 1);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
    assert.doesNotMatch((lines[0] ?? '').trimEnd(), /[\u0000-\u001f\u007f-\u009f\u2028\u202e]/);
    assert.equal(lastOf(lines)['topic'], evil);

    const people = logging({ pretty: true, colour: false });
    people.logger.child(evil).info(evil, { topic: evil });
    const text = (people.lines[0] ?? '').trimEnd();
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
    assert.doesNotMatch(text, /[\u0000-\u001f\u007f-\u009f\u2028\u202e]/);
  });

  it('cuts values that are too long, and keeps the names of a line for itself', () => {
    const { logger, lines } = logging();
    logger.warn('long', { body: 'x'.repeat(5000), level: 'mine', lag: Number.NaN });
    const line = lastOf(lines);
    assert.equal(String(line['body']).length, 1001);
    assert.equal(line['level'], 'warn');
    assert.equal(line['levelFact'], 'mine');
    assert.equal(line['lag'], 'NaN');
  });

  it('writes an error with its code, and with its frames when it is a bug', () => {
    const { logger, lines } = logging();
    const cause = new Error('EIO');
    const error = new SluiceError('STORAGE_IO', 'write failed', { cause, facts: { shardId: 2 } });
    logger.error('flush-failed', { error });
    const expected = lastOf(lines);
    assert.equal(expected['errorCode'], 'STORAGE_IO');
    assert.equal(expected['error.shardId'], 2);
    assert.equal(expected['errorCause'], 'EIO');
    assert.equal('errorStack' in expected, false);
    logger.error('bug', { error: new TypeError('x is not a function') });
    assert.match(String(lastOf(lines)['errorStack']), /^at /);
  });

  it('writes text for people on one line, with colours where they are wanted', () => {
    const { logger, lines } = logging({ pretty: true, colour: false });
    const facts = { port: 8880, dataDir: './data', reason: 'two words', empty: '' };
    logger.child('broker').info('ready', facts);
    assert.deepEqual(lines, [
      '12:00:00.005 INFO  broker     ready port=8880 dataDir=./data reason="two words" empty=""\n',
    ]);
    logger.error('bug', { error: new Error('x') });
    assert.match(lines[1] ?? '', /^12:00:00.005 ERROR {12}bug error=x errorStack="at [^\n]+"\n$/);
    const coloured = logging({ pretty: true, colour: true });
    coloured.logger.warn('disk-slow');
    assert.ok(coloured.lines[0]?.includes(`${ESCAPE}[33mWARN ${ESCAPE}[0m`));
  });

  it('writes JSON to stderr by itself, and the last line before an exit too', () => {
    const module = new URL('../../src/observe/logger.js', import.meta.url).href;
    const program = `import { createLogger } from '${module}';
      createLogger().child('cli').error('stopped', { waitedMs: 5 }); process.exit(3);`;
    const run = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
      encoding: 'utf8',
    });
    assert.equal(run.status, 3);
    assert.equal(run.stdout, '');
    assert.equal(JSON.parse(run.stderr).event, 'stopped');
  });
});

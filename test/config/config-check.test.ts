import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { SluiceError } from '../../src/base/errors.ts';
import { checkConfig, isLoopback } from '../../src/config/config-check.ts';
import { SETTING_NAMES, SETTINGS } from '../../src/config/config-schema.ts';

const TOKEN = 'correct-horse-battery-staple';

/** The message of the refusal. */
function refusal(values: Readonly<Record<string, unknown>>): string {
  try {
    checkConfig(values);
  } catch (error) {
    assert.equal((error as SluiceError).code, 'INVALID_ARGUMENT');
    return (error as SluiceError).message;
  }
  return assert.fail('it was accepted');
}

describe('checking settings', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-config-'));
  after(() => rmSync(folder, { recursive: true }));

  it('gives every setting its default, and every default passes its own check', () => {
    const config = checkConfig({});
    assert.deepEqual(Object.keys(config), SETTING_NAMES);
    for (const name of SETTING_NAMES) {
      const checked = SETTINGS[name].schema.safeParse(SETTINGS[name].defaultValue);
      assert.equal(checked.success, true, name);
      assert.deepEqual(config[name], SETTINGS[name].defaultValue, name);
    }
    assert.equal(config.flushDiskType, 'SYNC_FLUSH');
    assert.equal(config.segmentBytes, 67_108_864);
  });

  it('returns something that nobody can change', () => {
    const config = checkConfig({ retryBackoffMs: [10, 20] });
    assert.equal(Object.isFrozen(config), true);
    assert.equal(Object.isFrozen(config.retryBackoffMs), true);
  });

  it('takes an undefined value for a missing one', () => {
    assert.equal(checkConfig({ frontDoorPort: undefined }).frontDoorPort, 8880);
    assert.equal(checkConfig({ shards: undefined }).shards, undefined);
  });

  it('names key, value and what is allowed, for all that is wrong', () => {
    const text = refusal({ frontDoorPort: 70_000, segmentBytes: '3m', flushDiskTyp: 'sync' });
    assert.equal(
      text,
      [
        'frontDoorPort is 70000 (program); allowed: an integer from 0 to 65535',
        'segmentBytes is "3m" (program); allowed: a power of two from 1MiB to 1GiB; 65536, 64k and 64KiB are the same',
        'no setting is called "flushDiskTyp" (program); did you mean flushDiskType?',
      ].join('\n'),
    );
  });

  it('points from a name of RocketMQ to ours', () => {
    assert.match(refusal({ fileReservedTime: 72 }), /did you mean fileReservedTimeHours\?/);
  });

  it('shows neither long values nor line ends, and of a token nothing at all', () => {
    const text = refusal({ brokerName: `a\n${'b'.repeat(200)}` });
    assert.ok(text.length < 250 && !text.includes('\n'), text);
    const secret = 'not allowed because of the blanks';
    assert.ok(!refusal({ authToken: secret }).includes(secret));
  });

  it('is not confused by names that every object has', () => {
    assert.match(refusal({ constructor: 1 }), /no setting is called "constructor"/);
    assert.match(refusal(JSON.parse('{"__proto__": 1}')), /no setting is called "__proto__"/);
  });

  it('refuses ratios the wrong way round', () => {
    assert.match(refusal({ diskSoftRatio: 0.9, diskHardRatio: 0.8 }), /^diskSoftRatio is 0.9 and/);
    checkConfig({ diskSoftRatio: 0.9, diskHardRatio: 0.9 });
  });

  it('refuses to listen where others can reach it without a token', () => {
    assert.match(
      refusal({ listenAddress: '0.0.0.0' }),
      /^listenAddress is "0.0.0.0", which others/,
    );
    assert.match(refusal({ listenAddress: '::' }), /there is no token/);
    checkConfig({ listenAddress: '0.0.0.0', authToken: TOKEN });
    checkConfig({ listenAddress: '0.0.0.0', insecureIUnderstand: true });
    for (const address of ['127.0.0.1', '127.9.9.9', '::1', 'localhost']) {
      assert.equal(checkConfig({ listenAddress: address }).listenAddress, address);
    }
    assert.equal(isLoopback('127.0.0.1.example'), false);
  });

  it('reads the token from a file, and says what is wrong with the file', () => {
    const file = join(folder, 'token');
    writeFileSync(file, `${TOKEN}\n`);
    assert.equal(checkConfig({ authTokenFile: file }).authToken, TOKEN);
    assert.match(refusal({ authTokenFile: file, authToken: TOKEN }), /both set/);
    assert.match(refusal({ authTokenFile: join(folder, 'none') }), /cannot be read: ENOENT/);
    writeFileSync(file, 'a'.repeat(5000));
    assert.match(refusal({ authTokenFile: file }), /is no token; allowed: 16 to 1024 characters/);
    writeFileSync(file, '');
    assert.match(refusal({ authTokenFile: file }), /is no token/);
  });
});

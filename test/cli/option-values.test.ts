import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InvalidArgumentError } from 'commander';
import { oneOf, seekTarget, startingPoint, wholeNumber } from '../../src/cli/option-values.ts';
import { byteCount, milliseconds, millisecondsList } from '../../src/cli/setting-options.ts';
import { targetOf } from '../../src/cli/target.ts';

describe('values of options', () => {
  test('are read as what they mean', () => {
    assert.equal(wholeNumber(1, 10)('7'), 7);
    assert.equal(oneOf(['a', 'b'])('b'), 'b');
    assert.equal(startingPoint('earliest'), 'earliest');
    assert.equal(startingPoint('1760000000000'), 1_760_000_000_000);
    assert.equal(startingPoint('2026-01-31T12:00:00Z'), '2026-01-31T12:00:00Z');
    assert.deepEqual(seekTarget('0=17, 3=20'), { 0: 17, 3: 20 });
    assert.equal(seekTarget('latest'), 'latest');
    assert.equal(byteCount('10k'), 10_240);
    assert.equal(milliseconds('72h'), 259_200_000);
    assert.deepEqual(millisecondsList('1s,5s,1m'), [1000, 5000, 60_000]);
  });

  test('are refused with what is allowed', () => {
    const wrong: readonly (() => unknown)[] = [
      () => wholeNumber(1, 10)('11'),
      () => wholeNumber(1, 10)('-1'),
      () => wholeNumber(1, 10)('1.5'),
      () => wholeNumber(0, 10)(''),
      () => oneOf(['a'])('b'),
      () => startingPoint('yesterday'),
      () => seekTarget('0=x'),
      () => byteCount('many'),
      () => milliseconds('-1s'),
    ];
    for (const read of wrong) {
      assert.throws(
        read,
        (error) => error instanceof InvalidArgumentError && /Allowed: /.test(error.message),
      );
    }
  });
});

describe('the broker that is meant', () => {
  const withEnvironment = (values: Readonly<Record<string, string>>, run: () => void): void => {
    const names = ['SLUICE_SERVERS', 'SLUICE_TOKEN', 'SLUICE_AUTH_TOKEN'];
    const before = names.map((name) => process.env[name]);
    for (const name of names) delete process.env[name];
    Object.assign(process.env, values);
    try {
      run();
    } finally {
      for (const [index, name] of names.entries()) {
        const value = before[index];
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  };

  test('is one address for WebSocket and HTTP, however it is written', () => {
    withEnvironment({}, () => {
      for (const url of ['ws://h:1', 'http://h:1', 'h:1', 'ws://h:1/v1/ws']) {
        const { ws, http } = targetOf({ url });
        assert.deepEqual([ws, http], ['ws://h:1/v1/ws', 'http://h:1'], url);
      }
      assert.equal(targetOf({}).http, 'http://127.0.0.1:8880');
      assert.throws(() => targetOf({ url: 'ftp://h' }), { name: 'UsageError' });
    });
  });

  test('comes from the option, then the environment', () => {
    withEnvironment({ SLUICE_SERVERS: 'h:1, h:2', SLUICE_AUTH_TOKEN: 'broker' }, () => {
      assert.deepEqual([targetOf({}).http, targetOf({}).token], ['http://h:1', 'broker']);
      assert.equal(targetOf({ url: 'h:3', token: 'mine' }).http, 'http://h:3');
      assert.equal(targetOf({ token: 'mine' }).token, 'mine');
    });
    withEnvironment({ SLUICE_TOKEN: 'client', SLUICE_AUTH_TOKEN: 'broker' }, () => {
      assert.equal(targetOf({}).token, 'client');
    });
  });
});

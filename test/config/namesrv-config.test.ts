/** The configuration of a NameServer: its own names, its secrets, and the environment that it shares with brokers. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { loadConfig, loadNamesrvConfig } from '../../src/config/config-load.ts';
import { temporaryDirectory } from '../../src/testing/cli-run.ts';

describe('the configuration of a NameServer', () => {
  it('has a default for everything', () => {
    const { config, warnings } = loadNamesrvConfig({ environment: {} });
    assert.equal(config.listenPort, 9876);
    assert.equal(config.bindAddress, '127.0.0.1');
    assert.equal(config.brokerTimeoutMs, 120_000);
    assert.ok(Object.isFrozen(config));
    assert.deepEqual(warnings, []);
  });

  it('passes over variables of a broker, as a broker over its own; others are mistakes', () => {
    const environment = {
      SLUICE_FRONT_DOOR_PORT: '9000',
      SLUICE_LISTEN_PORT: '9877',
      SLUICE_BIND_ADDRESS: '::1',
      SLUICE_BROKER_ROLE: 'SYNC_MASTER',
    };
    const { config, origins } = loadNamesrvConfig({ environment });
    assert.equal(config.listenPort, 9877);
    assert.equal(config.bindAddress, '::1');
    assert.equal(origins.get('listenPort'), 'environment, SLUICE_LISTEN_PORT');
    assert.equal(loadConfig({ environment }).config.frontDoorPort, 9000);
    assert.throws(() => loadNamesrvConfig({ environment: { SLUICE_LISEN_PORT: '1' } }), {
      message: /no setting is called "SLUICE_LISEN_PORT".*did you mean SLUICE_LISTEN_PORT\?/,
    });
  });

  it('takes RocketMQ\u2019s properties, and stops at what looks mistyped', () => {
    const { path, remove } = temporaryDirectory();
    const file = join(path, 'namesrv.properties');
    const load = (text: string): ReturnType<typeof loadNamesrvConfig> => {
      writeFileSync(file, text);
      return loadNamesrvConfig({ file, environment: {} });
    };
    const known =
      'rocketmqHome=/opt\nkvConfigPath=/k\nconfigStorePath=/c\nproductEnvName=center\nclusterTest=false\n' +
      'defaultThreadPoolNums=16\nclientRequestThreadPoolNums=8\nnotifyMinBrokerIdChanged=false\n' +
      'unRegisterBrokerQueueCapacity=3000\nserverSelectorThreads=3\nserverSocketSndBufSize=0\n';
    const { config, warnings } = load(
      `${known}listenPort=9880\nscanNotActiveBrokerInterval=7000\n`,
    );
    assert.equal(config.listenPort, 9880);
    assert.equal(config.scanNotActiveBrokerInterval, 7000);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /^these keys have no effect here: rocketmqHome, .*SndBufSize$/);
    assert.throws(() => load('listenPrt=1\n'), /did you mean listenPort\?/);
    assert.throws(() => load('listenPort=x\n'), /listenPort is "x"/);
    remove();
  });

  it('reads secrets from files, and shows none', () => {
    const { path, remove } = temporaryDirectory();
    const file = join(path, 'secret');
    writeFileSync(file, 'a-secret-of-some-length\n');
    const flags = { registrationTokenFile: file, accessKey: 'key', secretKeyFile: file };
    const { config } = loadNamesrvConfig({ flags, environment: {} });
    assert.equal(config.registrationToken, 'a-secret-of-some-length');
    assert.equal(config.secretKey, 'a-secret-of-some-length');
    const both = { registrationTokenFile: file, registrationToken: 'another-secret-of-length' };
    assert.throws(
      () => loadNamesrvConfig({ flags: both, environment: {} }),
      /registrationToken and registrationTokenFile are both set/,
    );
    assert.throws(
      () => loadNamesrvConfig({ flags: { registrationToken: 'short' }, environment: {} }),
      (error: Error) => !error.message.includes('"short"') && /not shown/.test(error.message),
    );
    remove();
  });
});

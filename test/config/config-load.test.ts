import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { loadConfig } from '../../src/config/config-load.ts';
import { environmentNameOf, flagNameOf } from '../../src/config/setting-names.ts';

describe('loading the configuration', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-config-'));
  after(() => rmSync(folder, { recursive: true }));

  const written = (name: string, content: string): string => {
    const file = join(folder, name);
    writeFileSync(file, content);
    return file;
  };

  const keys = (count: number): string =>
    Array.from({ length: count }, (_, index) => `key${index}: 1\n`).join('');

  it('lets flags win over the environment, the environment over the file, the file over defaults', () => {
    const file = written(
      'order.yaml',
      'shards: 1\nleaseMs: 1s\nbrokerName: file\ninSyncReplicas: 7\n',
    );
    const { config, origins, warnings } = loadConfig({
      file,
      defaults: { shards: 9, autoCreateTopicEnable: true },
      environment: { SLUICE_SHARDS: '2', SLUICE_LEASE_MS: '2s', HOME: '/x' },
      flags: { shards: '3', memory: true, brokerName: undefined },
    });
    assert.equal(config.shards, 3);
    assert.equal(config.leaseMs, 2000);
    assert.equal(config.brokerName, 'file');
    assert.equal(config.autoCreateTopicEnable, true);
    assert.equal(config.memory, true);
    assert.equal(origins.get('shards'), 'flag, --shards');
    assert.equal(origins.get('leaseMs'), 'environment, SLUICE_LEASE_MS');
    assert.equal(origins.get('inSyncReplicas'), file);
    assert.equal(origins.get('autoCreateTopicEnable'), 'default of the command');
    assert.equal(origins.get('segmentBytes'), 'default');
    assert.deepEqual(warnings, []);
  });

  it('tells YAML, JSON and properties apart by name and by content', () => {
    const files = [
      written('a.json', '{ "frontDoorPort": 1234 }'),
      written('a.yml', '# comment\nfrontDoorPort: 1234'),
      written('a.properties', 'frontDoorPort: 1234'),
      written('broker.conf', '# comment\n\nfrontDoorPort = 1234'),
      written('config', '---\nfrontDoorPort: 1234'),
      written('other', '{"frontDoorPort":1234}'),
    ];
    for (const file of files) assert.equal(loadConfig({ file }).config.frontDoorPort, 1234, file);
    assert.equal(loadConfig({ file: written('b.yaml', '') }).config.frontDoorPort, 8880);
    const environment = { SLUICE_CONFIG: files[0] };
    assert.equal(loadConfig({ environment }).config.frontDoorPort, 1234);
  });

  it('warns once about everything without effect', () => {
    const file = written(
      'warn.conf',
      'brokerRole=SLAVE\nbrokerId=1\ndeleteWhen=04\nhaListenPort=1',
    );
    const { warnings } = loadConfig({ file, environment: { SLUICE_NAMESRV_ADDR: 'a:9876' } });
    assert.deepEqual(warnings, ['these keys have no effect here: deleteWhen']);
  });

  it('names key, value and place of everything that is wrong at once', () => {
    const file = written('wrong.yaml', 'transport: quic\nshard: 2\nleaseMs:\n');
    const sources = {
      file,
      environment: { SLUICE_FRONT_DOR_PORT: '1', SLUICE_SHARDS: 'many' },
      flags: { memroy: true, shards: 4 },
    };
    assert.throws(
      () => loadConfig(sources),
      (error: Error) => {
        assert.deepEqual(error.message.split('\n'), [
          `transport is "quic" (${file}); allowed: auto, uws, ws`,
          `no setting is called "shard" (${file}); did you mean shards?`,
          `leaseMs is null (${file}); allowed: a duration from 1s to 12h; 30000, 30s and 0.5m are the same`,
          'no setting is called "SLUICE_FRONT_DOR_PORT" (environment); did you mean SLUICE_FRONT_DOOR_PORT?',
          'shards is "many" (environment, SLUICE_SHARDS); allowed: an integer from 1 to 64',
          'no setting is called "--memroy" (flag); did you mean --memory?',
        ]);
        return true;
      },
    );
  });

  it('does not take the variables of a Kubernetes service called sluice for its own', () => {
    const environment = {
      SLUICE_SERVICE_HOST: '10.0.0.1',
      SLUICE_SERVICE_PORT_WS: '8880',
      SLUICE_PORT: 'tcp://10.0.0.1:8880',
      SLUICE_FRONT_DOOR_PORT: 'tcp://10.0.0.1:8880',
      SLUICE_PORT_8880_TCP_ADDR: '10.0.0.1',
      SLUICE_SERVERS: 'ws://10.0.0.1:8880',
    };
    assert.equal(loadConfig({ environment }).config.frontDoorPort, 8880);
  });

  it('takes a file of 64 KiB', () => {
    const file = written('full.yaml', 'shards: 3\n'.padEnd(65_536, '#'));
    assert.equal(loadConfig({ file }).config.shards, 3);
  });

  it('says what is wrong with a file that cannot be read, without showing what is in it', () => {
    const secret = 'correct-horse-battery-staple';
    const broken = written('broken.yaml', `brokerId: 1\nauthToken: "${secret}\n`);
    const expected = /not readable as YAML or JSON: Missing closing "quote at line 3/;
    assert.throws(
      () => loadConfig({ file: broken }),
      (error: Error) => expected.test(error.message) && !error.message.includes(secret),
    );
    const cases = [
      [written('list.yaml', '- 1'), /it is not a list of keys and values/],
      [written('twice.yaml', 'shards: 1\nshards: 2'), /Map keys must be unique at line 2/],
      [written('alias.yaml', 'shards: *x'), /not readable as YAML or JSON/],
      [written('big.yaml', '#'.repeat(65_537)), /has 65537 bytes; allowed: 65536/],
      [written('many.yaml', keys(60_000)), /has \d+ bytes; allowed: 65536/],
      [join(folder, 'none.yaml'), /cannot be read: ENOENT/],
    ] as const;
    for (const [file, message] of cases) assert.throws(() => loadConfig({ file }), message, file);
  });

  it('does not trip over names that every object has', () => {
    const file = written('proto.yaml', '__proto__: 1\nconstructor: 2');
    assert.throws(() => loadConfig({ file }), /"__proto__".*\n.*"constructor"/);
  });

  it('has one spelling of a name for each place', () => {
    assert.equal(environmentNameOf('insecureIUnderstand'), 'SLUICE_INSECURE_I_UNDERSTAND');
    assert.equal(environmentNameOf('brokerIP1'), 'SLUICE_BROKER_IP1');
    assert.equal(flagNameOf('storePathRootDir'), '--store-path-root-dir');
  });
});

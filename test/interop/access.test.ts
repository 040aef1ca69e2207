/**
 * Accounts and TLS as RocketMQ's own programs have them: Java clients 4.9.8 and 5.3.3 that sign with AclClientRPCHook over TLS and
 * verify this broker's certificate, and mqadmin with the account of its conf/tools.yml. Needs Java and Maven, and says so without
 * them.
 *
 *   npm run test:interop -- access
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { temporaryDirectory } from '../../src/testing/cli-run.ts';
import { faultOf, type ScenarioResult } from '../../src/testing/client-scenarios.ts';
import { compileJavaClients, runJavaScenarios } from '../../src/testing/java-clients.ts';
import { fetchRocketmq, type JavaForm, runMqadmin } from '../../src/testing/java-tools.ts';
import { RocketmqTarget } from '../../src/testing/rocketmq-target.ts';
import { TLS_FILES } from '../../src/testing/tls-asker.ts';

const VERSIONS: readonly (readonly [string, JavaForm])[] = [
  ['4.9.8', 'JSON'],
  ['5.3.3', 'ROCKETMQ'],
];

const ACL = `
accounts:
  - accessKey: shop-writer
    secretKey: secret-of-shop-writer
    topicPerms:
      - shop-orders=PUB
  - accessKey: shop-reader
    secretKey: secret-of-shop-reader
    topicPerms:
      - shop-orders=SUB
    groupPerms:
      - shop-group=SUB
  - accessKey: shop-operator
    secretKey: secret-of-shop-operator
    admin: true
`;

/** What each scenario must say it found. */
const SCENARIOS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'access-granted': { messages: 21 },
  'access-wrong-key': { refused: 3 },
  'access-no-right': { refused: 2 },
};

/** @source RocketMQ TlsSystemConfig */
const JAVA_TLS: readonly string[] = [
  ...['-Dtls.enable=true', '-Dtls.test.mode.enable=false', '-Dtls.client.authServer=true'],
  `-Dtls.client.trustCertPath=${TLS_FILES.remotingTlsCertFile}`,
];

/** A consumer takes up the retry topic that its group gets within seconds, and not within a minute. */
const JAVA_QUICK: readonly string[] = [
  ...[
    '-Drocketmq.client.rebalance.waitInterval=500',
    '-Drocketmq.client.rebalance.minInterval=200',
  ],
];

for (const [version, form] of VERSIONS) {
  const compiled = compileJavaClients(version, 'rocketmq-tools');
  const skip = 'obstacle' in compiled ? compiled.obstacle : false;
  describe(`accounts of rocketmq-client ${version}, ${form} headers`, { skip }, () => {
    const directory = temporaryDirectory();
    let target: RocketmqTarget | undefined;
    let results: ReadonlyMap<string, ScenarioResult> = new Map();

    before(async () => {
      assert.ok('classPath' in compiled);
      const aclFile = join(directory.path, 'plain_acl.yml');
      writeFileSync(aclFile, ACL);
      const tls = { ...TLS_FILES, remotingTlsMode: 'enforcing' as const };
      target = await RocketmqTarget.start('sluice', {
        settings: { ...tls, aclEnable: 'true', aclFile },
        // Brokers register without.
        nameServer: { tls: { ...tls, remotingTlsMode: 'permissive' } },
      });
      results = await runJavaScenarios({
        ...{ classPath: compiled.classPath, namesrv: target.namesrv, form },
        ...{ scenarios: Object.keys(SCENARIOS), home: target.home(`java-${version}`) },
        // In their order: the messages of the first are what the others ask for.
        ...{ threads: 1, properties: [...JAVA_TLS, ...JAVA_QUICK] },
      });
    });
    after(async () => {
      await target?.close();
      directory.remove();
    });

    for (const [scenario, facts] of Object.entries(SCENARIOS))
      it(`${scenario}, over TLS`, () => {
        assert.equal(faultOf(results, scenario, facts), undefined);
      });
  });

  const tools = fetchRocketmq('rocketmq-tools', version);
  const toolsSkip = 'obstacle' in tools ? tools.obstacle : false;
  it(`mqadmin ${version} may do what its account may`, { skip: toolsSkip }, async (t) => {
    assert.ok('classPath' in tools);
    const directory = temporaryDirectory();
    t.after(() => directory.remove());
    const aclFile = join(directory.path, 'plain_acl.yml');
    writeFileSync(aclFile, ACL);
    const target = await RocketmqTarget.start('sluice', { settings: { aclFile } });
    t.after(() => target.close());
    const commands = [
      `updateTopic -b ${target.brokerAddress} -t shop-orders -r 2 -w 2`,
      `brokerStatus -b ${target.brokerAddress}`,
    ];
    const outputs: string[] = [];
    for (const account of ['shop-operator', 'shop-reader']) {
      const home = target.home(`tools-${account}`);
      mkdirSync(join(home, 'conf'), { recursive: true });
      writeFileSync(
        join(home, 'conf', 'tools.yml'),
        `accessKey: ${account}\nsecretKey: secret-of-${account}\n`,
      );
      outputs.push(...(await runMqadmin(tools.classPath, commands, home, form)));
    }
    const [made = '', status = '', refused = '', hidden = ''] = outputs;
    assert.match(made, /create topic to .* success/);
    assert.match(status, /bootTimestamp/);
    assert.match(refused, /shop-reader is no admin, which UPDATE_AND_CREATE_TOPIC asks for/);
    assert.match(hidden, /shop-reader is no admin, which GET_BROKER_RUNTIME_INFO asks for/);
  });
}

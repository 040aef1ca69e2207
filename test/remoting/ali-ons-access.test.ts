/** `ali-ons` of npm with the key of an account: it signs another way than Java. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { REQUEST_CODES } from '../../src/protocol/remoting/request-codes.ts';
import { bytesOf, sendFields, signedAs } from '../../src/testing/access-rig.ts';
import { AliClients, loadAliOns } from '../../src/testing/ali-ons.ts';
import { temporaryDirectory } from '../../src/testing/cli-run.ts';
import { until } from '../../src/testing/e2e-broker.ts';
import { RemotingClient } from '../../src/testing/remoting-client.ts';
import { RocketmqTarget, targetKind } from '../../src/testing/rocketmq-target.ts';

const ons = loadAliOns();
const skip =
  ons === undefined
    ? 'ali-ons is not installed'
    : targetKind() === 'apache' && 'accounts of a broker of ours';

const ACL = `
accounts:
  - accessKey: ali-account
    secretKey: secret-of-ali
    topicPerms: [ali-own=PUB|SUB]
    groupPerms: [ali-group=SUB]
`;
const KEY = { accessKey: 'ali-account', secretKey: 'secret-of-ali' };

it('ali-ons sends, consumes and sends back with the rights of its account', {
  skip,
}, async (t) => {
  assert.ok(ons !== undefined);
  const directory = temporaryDirectory();
  const aclFile = join(directory.path, 'plain_acl.yml');
  writeFileSync(aclFile, ACL);
  const target = await RocketmqTarget.start('sluice', { settings: { aclFile } });
  // It does not make topics by sending to them.
  const maker = await RemotingClient.connect(Number(target.brokerAddress.split(':')[1]));
  t.after(() => maker.close());
  const first = signedAs(KEY, { fields: sendFields('ali-own'), body: bytesOf('first') });
  assert.equal((await maker.ask(REQUEST_CODES.SEND_MESSAGE_V2, first)).code, 0);
  const nameServer = await RemotingClient.connect(Number(target.namesrv.split(':')[1]));
  t.after(() => nameServer.close());
  const route = { fields: { topic: 'ali-own' } };
  await until(
    'the NameServer knows the topic',
    async () => (await nameServer.ask(REQUEST_CODES.GET_ROUTEINFO_BY_TOPIC, route)).code === 0,
  );
  const clients = await AliClients.start(ons, target.namesrv, KEY);
  t.after(async () => {
    await clients.end();
    await target.close();
    directory.remove();
  });
  const producer = await clients.producer('ali-producers', 'own', KEY);
  const consumer = await clients.consumer('ali-group', 'reader', KEY);
  const bodies: string[] = [];
  consumer.subscribe('ali-own', '*', async (message) => {
    bodies.push(`${message.body.toString()} ${message.reconsumeTimes}`);
    return message.body.toString() === 'again' && message.reconsumeTimes === 0
      ? ons.Consumer.ACTION_RETRY
      : undefined;
  });
  for (const body of ['one', 'again']) await producer.send(new ons.Message('ali-own', 'tag', body));
  await until('everything is consumed', () => bodies.length === 4, 60_000);
  assert.deepEqual([...bodies].sort(), ['again 0', 'again 1', 'first 0', 'one 0']);
});

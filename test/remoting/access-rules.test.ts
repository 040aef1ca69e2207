/** Where rights come from and when they hold: the file as it changes, the address that asks, the secret over TLS, questions of the broker. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { recordingLogger } from '../../src/base/log-sink.ts';
import { AclFileSource } from '../../src/broker/acl-file-source.ts';
import { createBroker } from '../../src/broker/create-broker.ts';
import { CommandView } from '../../src/protocol/remoting/command.ts';
import { decodeCommand } from '../../src/protocol/remoting/command-decoder.ts';
import { encodeCommand } from '../../src/protocol/remoting/command-encoder.ts';
import { REQUEST_CODES as REQUESTS } from '../../src/protocol/remoting/request-codes.ts';
import { RESPONSE_CODES as RESPONSES } from '../../src/protocol/remoting/response-codes.ts';
import { AccessGuard } from '../../src/remoting/access-guard.ts';
import { parseAclFile } from '../../src/remoting/acl-file.ts';
import {
  AccessRig,
  bytesOf,
  halfFields,
  sendFields,
  signedAs,
} from '../../src/testing/access-rig.ts';
import { temporaryDirectory } from '../../src/testing/cli-run.ts';
import { until } from '../../src/testing/e2e-broker.ts';
import type { TcpConnection } from '../../src/transport/tcp.ts';

const ADMIN = { accessKey: 'an-admin', secretKey: 'secret-of-an-admin' };
const USER = { accessKey: 'one-user', secretKey: 'secret-of-one-user' };
const OTHER = { accessKey: 'other-user', secretKey: 'secret-of-other-user' };

const lines = ({ accessKey, secretKey }: typeof ADMIN, rights: string): string =>
  `  - accessKey: ${accessKey}\n    secretKey: ${secretKey}\n    ${rights}\n`;
const aclOf = (rights: string, other = 'defaultTopicPerm: DENY'): string =>
  `accounts:\n${lines(ADMIN, 'admin: true')}${lines(USER, rights)}${lines(OTHER, other)}`;

describe('the file of accounts, while the broker runs', () => {
  it('counts again when it has changed and is at rest, and holds when it is wrong or gone', (t) => {
    const directory = temporaryDirectory();
    t.after(() => directory.remove());
    const path = join(directory.path, 'acl.yml');
    const { logger, lines: logged } = recordingLogger();
    writeFileSync(path, aclOf('topicPerms: [a=PUB]'));
    const source = new AclFileSource(path, logger);
    assert.equal(source.rules.accounts.size, 3);
    assert.equal(source.changed(), undefined);
    writeFileSync(path, aclOf('topicPerms: [b=PUB]'));
    assert.equal(source.changed(), undefined, 'it may not be whole yet');
    const rules = source.changed();
    assert.equal(rules?.accounts.get(USER.accessKey)?.topicPerms.has('b'), true);
    assert.equal(source.changed(), undefined);
    writeFileSync(path, aclOf('topicPerms: [b=READ]'));
    assert.deepEqual(
      [source.changed(), source.changed(), source.changed()],
      [...[undefined, undefined, undefined]],
    );
    rmSync(path);
    assert.deepEqual([source.changed(), source.changed()], [undefined, undefined]);
    assert.deepEqual(
      logged.map(({ level, event }) => [level, event]),
      [
        ['info', 'acl-changed'],
        ['error', 'acl-refused'],
        ['error', 'acl-refused'],
      ],
    );
    assert.match(String(logged[1]?.facts['error']), /line \d+: topicPerms has "b=READ"/);
    assert.ok(!JSON.stringify(logged).includes(USER.secretKey));
    writeFileSync(path, aclOf('topicPerms: [c=PUB]'));
    source.changed();
    assert.equal(source.changed()?.accounts.size, 3);
  });

  it('gives and takes rights without a restart', async (t) => {
    const rig = await AccessRig.start(aclOf('defaultTopicPerm: DENY'), ADMIN);
    t.after(() => rig.close());
    await rig.stored(sendFields('own'));
    const code = async (): Promise<number> => {
      const asked = { fields: sendFields('own'), body: bytesOf('m') };
      return (await rig.ask(USER, REQUESTS.SEND_MESSAGE_V2, asked)).code;
    };
    assert.equal(await code(), RESPONSES.NO_PERMISSION);
    writeFileSync(rig.aclFile, aclOf('topicPerms: [own=PUB]'));
    await until('the right is given', async () => (await code()) === RESPONSES.SUCCESS);
    writeFileSync(rig.aclFile, aclOf('topicPerms: [own=SUB]'));
    await until('the right is taken', async () => (await code()) === RESPONSES.NO_PERMISSION);
  });

  it('that is wrong, or is not there, stops the start', async (t) => {
    const directory = temporaryDirectory();
    t.after(() => directory.remove());
    const aclFile = join(directory.path, 'acl.yml');
    const start = (config: Record<string, unknown>) => createBroker({ memory: true, config });
    await assert.rejects(start({ remotingPort: 0, aclFile }), /the ACL file .* cannot be read/);
    writeFileSync(aclFile, aclOf('admin: perhaps'));
    await assert.rejects(start({ remotingPort: 0, aclFile }), /line 7: admin is "perhaps"/);
    await assert.rejects(start({ aclFile, aclEnable: false }), /aclEnable is false and aclFile is/);
    await assert.rejects(start({ aclFile, ...USER }), /accessKey and aclFile .* are both set/);
    await assert.rejects(
      start({ remotingPort: 0, aclEnable: true }),
      /the ACL file "conf\/plain_acl.yml" cannot be read/,
    );
  });
});

describe('who asks', () => {
  const rules = parseAclFile(
    `globalWhiteRemoteAddresses: [10.7.0.*]\n${aclOf('whiteRemoteAddress: 10.8.0.1')}`,
    'acl.yml',
  );
  const guard = new AccessGuard({ rules, changed: () => undefined });
  guard.serve({ replyTopic: 'r', topicAt: () => Promise.resolve('t') });

  function refusal(
    from: { readonly remoteAddress: string; readonly isSecure?: boolean },
    signer: { readonly accessKey?: string; readonly secretKey?: string },
  ): unknown {
    const { fields = {} } = signedAs(signer, { fields: { topic: 'own', queueId: '0' } });
    const view = new CommandView();
    const command = {
      ...{ code: REQUESTS.GET_MAX_OFFSET, opaque: 1, flag: 0 },
      fields: new Map(Object.entries(fields)),
    };
    decodeCommand(encodeCommand(command), view);
    const connection = { isSecure: false, ...from } as unknown as TcpConnection;
    return guard.admission(view, connection, true);
  }

  it('from another machine signs over TLS only', () => {
    const remoteAddress = '10.0.0.9';
    assert.match(String(refusal({ remoteAddress }, ADMIN)), /counts over TLS only/);
    assert.equal(refusal({ remoteAddress, isSecure: true }, ADMIN), undefined);
    assert.match(String(refusal({ remoteAddress, isSecure: true }, {})), /not signed/);
    assert.equal(refusal({ remoteAddress: '127.0.0.1' }, ADMIN), undefined);
    assert.equal(refusal({ remoteAddress: '::1' }, ADMIN), undefined);
  });

  it('from a white address need not sign', () => {
    assert.equal(refusal({ remoteAddress: '10.7.0.9' }, {}), undefined);
    assert.match(String(refusal({ remoteAddress: '10.70.0.9' }, {})), /counts over TLS only/);
    const wrong = { ...USER, secretKey: 'guessed-secret' };
    assert.equal(refusal({ remoteAddress: '10.8.0.1' }, wrong), undefined);
    // That address is the account's, and nobody else's.
    assert.notEqual(refusal({ remoteAddress: '10.8.0.1' }, { ...wrong, ...OTHER }), undefined);
    assert.notEqual(refusal({ remoteAddress: '10.8.0.1' }, {}), undefined);
  });
});

describe('questions about half messages', () => {
  it('are not shown to who calls itself a producer of the group and has no right on the topic', async (t: TestContext) => {
    const acl = aclOf('topicPerms: [own=PUB]', 'topicPerms: [secret=PUB]');
    const rig = await AccessRig.start(acl, ADMIN, { transactionCheckInterval: 100 });
    t.after(() => rig.close());
    await rig.stored(sendFields('secret'));
    const [curious, entitled] = [await rig.connect(), await rig.connect()];
    t.after(() => [curious, entitled].map((client) => client.close()));
    const beat = (clientID: string): { readonly body: Uint8Array } => ({
      body: bytesOf(JSON.stringify({ clientID, producerDataSet: [{ groupName: 'producers' }] })),
    });
    const heard = await curious.ask(REQUESTS.HEART_BEAT, signedAs(USER, beat('a')));
    assert.equal(heard.code, RESPONSES.SUCCESS, heard.remark);
    // The one that sent last would be asked, when nobody else can be.
    await curious.ask(
      REQUESTS.SEND_MESSAGE_V2,
      signedAs(USER, { fields: halfFields('own'), body: bytesOf('m') }),
    );
    const half = await entitled.ask(
      REQUESTS.SEND_MESSAGE_V2,
      signedAs(OTHER, { fields: halfFields('secret', 0), body: bytesOf('not for everybody') }),
    );
    assert.equal(half.code, RESPONSES.SUCCESS, half.remark);
    await entitled.ask(REQUESTS.HEART_BEAT, signedAs(OTHER, beat('b')));
    const asked = (): number =>
      entitled.told.filter(({ code }) => code === REQUESTS.CHECK_TRANSACTION_STATE).length;
    await until('who may be asked is asked, more than once', () => asked() > 2);
    assert.deepEqual(curious.told, []);
  });
});

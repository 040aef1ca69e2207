/** Who may speak to the port of RocketMQ's clients: TLS beside plain connections or alone, and signed requests. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { type Broker, createBroker } from '../../src/broker/create-broker.ts';
import type { BrokerConfig } from '../../src/config/config-schema.ts';
import { REQUEST_CODES as REQUESTS } from '../../src/protocol/remoting/request-codes.ts';
import { RESPONSE_CODES as RESPONSES } from '../../src/protocol/remoting/response-codes.ts';
import { signedAs } from '../../src/testing/access-rig.ts';
import { RemotingClient } from '../../src/testing/remoting-client.ts';
import { askTls, TLS_FILES as FILES, openTls } from '../../src/testing/tls-asker.ts';

const KEY = { accessKey: 'reader', secretKey: 'whisper' };

async function start(t: TestContext, config: Partial<BrokerConfig>): Promise<number> {
  const broker: Broker = await createBroker({
    memory: true,
    config: { remotingPort: 0, ...config },
  });
  t.after(() => broker.close());
  return Number(broker.ready.remoting?.split(':')[1]);
}

function signed(fields: Record<string, string>, secretKey: string): Record<string, string> {
  return { ...signedAs({ ...KEY, secretKey }, { fields }).fields };
}

describe('TLS on the port of RocketMQ clients', () => {
  it('is there beside plain connections, when there is a certificate', async (t) => {
    const port = await start(t, FILES);
    const answer = await askTls(await openTls(port, t), REQUESTS.GET_MAX_OFFSET);
    assert.equal(answer.opaque, 7);
    assert.equal(answer.code, RESPONSES.INVALID_PARAMETER);
    const plain = await RemotingClient.connect(port);
    t.after(() => plain.close());
    const code = (await plain.ask(REQUESTS.GET_MAX_OFFSET)).code;
    assert.equal(code, RESPONSES.INVALID_PARAMETER);
  });

  it('is all there is, when it is enforced', async (t) => {
    const port = await start(t, { ...FILES, remotingTlsMode: 'enforcing' });
    const answer = await askTls(await openTls(port, t), REQUESTS.GET_MAX_OFFSET);
    assert.equal(answer.opaque, 7);
    const plain = await RemotingClient.connect(port);
    plain.send(REQUESTS.GET_MAX_OFFSET);
    await plain.closed;
  });

  it('needs files that belong together', async () => {
    const wrong = { ...FILES, remotingTlsKeyFile: FILES.remotingTlsCertFile };
    await assert.rejects(
      createBroker({ memory: true, config: { remotingPort: 0, ...wrong } }),
      /remotingTlsKeyFile cannot be used/,
    );
    await assert.rejects(
      createBroker({ memory: true, config: { remotingTlsMode: 'enforcing' } }),
      /remotingTlsMode is enforcing; allowed/,
    );
  });
});

describe('the access key of RocketMQ clients', () => {
  it('is asked of every request, and its secret of every signature', async (t) => {
    const port = await start(t, { ...KEY, authToken: '0123456789abcdef' });
    const client = await RemotingClient.connect(port);
    t.after(() => client.close());
    const ask = async (fields: Record<string, string>): Promise<number> =>
      (await client.ask(REQUESTS.GET_MAX_OFFSET, { fields })).code;
    const fields = { topic: 'nowhere', queueId: '0' };
    assert.equal(await ask(fields), RESPONSES.NO_PERMISSION);
    assert.equal(await ask(signed(fields, 'shout')), RESPONSES.NO_PERMISSION);
    assert.equal(
      await ask({ ...signed(fields, KEY.secretKey), queueId: '1' }),
      RESPONSES.NO_PERMISSION,
    );
    assert.equal(await ask(signed(fields, KEY.secretKey)), RESPONSES.TOPIC_NOT_EXIST);
    // As the Go client signs: with a token that is no part of it.
    const token = { ...signed(fields, KEY.secretKey), SecurityToken: 'sts' };
    assert.equal(await ask(token), RESPONSES.TOPIC_NOT_EXIST);
  });

  it('and authToken exclude a port without one', async () => {
    await assert.rejects(
      createBroker({ memory: true, config: { remotingPort: 0, authToken: '0123456789abcdef' } }),
      /authToken is set, which the clients of RocketMQ cannot send/,
    );
  });
});

/** A NameServer on its port: answers in the form of the question, connections that end, credentials, exposure, order. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { recordingLogger } from '../../src/base/log-sink.ts';
import {
  createNameServer,
  type NameServer,
  type NameServerOptions,
} from '../../src/nameserver/nameserver.ts';
import { TOKEN_FIELD } from '../../src/nameserver/registration-guard.ts';
import { encodeCommand } from '../../src/protocol/remoting/command-encoder.ts';
import { FORM_BINARY, FORM_JSON } from '../../src/protocol/remoting/frame-layout.ts';
import { REQUEST_CODES } from '../../src/protocol/remoting/request-codes.ts';
import { RemotingClient, registration } from '../../src/testing/remoting-client.ts';
import { askTls, openTls, TLS_FILES } from '../../src/testing/tls-asker.ts';

const TOPIC = { fields: { topic: 'T1' } };

async function start(t: TestContext, options: NameServerOptions = {}): Promise<NameServer> {
  const nameServer = await createNameServer(options);
  t.after(() => nameServer.close());
  return nameServer;
}

async function dial(t: TestContext, { port }: NameServer): Promise<RemotingClient> {
  const client = await RemotingClient.connect(port);
  t.after(() => client.close());
  return client;
}

/** Waits until the NameServer knows so many brokers. */
async function untilBrokers(nameServer: NameServer, count: number): Promise<void> {
  while (nameServer.statistics().brokers !== count) await new Promise(setImmediate);
}

describe('a NameServer', () => {
  it('answers in the form of the question, with the same opaque', async (t) => {
    const client = await dial(t, await start(t));
    for (const form of [FORM_JSON, FORM_BINARY] as const) {
      client.form = form;
      assert.equal((await client.register()).code, 0);
      const answer = await client.ask(REQUEST_CODES.GET_ROUTEINFO_BY_TOPIC, TOPIC);
      assert.equal(answer.code, 0);
      assert.equal(answer.flag, 1);
      assert.equal(answer.version, 479);
      assert.match(
        Buffer.from(answer.body).toString(),
        /"brokerAddrs":\{"0":"10\.0\.0\.1:10911"\}/,
      );
    }
  });

  it('does not answer who does not want it, and takes nobody\u2019s answers', async (t) => {
    const nameServer = await start(t);
    const client = await dial(t, nameServer);
    client.send(REQUEST_CODES.REGISTER_BROKER, { ...registration(), flag: 2 });
    client.send(REQUEST_CODES.WIPE_WRITE_PERM_OF_BROKER, { flag: 1 });
    const { code } = await client.ask(REQUEST_CODES.GET_ROUTEINFO_BY_TOPIC, TOPIC);
    assert.equal(code, 0);
    assert.equal(nameServer.statistics().requests, 2);
  });

  it('forgets the brokers of a connection that closes, and no others', async (t) => {
    const nameServer = await start(t);
    const [one, other] = [await dial(t, nameServer), await dial(t, nameServer)];
    await one.register();
    await other.register({ brokerName: 'broker-b', brokerAddr: '10.0.0.2:10911' });
    one.close();
    await untilBrokers(nameServer, 1);
    const answer = await other.ask(REQUEST_CODES.GET_ROUTEINFO_BY_TOPIC, TOPIC);
    assert.doesNotMatch(Buffer.from(answer.body).toString(), /broker-a/);
    assert.equal(nameServer.statistics().brokersDisconnected, 1);
  });

  it('forgets a silent broker by itself', async (t) => {
    const nameServer = await start(t, { brokerTimeoutMs: 1, scanIntervalMs: 5 });
    const client = await dial(t, nameServer);
    await client.register();
    await untilBrokers(nameServer, 0);
    assert.equal(nameServer.statistics().brokersExpired, 1);
  });

  it('closes only the connection that does not speak its protocol', async (t) => {
    const { logger, lines } = recordingLogger();
    const nameServer = await start(t, { log: logger });
    const client = await dial(t, nameServer);
    await client.register();
    for (const bytes of [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.of(0x16, 3, 1, 0, 200),
      Buffer.of(0, 0, 0, 10, 0, 0, 0, 2, 0x7b, 0x7d, 1, 1, 1, 1),
      Buffer.of(0, 0, 0, 10, 7, 0, 0, 2, 0x7b, 0x7d, 1, 1, 1, 1),
    ]) {
      const socket = connect(nameServer.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.end(bytes);
      socket.resume();
      await once(socket, 'close');
    }
    assert.ok(lines.some(({ event }) => event === 'frame-refused'));
    assert.equal((await client.ask(REQUEST_CODES.GET_ROUTEINFO_BY_TOPIC, TOPIC)).code, 0);
  });

  it('takes a command that comes one byte at a time', async (t) => {
    const nameServer = await start(t);
    const socket = connect(nameServer.port, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.setNoDelay(true);
    const frame = encodeCommand({ code: 206, opaque: 77, flag: 0 });
    for (const byte of frame) {
      socket.write(Uint8Array.of(byte));
      await new Promise(setImmediate);
    }
    const [answer] = (await once(socket, 'data')) as [Buffer];
    assert.match(answer.toString('latin1'), /"opaque":77,.*\{"topicList":\[\]\}/);
  });

  it('says so when an answer fits no frame', async (t) => {
    const nameServer = await start(t);
    const client = await dial(t, nameServer);
    const name = 'x'.repeat(240);
    const topics = Array.from({ length: 50_000 }, (_, index) => `${name}${index}`);
    const broker = (index: number): object => ({
      topics: topics.slice(index * 25_000, (index + 1) * 25_000).map((topic) => `${index}${topic}`),
      counter: index + 1,
    });
    for (const index of [0, 1]) assert.equal((await client.register(broker(index))).code, 0);
    const list = REQUEST_CODES.GET_ALL_TOPIC_LIST_FROM_NAMESERVER;
    assert.equal((await client.ask(list)).code, 0);
    const more = { brokerName: 'b2', brokerAddr: '10.0.0.2:1' };
    const others = topics.slice(0, 25_000).map((topic) => `y${topic}`);
    assert.equal((await client.register({ ...more, topics: others })).code, 0);
    const answer = await client.ask(list);
    assert.equal(answer.code, 1);
    assert.match(answer.remark ?? '', /too large/);
  });

  it('asks for its credential where it has one', async (t) => {
    const nameServer = await start(t, { registrationToken: 'a-token-of-some-length' });
    const client = await dial(t, nameServer);
    assert.equal((await client.register()).code, 16);
    const fields = { [TOKEN_FIELD]: 'a-token-of-some-length' };
    assert.equal((await client.register({ fields })).code, 0);
    assert.equal((await client.ask(REQUEST_CODES.GET_ROUTEINFO_BY_TOPIC, TOPIC)).code, 0);
  });

  it('closes, and tells its connections', async (t) => {
    const nameServer = await start(t);
    const client = await dial(t, nameServer);
    await client.register();
    await nameServer.close();
    assert.equal(await client.closed, 'peer');
    await nameServer.close();
  });
});

describe('TLS at a NameServer', () => {
  const mode = (remotingTlsMode: 'permissive' | 'enforcing'): NameServerOptions => ({
    tls: { ...TLS_FILES, remotingTlsMode },
  });

  it('is there beside plain connections, when there is a certificate', async (t) => {
    const nameServer = await start(t, mode('permissive'));
    assert.equal((await (await dial(t, nameServer)).register()).code, 0);
    const socket = await openTls(nameServer.port, t);
    const answer = await askTls(socket, REQUEST_CODES.GET_BROKER_CLUSTER_INFO);
    assert.match(Buffer.from(answer.body).toString(), /10\.0\.0\.1:10911/);
  });

  it('is all there is, when it is enforced', async (t) => {
    const nameServer = await start(t, mode('enforcing'));
    const socket = await openTls(nameServer.port, t);
    assert.equal((await askTls(socket, REQUEST_CODES.GET_BROKER_CLUSTER_INFO)).code, 0);
    const plain = await RemotingClient.connect(nameServer.port);
    plain.send(REQUEST_CODES.GET_BROKER_CLUSTER_INFO);
    await plain.closed;
  });
});

describe('what a NameServer refuses to start with', () => {
  it('is a certificate that is none', async () => {
    const remotingTlsKeyFile = TLS_FILES.remotingTlsCertFile;
    const tls = { ...TLS_FILES, remotingTlsKeyFile, remotingTlsMode: undefined };
    await assert.rejects(createNameServer({ tls }), /remotingTlsKeyFile cannot be used/);
  });

  it('is an address for others without a word about it', async () => {
    await assert.rejects(createNameServer({ host: '0.0.0.0' }), {
      code: 'INVALID_ARGUMENT',
      message: /can be reached from other machines/,
    });
    const open = await createNameServer({ host: '0.0.0.0', insecureIUnderstand: true });
    assert.match(open.ready.namesrv, /^0\.0\.0\.0:\d+$/);
    await open.close();
  });

  it('is half a signature, and a port in use', async (t) => {
    await assert.rejects(createNameServer({ accessKey: 'x' }), { code: 'INVALID_ARGUMENT' });
    const { port } = await start(t);
    await assert.rejects(createNameServer({ port }), /in use by another process/);
  });
});

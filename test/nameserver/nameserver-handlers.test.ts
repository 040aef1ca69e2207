/** Every request that a NameServer answers: code, remark, fields and body as RocketMQ's clients and tools expect them. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import { deflateSync } from 'node:zlib';
import { NAMESRV_TOPICS_MAX } from '../../src/base/limits.ts';
import { HANDLERS } from '../../src/nameserver/nameserver-handlers.ts';
import { RegistrationGuard, TOKEN_FIELD } from '../../src/nameserver/registration-guard.ts';
import { signedContent } from '../../src/protocol/remoting/acl-content.ts';
import {
  bodyCrc32,
  packRegisterBrokerBody,
} from '../../src/protocol/remoting/register-broker-codec.ts';
import { REQUEST_CODES as REQUESTS } from '../../src/protocol/remoting/request-codes.ts';
import { RESPONSE_CODES as RESPONSES } from '../../src/protocol/remoting/response-codes.ts';
import { decodeClusterInfo } from '../../src/protocol/remoting/route-codec.ts';
import { decodeKvTable, decodeTopicList } from '../../src/protocol/remoting/simple-bodies-codec.ts';
import { NameServerRig, valueIn } from '../../src/testing/nameserver-rig.ts';
import { registration, topicConfig } from '../../src/testing/remoting-client.ts';

const textOf = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();

function topicsIn(rig: NameServerRig, code: number, fields = {}): readonly string[] {
  const { body } = rig.ask(code, { fields });
  assert.ok(body !== undefined);
  return valueIn(decodeTopicList(body)).topics;
}

describe('the KV configuration', () => {
  const where = { namespace: 'NS', key: 'k' };

  it('is put, got, listed and deleted', () => {
    const rig = new NameServerRig();
    assert.deepEqual(rig.ask(REQUESTS.GET_KV_CONFIG, { fields: where }), {
      code: RESPONSES.QUERY_NOT_FOUND,
      remark: 'No config item, Namespace: NS Key: k',
    });
    const put = rig.ask(REQUESTS.PUT_KV_CONFIG, { fields: { ...where, value: 'v' } });
    assert.equal(put.code ?? 0, 0);
    const got = rig.ask(REQUESTS.GET_KV_CONFIG, { fields: where });
    assert.deepEqual([...(got.fields ?? [])], [['value', 'v']]);
    const listed = rig.ask(REQUESTS.GET_KVLIST_BY_NAMESPACE, { fields: where });
    assert.equal(textOf(listed.body), '{"table":{"k":"v"}}');
    rig.ask(REQUESTS.DELETE_KV_CONFIG, { fields: where });
    assert.deepEqual(rig.ask(REQUESTS.GET_KVLIST_BY_NAMESPACE, { fields: where }), {
      code: RESPONSES.QUERY_NOT_FOUND,
      remark: 'No config item, Namespace: NS',
    });
    assert.deepEqual(rig.ask(REQUESTS.PUT_KV_CONFIG, { fields: { key: 'k' } }), {
      code: RESPONSES.SYSTEM_ERROR,
      remark: 'namespace or key is null',
    });
  });

  it('is bounded', () => {
    const rig = new NameServerRig();
    for (let index = 0; index < 10_000; index += 1) rig.core.kv.put('n', `k${index}`, 'v');
    const full = rig.ask(REQUESTS.PUT_KV_CONFIG, { fields: { ...where, value: 'v' } });
    assert.deepEqual(full, { code: 1, remark: 'the KV configuration is full' });
    const long = rig.ask(REQUESTS.PUT_KV_CONFIG, {
      fields: { ...where, value: 'x'.repeat(70_000) },
    });
    assert.match(long.remark ?? '', /the field value has 70000 characters/);
  });

  it('says the queues of ordered topics, in routes and to brokers', () => {
    const rig = new NameServerRig();
    rig.register();
    const fields = { namespace: 'ORDER_TOPIC_CONFIG', key: 'T1', value: 'broker-a:4' };
    rig.ask(REQUESTS.PUT_KV_CONFIG, { fields });
    assert.equal(rig.route('T1')?.orderTopicConf, 'broker-a:4');
    assert.equal(rig.route('T2')?.orderTopicConf, undefined);
    const { body } = rig.register();
    assert.ok(body !== undefined);
    assert.deepEqual([...valueIn(decodeKvTable(body))], [['T1', 'broker-a:4']]);
    rig.core.options.switches.orderMessageEnable = false;
    rig.core.options.switches.returnOrderTopicConfigToBroker = false;
    assert.equal(rig.route('T1')?.orderTopicConf, undefined);
    assert.equal(rig.register().body, undefined);
  });
});

describe('a registration', () => {
  it('with a wrong checksum is refused in RocketMQ\u2019s words', () => {
    const rig = new NameServerRig();
    const { fields, body } = registration();
    const wrong = rig.ask(REQUESTS.REGISTER_BROKER, {
      fields: { ...fields, bodyCrc32: '12345' },
      body,
    });
    assert.deepEqual(wrong, { code: 1, remark: 'crc32 not match' });
    const right = { ...fields, bodyCrc32: String(bodyCrc32(body)) };
    assert.equal(rig.ask(REQUESTS.REGISTER_BROKER, { fields: right, body }).code ?? 0, 0);
    assert.equal(rig.core.routes.brokers.brokerCount, 1);
  });

  it('may be compressed', () => {
    const rig = new NameServerRig();
    const dataVersion = { counter: 1, stateVersion: 0, timestamp: 1 };
    const topics = [topicConfig('Z1'), topicConfig('Z2')];
    const body = deflateSync(
      packRegisterBrokerBody({ topicTable: { dataVersion, topics }, filterServers: [] }),
    );
    const fields = { ...registration().fields, compressed: 'true' };
    assert.equal(rig.ask(REQUESTS.REGISTER_BROKER, { fields, body }).code ?? 0, 0);
    assert.notEqual(rig.route('Z2'), undefined);
  });

  it('of a bomb, of garbage, or with a wrong field is refused and changes nothing', () => {
    const rig = new NameServerRig();
    const { fields, body } = registration();
    const refused = (change: object, other: Uint8Array, remark: RegExp): void => {
      const answer = rig.ask(REQUESTS.REGISTER_BROKER, {
        fields: { ...fields, ...change },
        body: other,
      });
      assert.equal(answer.code, RESPONSES.SYSTEM_ERROR);
      assert.match(answer.remark ?? '', remark);
    };
    refused(
      { compressed: 'true' },
      deflateSync(Buffer.alloc(64 << 20)),
      /zlib stream, or too large/,
    );
    refused({}, Buffer.from('{"topicConfigSerializeWrapper":5}'), /must be an object/);
    refused({ brokerAddr: 'nowhere' }, body, /must be host:port/);
    refused({ brokerAddr: '1.2.3.4:1,"5' }, body, /must be host:port/);
    refused({ brokerId: '-1' }, body, /brokerId must be an integer/);
    refused({ brokerName: 'a b' }, body, /blank or control character/);
    refused({ brokerName: '' }, body, /brokerName is missing/);
    refused({ epoch: 'x' }, body, /epoch must be an integer/);
    assert.equal(rig.core.routes.brokers.brokerCount, 0);
  });

  it('above the limit of topics is refused', () => {
    const rig = new NameServerRig();
    const topics = Array.from({ length: NAMESRV_TOPICS_MAX }, (_, index) => `T${index}`);
    assert.equal(rig.register({ topics }).code ?? 0, 0);
    assert.equal(rig.register({ topics, counter: 2 }).code ?? 0, 0, 'the same ones again are fine');
    const more = { brokerName: 'b2', brokerAddr: '10.0.0.2:1', topics: ['one-more', 'T1'] };
    assert.match(rig.register(more).remark ?? '', /as many brokers or topics as it can/);
  });

  it('tells a broker with QUERY_DATA_VERSION whether it is needed', () => {
    const rig = new NameServerRig();
    const { fields } = registration();
    const ask = (counter: number): string => {
      const body = Buffer.from(`{"counter":${counter},"stateVersion":0,"timestamp":1700000000000}`);
      const answer = rig.ask(REQUESTS.QUERY_DATA_VERSION, { fields, body });
      return `${answer.fields?.get('changed')} ${textOf(answer.body)}`;
    };
    assert.equal(ask(1), 'true ');
    rig.register();
    rig.nowMs += 100_000;
    const known = '{"counter":1,"stateVersion":0,"timestamp":1700000000000}';
    assert.equal(ask(2), `true ${known}`);
    assert.equal(ask(1), `false ${known}`);
    rig.nowMs += 100_000;
    rig.core.scan();
    assert.equal(rig.core.routes.brokers.brokerCount, 1, 'the question was a sign of life');
  });
});

describe('routes', () => {
  it('are given in the form that the client reads', () => {
    const rig = new NameServerRig();
    rig.register();
    const ask = (version: number, fields = {}): string =>
      textOf(
        rig.ask(REQUESTS.GET_ROUTEINFO_BY_TOPIC, { fields: { topic: 'T1', ...fields }, version })
          .body,
      );
    assert.match(ask(399), /\{0:"10\.0\.0\.1:10911"\}/);
    assert.match(ask(401), /\{"0":"10\.0\.0\.1:10911"\}/);
    assert.match(ask(399, { acceptStandardJsonOnly: 'true' }), /\{"0":"10\.0\.0\.1:10911"\}/);
  });

  it('of a topic that nobody has are not there', () => {
    const rig = new NameServerRig();
    assert.deepEqual(rig.ask(REQUESTS.GET_ROUTEINFO_BY_TOPIC, { fields: { topic: 'nope' } }), {
      code: RESPONSES.TOPIC_NOT_EXIST,
      remark: 'No topic route info in name server for the topic: nope',
    });
    assert.equal(rig.core.counters.routesNotFound, 1);
  });

  it('name the filter servers', () => {
    const rig = new NameServerRig();
    rig.register({ filterServers: ['10.0.0.1:7000'] });
    assert.deepEqual(
      [...(rig.route('T1')?.filterServerTable ?? [])],
      [['10.0.0.1:10911', ['10.0.0.1:7000']]],
    );
  });

  it('wait for the brokers where that is asked for', () => {
    const rig = new NameServerRig({ waitForServiceMs: 45_000 });
    rig.register();
    const refused = rig.ask(REQUESTS.GET_ROUTEINFO_BY_TOPIC, { fields: { topic: 'T1' } });
    assert.deepEqual(refused, { code: 1, remark: 'name server not ready' });
    rig.nowMs += 45_000;
    assert.notEqual(rig.route('T1'), undefined);
  });
});

describe('lists', () => {
  const filled = (): NameServerRig => {
    const rig = new NameServerRig();
    rig.register({
      topics: ['T1', { topicName: 'U', topicSysFlag: 1 }, { topicName: 'S', topicSysFlag: 2 }],
    });
    rig.register({
      clusterName: 'C2',
      brokerName: 'broker-b',
      brokerAddr: '10.0.0.2:10911',
      topics: ['T2', { topicName: 'US', topicSysFlag: 3 }],
    });
    return rig;
  };

  it('are of all topics, of a cluster, of the system, of units', () => {
    const rig = filled();
    assert.deepEqual(topicsIn(rig, REQUESTS.GET_ALL_TOPIC_LIST_FROM_NAMESERVER), [
      ...['T1', 'U', 'S', 'T2', 'US'],
    ]);
    const cluster = { cluster: 'C2' };
    assert.deepEqual(topicsIn(rig, REQUESTS.GET_TOPICS_BY_CLUSTER, cluster), ['T2', 'US']);
    assert.deepEqual(topicsIn(rig, REQUESTS.GET_UNIT_TOPIC_LIST), ['U', 'US']);
    assert.deepEqual(topicsIn(rig, REQUESTS.GET_HAS_UNIT_SUB_TOPIC_LIST), ['S', 'US']);
    assert.deepEqual(topicsIn(rig, REQUESTS.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST), ['S']);
    const system = valueIn(
      decodeTopicList(rig.ask(REQUESTS.GET_SYSTEM_TOPIC_LIST_FROM_NS).body as Uint8Array),
    );
    assert.deepEqual(system.topics, ['DefaultCluster', 'broker-a', 'C2', 'broker-b']);
    assert.equal(system.brokerAddr, '10.0.0.1:10911');
  });

  it('are refused where they are switched off', () => {
    const rig = filled();
    rig.core.options.switches.enableAllTopicList = false;
    rig.core.options.switches.enableTopicList = false;
    for (const code of [
      REQUESTS.GET_ALL_TOPIC_LIST_FROM_NAMESERVER,
      REQUESTS.GET_UNIT_TOPIC_LIST,
      REQUESTS.GET_SYSTEM_TOPIC_LIST_FROM_NS,
    ])
      assert.deepEqual(rig.ask(code), { code: 1, remark: 'disable' });
  });

  it('of brokers are the cluster information and the members of a name', () => {
    const rig = filled();
    rig.register({ brokerId: 1, brokerAddr: '10.0.0.9:10911', fields: { epoch: '0' } }, 2);
    const info = valueIn(
      decodeClusterInfo(rig.ask(REQUESTS.GET_BROKER_CLUSTER_INFO).body as Uint8Array),
    );
    assert.deepEqual(
      [...info.clusters],
      [
        ['DefaultCluster', ['broker-a']],
        ['C2', ['broker-b']],
      ],
    );
    assert.equal(info.brokers[0]?.brokerAddrs.get(1), '10.0.0.9:10911');
    const members = (clusterName: string): string =>
      textOf(
        rig.ask(REQUESTS.GET_BROKER_MEMBER_GROUP, {
          fields: { clusterName, brokerName: 'broker-a' },
        }).body,
      );
    assert.equal(
      members('DefaultCluster'),
      '{"brokerMemberGroup":{"brokerAddrs":{"0":"10.0.0.1:10911","1":"10.0.0.9:10911"},"brokerName":"broker-a","cluster":"DefaultCluster"}}',
    );
    assert.match(members('Else'), /"brokerAddrs":\{\}/);
  });
});

describe('what tools change', () => {
  it('is the right to write, until the broker says otherwise', () => {
    const rig = new NameServerRig();
    rig.register();
    const fields = { brokerName: 'broker-a' };
    const wiped = rig.ask(REQUESTS.WIPE_WRITE_PERM_OF_BROKER, { fields });
    assert.equal(wiped.fields?.get('wipeTopicCount'), '2');
    assert.equal(rig.route('T1')?.queueDatas[0]?.perm, 4);
    rig.register();
    assert.equal(rig.route('T1')?.queueDatas[0]?.perm, 4, 'the same version changes nothing');
    const added = rig.ask(REQUESTS.ADD_WRITE_PERM_OF_BROKER, { fields });
    assert.equal(added.fields?.get('addTopicCount'), '2');
    assert.equal(rig.route('T1')?.queueDatas[0]?.perm, 6);
    rig.ask(REQUESTS.WIPE_WRITE_PERM_OF_BROKER, { fields });
    rig.register({ counter: 2 });
    assert.equal(rig.route('T1')?.queueDatas[0]?.perm, 6);
  });

  it('is the table of topics', () => {
    const rig = new NameServerRig();
    rig.register();
    rig.register({ clusterName: 'C2', brokerName: 'b2', brokerAddr: '10.0.0.2:1' });
    const topic = 'T1';
    rig.ask(REQUESTS.DELETE_TOPIC_IN_NAMESRV, { fields: { topic, clusterName: 'C2' } });
    assert.equal(rig.routeText('T1'), 'broker-a:0=10.0.0.1:10911');
    rig.ask(REQUESTS.DELETE_TOPIC_IN_NAMESRV, { fields: { topic } });
    assert.equal(rig.route('T1'), undefined);
    const queue = (brokerName: string): string =>
      `{"brokerName":"${brokerName}","perm":6,"readQueueNums":2,"topicSysFlag":0,"writeQueueNums":2}`;
    const body = Buffer.from(
      `{"brokerDatas":[],"queueDatas":[${queue('broker-a')},${queue('unknown')}]}`,
    );
    const added = rig.ask(REQUESTS.REGISTER_TOPIC_IN_NAMESRV, { fields: { topic: 'N' }, body });
    assert.equal(added.code ?? 0, 0);
    assert.equal(rig.routeText('N'), 'broker-a:0=10.0.0.1:10911');
  });

  it('is the configuration: switches, and nothing that needs a restart', () => {
    const rig = new NameServerRig();
    const update = (text: string): string => {
      const answer = rig.ask(REQUESTS.UPDATE_NAMESRV_CONFIG, { body: Buffer.from(text) });
      return `${answer.code ?? 0} ${answer.remark ?? ''}`;
    };
    assert.equal(update('orderMessageEnable=false\nenableTopicList=FALSE\n'), '0 ');
    assert.equal(rig.core.options.switches.orderMessageEnable, false);
    assert.match(update('kvConfigPath=/x'), /^16 Can not update config in black list/);
    assert.match(update('registrationToken=x'), /^16 /);
    assert.match(update('orderMessageEnable=maybe'), /^1 orderMessageEnable is a switch/);
    assert.match(update('orderMessageEnable=true\nnope=1'), /^1 no setting nope can be changed/);
    assert.equal(rig.core.options.switches.orderMessageEnable, false, 'all or nothing');
    const shown = textOf(rig.ask(REQUESTS.GET_NAMESRV_CONFIG).body);
    assert.match(shown, /^listenPort=9876$/m);
    assert.match(shown, /^enableTopicList=false$/m);
    assert.doesNotMatch(shown, /secret|token/i);
  });
});

describe('a request that is not served', () => {
  it('is answered so', () => {
    const rig = new NameServerRig();
    assert.deepEqual(rig.ask(REQUESTS.SEND_MESSAGE), {
      code: RESPONSES.REQUEST_CODE_NOT_SUPPORTED,
      remark: ' request type 10 not supported',
    });
    assert.equal(rig.core.counters.refusals, 1);
  });

  it('or lacks its fields says which', () => {
    const rig = new NameServerRig();
    for (const [code, field] of [
      [REQUESTS.GET_ROUTEINFO_BY_TOPIC, 'topic'],
      [REQUESTS.WIPE_WRITE_PERM_OF_BROKER, 'brokerName'],
      [REQUESTS.GET_TOPICS_BY_CLUSTER, 'cluster'],
      [REQUESTS.GET_KV_CONFIG, 'namespace'],
    ] as const) {
      const answer = rig.ask(code);
      assert.equal(answer.code, RESPONSES.SYSTEM_ERROR);
      assert.ok(answer.remark?.includes(`the field ${field} is missing`), answer.remark);
    }
  });
});

describe('a credential', () => {
  const credential = { token: 'a-token-of-some-length', accessKey: 'key', secretKey: 'secret' };
  const guarded = (): NameServerRig =>
    new NameServerRig({ guard: new RegistrationGuard(credential) });

  function signed(secret: string): Readonly<Record<string, string>> {
    const { fields, body } = registration();
    const all = { ...fields, AccessKey: 'key' };
    const content = signedContent(new Map(Object.entries(all)), body);
    const signature = createHmac('sha1', secret).update(content).digest('base64');
    return { AccessKey: 'key', Signature: signature };
  }

  it('is asked for by everything that changes something, and by nothing else', () => {
    const rig = guarded();
    for (const [code, { isGuarded }] of HANDLERS)
      assert.equal(rig.ask(code).code === RESPONSES.NO_PERMISSION, isGuarded, String(code));
    assert.equal(rig.core.routes.brokers.brokerCount, 0);
    assert.ok(rig.lines.some(({ event }) => event === 'change-refused'));
  });

  it('is the token', () => {
    const rig = guarded();
    const wrong = rig.register({ fields: { [TOKEN_FIELD]: 'a-token-of-some-lengtH' } });
    assert.equal(wrong.code, RESPONSES.NO_PERMISSION);
    const right = rig.register({ fields: { [TOKEN_FIELD]: credential.token } });
    assert.equal(right.code ?? 0, 0);
  });

  it('or the signature of RocketMQ', () => {
    const rig = guarded();
    assert.match(rig.register({ fields: signed('wrong') }).remark ?? '', /signature does not fit/);
    assert.equal(rig.register({ fields: { ...signed('secret'), AccessKey: 'x' } }).code, 16);
    const changed = rig.register({ fields: signed('secret'), brokerAddr: '10.6.6.6:1' });
    assert.equal(changed.code, 16, 'a changed field breaks the signature');
    assert.equal(rig.register({ fields: signed('secret') }).code ?? 0, 0);
  });
});

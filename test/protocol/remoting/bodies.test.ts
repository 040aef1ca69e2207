/** The bodies that a NameServer takes and gives: registrations, routes, clusters, lists, tables. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { deflateSync, inflateSync } from 'node:zlib';
import { signedContent } from '../../../src/protocol/remoting/acl-content.ts';
import { CommandView } from '../../../src/protocol/remoting/command.ts';
import { decodeCommand } from '../../../src/protocol/remoting/command-decoder.ts';
import type { Decoded } from '../../../src/protocol/remoting/lenient-json.ts';
import * as register from '../../../src/protocol/remoting/register-broker-codec.ts';
import { REQUEST_CODES, requestNameOf } from '../../../src/protocol/remoting/request-codes.ts';
import { RESPONSE_CODES, responseNameOf } from '../../../src/protocol/remoting/response-codes.ts';
import * as route from '../../../src/protocol/remoting/route-codec.ts';
import * as simple from '../../../src/protocol/remoting/simple-bodies-codec.ts';
import * as topics from '../../../src/protocol/remoting/topic-config-codec.ts';
import { topicConfig } from '../../../src/testing/remoting-client.ts';
import { projectRoot } from '../../../src/testing/source-tree.ts';

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const inflate: register.Inflate = (bytes) => {
  try {
    return inflateSync(bytes, { maxOutputLength: 1 << 20 });
  } catch {
    return undefined;
  }
};

function valueIn<Value>(result: Decoded<Value>): Value {
  if ('refusal' in result) throw result.refusal;
  return result.value;
}

function golden(file: string): CommandView {
  const view = new CommandView();
  const frame = readFileSync(join(projectRoot(), 'test/golden/remoting', file));
  assert.equal(decodeCommand(new Uint8Array(frame), view), 'ok');
  return view;
}

const VERSION: topics.DataVersion = { counter: 3, stateVersion: 1, timestamp: 1_700_000_000_000 };
const BODY: register.RegisterBrokerBody = {
  topicTable: {
    dataVersion: VERSION,
    topics: [
      topicConfig({ topicName: 'T1', attributes: new Map([['+message.type', 'FIFO x']]) }),
      topicConfig({ topicName: '%RETRY%g', readQueueNums: 1, writeQueueNums: 1, perm: 4 }),
    ],
  },
  filterServers: ['10.0.0.9:1'],
};

describe('the body of a registration', () => {
  const PLAIN = { compressed: false, version: 479 };
  const PACKED = { compressed: true, version: 479 };

  it('comes back, as JSON and compressed', () => {
    const json = register.encodeRegisterBrokerBody(BODY);
    assert.deepEqual(valueIn(register.decodeRegisterBrokerBody(json, PLAIN, inflate)), BODY);
    const packed = deflateSync(register.packRegisterBrokerBody(BODY));
    assert.deepEqual(valueIn(register.decodeRegisterBrokerBody(packed, PACKED, inflate)), BODY);
  });

  it('of a Java broker is read, also where its header denies that it is compressed', () => {
    const json = golden('register-broker/java-5.3.3-json.bin');
    const one = valueIn(register.decodeRegisterBrokerBody(json.body, PLAIN, inflate));
    const packed = golden('register-broker/java-5.3.3-binary.bin');
    assert.equal(packed.fields.entries().get('compressed'), 'false');
    const other = valueIn(register.decodeRegisterBrokerBody(packed.body, PLAIN, inflate));
    assert.deepEqual(
      register.packRegisterBrokerBody(other),
      new Uint8Array(inflateSync(packed.body)),
    );
    // The compressed form has no room for order.
    const byName = ({ topicTable }: register.RegisterBrokerBody): string[] =>
      topicTable.topics.map((topic) => topics.topicConfigText({ ...topic, order: false })).sort();
    assert.equal(byName(one).length, 13);
    assert.deepEqual(byName(other), byName(one));
    assert.ok(one.topicTable.topics.some(({ topicName, order }) => topicName === 'T9' && order));
    const crc = packed.fields.entries().get('bodyCrc32');
    assert.equal(register.bodyCrc32(packed.body), Number(crc));
  });

  it('of 4.9 has fewer members, and before 3.0.11 only the table', () => {
    const table =
      '{"dataVersion":{"counter":3,"timestamp":5},"topicConfigTable":{"T1":{"order":true,"perm":6,"readQueueNums":4,' +
      '"topicFilterType":"SINGLE_TAG","topicName":"T1","topicSysFlag":0,"writeQueueNums":4}}}';
    const body = Buffer.from(`{"filterServerList":[],"topicConfigSerializeWrapper":${table}}`);
    const expected = {
      dataVersion: { counter: 3, stateVersion: 0, timestamp: 5 },
      topics: [topicConfig({ order: true })],
    };
    const of49 = register.decodeRegisterBrokerBody(body, { ...PLAIN, version: 409 }, inflate);
    assert.deepEqual(valueIn(of49).topicTable, expected);
    const of30 = register.decodeRegisterBrokerBody(
      Buffer.from(table),
      { ...PLAIN, version: 36 },
      inflate,
    );
    assert.deepEqual(valueIn(of30).topicTable, expected);
  });

  it('of 4.9 compressed has five words a topic and no mappings', () => {
    const packed = Buffer.from(register.packRegisterBrokerBody(BODY));
    const short = Buffer.from(packed.toString('latin1').replace(/ \{[^}]*\}/g, ''), 'latin1');
    // The two lengths of the topics shrink with them; so write them anew.
    const at = 4 + packed.readInt32BE(0) + 4;
    const lines = BODY.topicTable.topics.map((topic) =>
      topics.topicConfigLine(topic).split(' ').slice(0, 5).join(' '),
    );
    const rest = short.subarray(short.length - 4 - 14 - 4, short.length - 4);
    const parts = lines.map((line) => {
      const bytes = Buffer.alloc(4 + line.length);
      bytes.writeInt32BE(line.length, 0);
      bytes.write(line, 4);
      return bytes;
    });
    const body = Buffer.concat([packed.subarray(0, at), ...parts, rest]);
    const form = { compressed: true, version: 409 };
    const read = valueIn(register.decodeRegisterBrokerBody(deflateSync(body), form, inflate));
    assert.deepEqual(
      read.topicTable.topics.map(({ topicName, perm }) => [topicName, perm]),
      [
        ['T1', 6],
        ['%RETRY%g', 4],
      ],
    );
  });

  it('cut anywhere is refused, and counts allocate nothing', () => {
    const packed = register.packRegisterBrokerBody(BODY);
    const giant = packed.slice();
    new DataView(giant.buffer).setInt32(4 + new DataView(giant.buffer).getInt32(0), 0x7fff_ffff);
    assert.ok('refusal' in register.decodeRegisterBrokerBody(deflateSync(giant), PACKED, inflate));
    const json = register.encodeRegisterBrokerBody(BODY);
    for (let end = 0; end < json.length; end += 1)
      assert.ok(
        'refusal' in register.decodeRegisterBrokerBody(json.subarray(0, end), PLAIN, inflate),
      );
    for (let end = 0; end < packed.length - 4; end += 1) {
      const cut = deflateSync(packed.subarray(0, end));
      assert.ok('refusal' in register.decodeRegisterBrokerBody(cut, PACKED, inflate), `${end}`);
    }
    assert.ok('refusal' in register.decodeRegisterBrokerBody(Buffer.from('xx'), PACKED, inflate));
  });

  it('with a wrong topic is refused by name', () => {
    const wrong = (topic: object, message: RegExp): void => {
      const body = register.encodeRegisterBrokerBody({
        ...BODY,
        topicTable: { dataVersion: VERSION, topics: [topicConfig(topic)] },
      });
      const result = register.decodeRegisterBrokerBody(body, PLAIN, inflate);
      assert.ok('refusal' in result);
      assert.match(result.refusal.message, message);
    };
    wrong({ topicName: 'a b' }, /blank or control character/);
    wrong({ topicName: '' }, /empty name/);
    wrong({ topicName: 'x'.repeat(300) }, /topicName/);
    wrong({ perm: 99 }, /perm/);
    wrong({ readQueueNums: -1 }, /readQueueNums/);
  });
});

describe('a route', () => {
  const ROUTE: route.TopicRouteData = {
    brokerDatas: [
      {
        cluster: 'DefaultCluster',
        brokerName: 'broker-a',
        brokerAddrs: new Map([
          [1, '10.0.0.2:10911'],
          [0, '10.0.0.1:10911'],
        ]),
        enableActingMaster: false,
        zoneName: undefined,
      },
    ],
    queueDatas: [
      { brokerName: 'broker-a', readQueueNums: 4, writeQueueNums: 4, perm: 6, topicSysFlag: 0 },
    ],
    filterServerTable: new Map(),
    orderTopicConf: undefined,
  };
  const QUEUES =
    '"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}';

  it('is written for old Java clients as fastjson does, and strictly for all others', () => {
    const head = (zero: string, one: string): string =>
      `{"brokerDatas":[{"brokerAddrs":{${zero}:"10.0.0.1:10911",${one}:"10.0.0.2:10911"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":false}],"filterServerTable":{},`;
    assert.equal(textOf(route.encodeTopicRoute(ROUTE, 'fastjson')), head('0', '1') + QUEUES);
    assert.equal(textOf(route.encodeTopicRoute(ROUTE, 'strict')), head('"0"', '"1"') + QUEUES);
  });

  it('comes back from both forms, with order, zone and filter servers', () => {
    const full: route.TopicRouteData = {
      ...ROUTE,
      brokerDatas: ROUTE.brokerDatas.map((broker) => ({ ...broker, zoneName: 'z"1' })),
      orderTopicConf: 'broker-a:4;broker-b:4',
      filterServerTable: new Map([['10.0.0.1:10911', ['10.0.0.9:1']]]),
    };
    for (const keys of ['strict', 'fastjson'] as const) {
      const body = route.encodeTopicRoute(full, keys);
      assert.ok(!/[\s]/.test(textOf(body)), 'no blanks: Go takes it apart by hand');
      assert.deepEqual(valueIn(route.decodeTopicRoute(body)), full);
      for (let end = 0; end < body.length; end += 1)
        assert.ok('refusal' in route.decodeTopicRoute(body.subarray(0, end)));
    }
  });

  it('with addresses under no id is refused', () => {
    for (const id of ['-1', 'x', '1.5'])
      assert.ok(
        'refusal' in
          route.decodeTopicRoute(
            Buffer.from(`{"brokerDatas":[{"brokerName":"b","brokerAddrs":{"${id}":"a:1"}}]}`),
          ),
      );
  });

  it('of a cluster comes back too', () => {
    const info: route.ClusterInfo = {
      brokers: ROUTE.brokerDatas,
      clusters: new Map([['DefaultCluster', ['broker-a']]]),
    };
    for (const keys of ['strict', 'fastjson'] as const)
      assert.deepEqual(valueIn(route.decodeClusterInfo(route.encodeClusterInfo(info, keys))), info);
    assert.equal(
      textOf(route.encodeBrokerMemberGroup(ROUTE.brokerDatas[0] as route.BrokerData, 'fastjson')),
      '{"brokerMemberGroup":{"brokerAddrs":{0:"10.0.0.1:10911",1:"10.0.0.2:10911"},"brokerName":"broker-a","cluster":"DefaultCluster"}}',
    );
  });
});

describe('small bodies', () => {
  it('are lists, tables and versions', () => {
    const list = { topics: ['T1', 'T2'], brokerAddr: '10.0.0.1:10911' };
    assert.equal(
      textOf(simple.encodeTopicList(list)),
      '{"brokerAddr":"10.0.0.1:10911","topicList":["T1","T2"]}',
    );
    assert.deepEqual(valueIn(simple.decodeTopicList(simple.encodeTopicList(list))), list);
    const table = new Map([['k"', 'v\n']]);
    assert.deepEqual(valueIn(simple.decodeKvTable(simple.encodeKvTable(table))), table);
    assert.ok('refusal' in simple.decodeKvTable(Buffer.from('{"table":{"a":1}}')));
    const version = topics.encodeDataVersion(VERSION);
    assert.deepEqual(valueIn(topics.decodeDataVersion(version)), VERSION);
    assert.ok('refusal' in topics.decodeDataVersion(Buffer.from('{"counter":-1}')));
  });

  it('are properties', () => {
    const text = '# comment\r\na=1\n\n b = two words \nc:3\nlone\n';
    assert.deepEqual(
      [...(simple.decodeProperties(Buffer.from(text)) ?? [])],
      [
        ['a', '1'],
        ['b', 'two words'],
        ['c', '3'],
        ['lone', ''],
      ],
    );
    assert.equal(textOf(simple.encodeProperties(new Map([['a', '1']]))), 'a=1\n');
    const many = Array.from({ length: 2000 }, (_, index) => `k${index}=1\n`).join('');
    assert.equal(simple.decodeProperties(Buffer.from(many)), undefined);
  });
});

describe('codes and signatures', () => {
  it('have names', () => {
    assert.equal(requestNameOf(105), 'GET_ROUTEINFO_BY_TOPIC');
    assert.equal(requestNameOf(4711), '4711');
    assert.equal(responseNameOf(17), 'TOPIC_NOT_EXIST');
    assert.equal(responseNameOf(-5), '-5');
    assert.equal(REQUEST_CODES.POP_MESSAGE, 200_050);
    assert.equal(RESPONSE_CODES.FLUSH_SLAVE_TIMEOUT, 12);
  });

  it('sign the values in the order of their names, then the body', () => {
    const fields = new Map([
      ['b', '2'],
      ['Signature', 'x'],
      ['AccessKey', 'k'],
      ['_', '1'],
    ]);
    assert.equal(textOf(signedContent(fields, Buffer.from('body'))), 'k12body');
  });
});

/** Bodies for RocketMQ's tools, as fastjson writes them: what mqadmin reads, to the byte. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  decodeGroupConfig,
  encodeAllOffsets,
  encodeConsumeStats,
  encodeGroupConfig,
  encodeGroupList,
  encodeGroupTable,
  encodeStatsData,
  encodeTopicStats,
} from '../../../src/protocol/remoting/admin-bodies-codec.ts';
import { parseLenientJson } from '../../../src/protocol/remoting/lenient-json.ts';

const queue = { brokerName: 'broker-a', topic: 'T1', queueId: 0 };
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (body: string): Uint8Array => new TextEncoder().encode(body);

describe('bodies for tools', () => {
  it('have queues as keys', () => {
    const ends = { queue, minOffset: 0, maxOffset: 10, lastStoredAtMs: 5 };
    assert.equal(
      text(encodeTopicStats([ends], 0)),
      '{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T1"}:{"lastUpdateTimestamp":5,"maxOffset":10,"minOffset":0}},"topicPutTps":0.0}',
    );
    const progress = { queue, brokerOffset: 10, consumerOffset: 7, lastConsumedAtMs: 3 };
    assert.equal(
      text(encodeConsumeStats([progress], 1.234)),
      '{"consumeTps":1.23,"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T1"}:{"brokerOffset":10,"consumerOffset":7,"lastTimestamp":3,"pullOffset":7}}}',
    );
    assert.equal(text(encodeTopicStats([], 2)), '{"offsetTable":{},"topicPutTps":2.0}');
  });

  it('have all spans of a statistic', () => {
    const [day, hour, minute] = [30, 20, 10].map((count) => ({ count, perSecond: count / 60 }));
    assert.ok(day !== undefined && hour !== undefined && minute !== undefined);
    assert.equal(
      text(encodeStatsData(day, hour, minute)),
      '{"statsDay":{"avgpt":0.0,"sum":30,"tps":0.5},"statsHour":{"avgpt":0.0,"sum":20,"tps":0.33},"statsMinute":{"avgpt":0.0,"sum":10,"tps":0.17}}',
    );
  });

  it('list groups, and the offsets of groups by topic', () => {
    assert.equal(text(encodeGroupList(['a', 'b'])), '{"groupList":["a","b"]}');
    assert.equal(
      text(
        encodeAllOffsets([
          [
            'T1@g',
            [
              [0, 5],
              [3, 7],
            ],
          ],
        ]),
      ),
      '{"offsetTable":{"T1@g":{0:5,3:7}}}',
    );
  });

  it('have a group with all that RocketMQ knows of one', () => {
    const group = { groupName: 'g', isConsuming: true, retryMaxTimes: 5 };
    const decoded = decodeGroupConfig(encodeGroupConfig(group));
    assert.deepEqual(decoded, { value: group });
    const version = { counter: 2, stateVersion: 0, timestamp: 9 };
    const table = parseLenientJson(encodeGroupTable(version, [group]));
    assert.ok(table instanceof Map);
    assert.deepEqual(
      [...table.keys()],
      ['dataVersion', 'forbiddenTable', 'subscriptionGroupTable'],
    );
  });

  it('of a group are refused when they cannot be read', () => {
    const refusals: readonly (readonly [string, RegExp])[] = [
      ['', /./],
      ['[]', /must be an object/],
      ['{}', /groupName is missing/],
      ['{"groupName":"g","retryMaxTimes":1001}', /retryMaxTimes is 1001/],
      ['{"groupName":"g","consumeEnable":5}', /consumeEnable is 5/],
    ];
    for (const [body, message] of refusals) {
      const decoded = decodeGroupConfig(bytes(body));
      assert.ok('refusal' in decoded, body);
      assert.match(decoded.refusal.message, message);
    }
    const least = decodeGroupConfig(bytes('{"groupName":"g"}'));
    assert.ok('value' in least);
    assert.deepEqual(least.value, { groupName: 'g', isConsuming: true, retryMaxTimes: 16 });
  });
});

/** What a broker tells NameServers of itself: topics, and the id that it goes by. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RegistrationFactsSource } from '../../src/broker/registration-facts.ts';
import { loadConfig } from '../../src/config/config-load.ts';
import type { TopicRecord } from '../../src/protocol/shard-control.ts';

const CLOCK = { monotonicMs: () => 0, epochMs: () => 7 };

function sourceOf(
  topics: readonly string[],
  given: Readonly<Record<string, unknown>> = {},
  role = 'ASYNC_MASTER',
  { groups = [], remotingPort }: { groups?: readonly string[]; remotingPort?: number } = {},
): RegistrationFactsSource {
  const { config } = loadConfig({ flags: { brokerName: 'broker-a', ...given } });
  const records = topics.map((topic) => ({ topic, queues: 4, deadLetterOf: null }));
  return new RegistrationFactsSource({
    ...{ config, port: 8880, remotingPort, clock: CLOCK, position: () => 0 },
    groups: () => groups,
    topics: () => records as unknown as readonly TopicRecord[],
    reign: () => ({ role, epoch: 1, haServerAddr: '' }),
  });
}

const topicsOf = (source: RegistrationFactsSource): readonly string[] =>
  source.facts().topicTable.topics.map(({ topicName, perm }) => `${topicName} ${perm}`);

describe('what a broker tells NameServers', () => {
  it('is never one topic alone: Apache\u2019s would take that for a part', () => {
    assert.deepEqual(topicsOf(sourceOf([])), []);
    assert.deepEqual(topicsOf(sourceOf(['orders'])), ['orders 6', 'broker-a 1']);
    assert.deepEqual(topicsOf(sourceOf(['a', 'b'])), ['a 6', 'b 6']);
    const making = sourceOf([], { autoCreateTopicEnable: true });
    assert.deepEqual(topicsOf(making), ['TBW102 7', 'broker-a 1']);
  });

  it('has a retry topic for each group, where tools look for it; that of RocketMQ\u2019s own groups is its own', () => {
    const groups = ['billing', 'java'];
    const topics = ['%RETRY%java', 'orders'];
    const source = sourceOf(topics, {}, undefined, { groups, remotingPort: 10_911 });
    assert.deepEqual(topicsOf(source), ['%RETRY%java 6', 'orders 6', '%RETRY%billing 4']);
    const alone = sourceOf(topics, {}, undefined, { groups });
    assert.deepEqual(topicsOf(alone), ['%RETRY%java 6', 'orders 6'], 'no tool can ask it');
  });

  it('is another id when the one of a former master is taken, and never another than a person chose', () => {
    const former = sourceOf([], { brokerId: 0 }, 'SLAVE');
    assert.equal(former.facts().brokerId, 1);
    assert.ok(former.idTaken(1));
    assert.ok(former.idTaken(1), 'two NameServers answer the same');
    assert.equal(former.facts().brokerId, 2);
    const given = { brokerId: 3, brokerRole: 'SLAVE', haMasterAddress: '127.0.0.1:10912' };
    const slave = sourceOf([], given, 'SLAVE');
    assert.ok(!slave.idTaken(3));
    assert.equal(slave.facts().brokerId, 3);
    assert.ok(!sourceOf([]).idTaken(0));
  });
});

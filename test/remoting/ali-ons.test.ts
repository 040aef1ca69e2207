/**
 * `ali-ons` of npm, unmodified, against NameServer and broker: what its examples do, with content, order and counts; and a
 * broker that is killed under its producer and consumer.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { sleep, systemClock } from '../../src/base/clock.ts';
import { REQUEST_CODES } from '../../src/protocol/remoting/request-codes.ts';
import {
  AliClients,
  type AliConsumer,
  type AliMessage,
  type AliProducer,
  type AliSendResult,
  loadAliOns,
} from '../../src/testing/ali-ons.ts';
import { until } from '../../src/testing/e2e-broker.ts';
import { RemotingClient } from '../../src/testing/remoting-client.ts';
import { RocketmqTarget, targetObstacle } from '../../src/testing/rocketmq-target.ts';

const ons = loadAliOns();
const skip = ons === undefined ? 'ali-ons is not installed' : (targetObstacle() ?? false);
/** Milliseconds for what takes the client its slowest loop, on a machine that does other things too. */
const WAIT_MS = 60_000;
/** Of the broker under test. */
const LEVEL_4_MS = 2000;

describe('ali-ons', { skip }, () => {
  let target: RocketmqTarget;
  let clients: AliClients;

  before(async () => {
    assert.ok(ons !== undefined);
    target = await RocketmqTarget.start();
    clients = await AliClients.start(ons, target.namesrv);
  });
  afterEach(() => clients.closeAll());
  after(async () => {
    await clients.end();
    await target.close();
  });

  /** It does not make topics by sending to them. */
  async function makeTopic(topic: string, queues: number): Promise<void> {
    const broker = await RemotingClient.connect(Number(target.brokerAddress.split(':')[1]));
    const answer = await broker.ask(REQUEST_CODES.UPDATE_AND_CREATE_TOPIC, {
      fields: {
        ...{ topic, defaultTopic: 'TBW102', perm: '6', topicFilterType: 'SINGLE_TAG' },
        ...{ readQueueNums: String(queues), writeQueueNums: String(queues) },
        ...{ topicSysFlag: '0', order: 'false' },
      },
    });
    assert.equal(answer.code, 0, answer.remark);
    broker.close();
    const nameServer = await RemotingClient.connect(Number(target.namesrv.split(':')[1]));
    const fields = { topic };
    await until(`the route of ${topic}`, async () => {
      return (await nameServer.ask(REQUEST_CODES.GET_ROUTEINFO_BY_TOPIC, { fields })).code === 0;
    });
    nameServer.close();
  }

  function message(topic: string, tag: string, key: string, body: string): AliMessage {
    assert.ok(ons !== undefined);
    const made = new ons.Message(topic, tag, body);
    made.keys = [key, 'shared'];
    return made;
  }

  async function sendAll(
    producer: AliProducer,
    topic: string,
    bodies: readonly string[],
    tag = 'TagA',
  ): Promise<AliSendResult[]> {
    const results: AliSendResult[] = [];
    for (const body of bodies) {
      const result = await producer.send(message(topic, tag, `key-${body.slice(0, 20)}`, body));
      assert.equal(result.sendStatus, 'SEND_OK');
      results.push(result);
    }
    return results;
  }

  /** Takes everything; what comes is in the list. */
  function listen(consumer: AliConsumer, topic: string, tags = '*'): AliMessage[] {
    const got: AliMessage[] = [];
    consumer.subscribe(topic, tags, async (one) => {
      got.push(one);
    });
    return got;
  }

  async function gathered(what: string, count: number, ...lists: AliMessage[][]): Promise<void> {
    const total = (): number => lists.reduce((sum, list) => sum + list.length, 0);
    await until(`${count} ${what}`, () => total() >= count, WAIT_MS);
  }

  it('sends with tags and keys; consumers get what they subscribed to, once', async () => {
    const topic = 'ali-tags';
    await makeTopic(topic, 4);
    const producer = await clients.producer('ali-producers', 'tags');
    const all = listen(await clients.consumer('ali-all', 'all'), topic);
    const some = listen(await clients.consumer('ali-some', 'some'), topic, 'TagA || TagC');
    const bodies = numbered('größe 消息', 20);
    const results = await sendAll(producer, topic, bodies.slice(0, 8), 'TagA');
    results.push(...(await sendAll(producer, topic, bodies.slice(8, 14), 'TagB')));
    results.push(...(await sendAll(producer, topic, bodies.slice(14), 'TagC')));
    await gathered('messages', 20, all);
    await gathered('messages of two tags', 14, some);
    assert.deepEqual(textsOf(all).sort(), bodies);
    assert.deepEqual(textsOf(some).sort(), [...bodies.slice(0, 8), ...bodies.slice(14)]);
    for (const one of all) {
      const result = results[bodies.indexOf(textOf(one))];
      assert.equal(one.keys, `key-${textOf(one)} shared`);
      assert.equal(one.topic, topic);
      assert.equal(Number(one.queueOffset), Number(result?.queueOffset));
      assert.equal(one.queueId, Number(result?.messageQueue.queueId));
      assert.equal(one.reconsumeTimes, 0);
    }
    assert.equal(new Set(all.map((one) => one.queueId)).size, 4, 'queues in turn');
    const large = 'x'.repeat(50_000);
    await sendAll(producer, topic, [large]);
    await gathered('messages', 21, all);
    assert.equal(textOf(all[20] as AliMessage), large, 'what it compressed is whole');
  });

  it('keeps the order of each sharding key', async () => {
    const topic = 'ali-order';
    await makeTopic(topic, 4);
    const producer = await clients.producer('ali-producers', 'order');
    const got = listen(await clients.consumer('ali-order', 'order'), topic);
    const queues = new Map<string, Set<number>>();
    for (let step = 0; step < 15; step += 1) {
      for (const order of ['o-1', 'o-2', 'o-3', 'o-4']) {
        const one = message(topic, 'TagA', order, `${order} ${step}`);
        one.shardingKey = order;
        const { messageQueue } = await producer.send(one);
        const used = queues.get(order) ?? new Set();
        queues.set(order, used.add(messageQueue.queueId));
      }
    }
    await gathered('messages', 60, got);
    // Keys of its queue 0 are spread over all queues, by a slip of the package.
    const kept = [...queues].filter(([, used]) => used.size === 1).map(([order]) => order);
    assert.ok(kept.length >= 2, `keys with a queue of their own: ${kept.length}`);
    for (const order of kept) {
      const steps = textsOf(got).filter((text) => text.startsWith(`${order} `));
      assert.deepEqual(
        steps,
        Array.from({ length: 15 }, (_, step) => `${order} ${step}`),
      );
    }
  });

  it('shares a topic in a group, and repeats it for each consumer of a broadcast', async () => {
    const topic = 'ali-shared';
    await makeTopic(topic, 4);
    const producer = await clients.producer('ali-producers', 'shared');
    const shared: AliMessage[][] = [];
    for (const who of ['a', 'b'])
      shared.push(listen(await clients.consumer('ali-shared', `shared-${who}`), topic));
    const heard: AliMessage[][] = [];
    for (const who of ['c', 'd']) {
      const isBroadcast = true;
      const more = { isBroadcast };
      heard.push(listen(await clients.consumer('ali-heard', `heard-${who}`, more), topic));
    }
    const bodies = numbered('shared', 40);
    await sendAll(producer, topic, bodies);
    for (const list of heard) await gathered('messages each', 40, list);
    await until('all of the group', () => new Set(textsOf(shared.flat())).size === 40, WAIT_MS);
    for (const list of heard) assert.deepEqual(textsOf(list).sort(), bodies);
    // Both have queues by now; before that, one may have had them all.
    const next = numbered('then', 40);
    const before = shared.map((list) => list.length);
    await until('both have queues', async () => {
      await sendAll(producer, topic, next);
      await sleep(200);
      return shared.every((list, index) => list.length > (before[index] as number));
    });
  });

  it('gives back what it could not handle, and gets it again', async () => {
    const topic = 'ali-retry';
    await makeTopic(topic, 1);
    const producer = await clients.producer('ali-producers', 'retry');
    const consumer = await clients.consumer('ali-retry', 'retry');
    const tries: { readonly text: string; readonly times: number; readonly keys: unknown }[] = [];
    consumer.subscribe(topic, '*', async (one) => {
      tries.push({ text: textOf(one), times: one.reconsumeTimes, keys: one.keys });
      if (textOf(one) === 'fine' || one.reconsumeTimes === 2) return undefined;
      if (textOf(one) === 'throws') throw new Error('as a handler may');
      return ons?.Consumer.ACTION_RETRY;
    });
    await sendAll(producer, topic, ['throws', 'fine', 'asks']);
    await until('all tries', () => tries.length >= 6, WAIT_MS);
    const timesOf = (text: string): number[] =>
      tries.filter((one) => one.text === text).map((one) => one.times);
    assert.deepEqual(timesOf('throws'), [0, 1, 2]);
    // For messages that came again the package drops what a handler returns.
    assert.deepEqual(timesOf('asks'), [0, 1]);
    assert.deepEqual(timesOf('fine'), [0]);
    assert.ok(tries.every(({ text, keys }) => keys === `key-${text} shared`));
  });

  it('waits for a delay level', async () => {
    const topic = 'ali-delay';
    await makeTopic(topic, 1);
    const producer = await clients.producer('ali-producers', 'delay');
    const came: { readonly text: string; readonly ms: number }[] = [];
    const consumer = await clients.consumer('ali-delay', 'delay');
    consumer.subscribe(topic, '*', async (one) => {
      came.push({ text: textOf(one), ms: systemClock.epochMs() });
    });
    const late = message(topic, 'TagA', 'k', 'late');
    late.delayTimeLevel = 4;
    const sentMs = systemClock.epochMs();
    await producer.send(late);
    await sendAll(producer, topic, ['at once']);
    await until('both messages', () => came.length >= 2, WAIT_MS);
    assert.deepEqual(came.map(({ text }) => text).sort(), ['at once', 'late']);
    // Not by their order: the second may have been sent when the delay of the first was over.
    const afterMs = (came.find(({ text }) => text === 'late')?.ms ?? 0) - sentMs;
    assert.ok(afterMs >= LEVEL_4_MS, `came after ${afterMs} ms`);
  });

  it('goes on where its group was', async () => {
    const topic = 'ali-resume';
    await makeTopic(topic, 2);
    const producer = await clients.producer('ali-producers', 'resume');
    for (const round of ['first', 'second']) {
      const consumer = await clients.consumer('ali-resume', `resume-${round}`);
      const got = listen(consumer, topic);
      const bodies = numbered(round, 20);
      await sendAll(producer, topic, bodies);
      await gathered('messages', 20, got);
      assert.deepEqual(textsOf(got).sort(), bodies);
      await committed(topic, 'ali-resume', round === 'first' ? 20 : 40);
      await clients.close(consumer);
    }
  });

  /** Offsets are told one way and on a timer: a test that goes on at once would see them or not. */
  async function committed(topic: string, consumerGroup: string, sum: number): Promise<void> {
    const broker = await RemotingClient.connect(Number(target.brokerAddress.split(':')[1]));
    await until(`offsets of ${consumerGroup}`, async () => {
      let found = 0;
      for (const queueId of ['0', '1']) {
        const fields = { topic, consumerGroup, queueId };
        const answer = await broker.ask(REQUEST_CODES.QUERY_CONSUMER_OFFSET, { fields });
        found += Number(answer.fields?.get('offset') ?? 0);
      }
      return found === sum;
    });
    broker.close();
  }

  it('loses nothing that was acknowledged when the broker is killed', async () => {
    const topic = 'ali-kill';
    await makeTopic(topic, 1);
    const producer = await clients.producer('ali-producers', 'kill');
    const got = listen(await clients.consumer('ali-kill', 'kill'), topic);
    const acknowledged: string[] = [];
    let failures = 0;
    /** The same number again until it is acknowledged, as an application would. */
    const sendUntil = async (isEnough: () => boolean): Promise<void> => {
      while (!isEnough()) {
        const body = `lane-${String(acknowledged.length).padStart(5, '0')}`;
        try {
          const result = await producer.send(message(topic, 'TagA', 'k', body));
          if (result.sendStatus === 'SEND_OK') acknowledged.push(body);
        } catch {
          failures += 1;
          await sleep(20);
        }
      }
    };
    await sendUntil(() => acknowledged.length >= 100);
    let isBack = false;
    const restarting = (async () => {
      await target.killBroker();
      await target.startBroker();
      isBack = true;
    })();
    await sendUntil(() => isBack);
    await restarting;
    const enough = acknowledged.length + 100;
    await sendUntil(() => acknowledged.length >= enough);
    const isThere = (): boolean => {
      const texts = new Set(textsOf(got));
      return acknowledged.every((body) => texts.has(body));
    };
    await until('all that was acknowledged', isThere, WAIT_MS);
    let highest = -1;
    for (const text of textsOf(got)) {
      const number = Number(text.slice(5));
      assert.ok(number <= highest + 1, `after ${highest} came ${number}`);
      highest = Math.max(highest, number);
    }
    assert.ok(failures > 0, 'the kill was noticed');
  });
});

function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${String(index).padStart(3, '0')}`);
}

function textOf(message: AliMessage): string {
  return message.body.toString('utf8');
}

function textsOf(messages: readonly AliMessage[]): string[] {
  return messages.map(textOf);
}

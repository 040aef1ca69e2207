/** Which NameServer is asked, what is believed of several, and answers that are damaged. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import { seededPrng } from '../../src/base/prng.ts';
import { NameServers, nameServerUrls } from '../../src/client/name-servers.ts';
import { nodeRuntime } from '../../src/client/node.ts';
import { readCluster, readRoute } from '../../src/client/route-answer.ts';
import { reachableAddresses } from '../../src/client/servers.ts';
import { rejection } from '../../src/testing/client-rig.ts';
import { fuzzPlan } from '../../src/testing/fuzz-plan.ts';

const ROUTE = JSON.stringify({
  topic: 't',
  brokers: ['b', 'a'].map((brokerName) => ({
    ...{ brokerName, cluster: 'c', perm: 6, readQueueNums: 4, writeQueueNums: 4 },
    members: [1, 0].map((brokerId) => ({
      ...{ brokerId, brokerAddr: `${brokerName}${brokerId}:10911`, epoch: 1 },
      ...{ role: 'ASYNC_MASTER', position: 9, webSocketAddrs: ['10.0.0.1:8880'] },
    })),
  })),
});
const MISSING = JSON.stringify({ error: new SluiceError('TOPIC_NOT_FOUND', 'none').toBody() });

/** NameServers of which each answers a text with status 200 or 404, or nothing. */
function serversThat(answers: Readonly<Record<string, string | undefined>>): {
  readonly servers: NameServers;
  readonly asked: string[];
} {
  const asked: string[] = [];
  const runtime = {
    ...nodeRuntime(),
    prng: seededPrng(3),
    httpGet: async (url: string) => {
      const { origin } = new URL(url);
      asked.push(origin);
      const text = answers[origin];
      if (text === undefined) throw new Error('connection refused');
      return { status: text === MISSING ? 404 : 200, text };
    },
  };
  return { servers: new NameServers(runtime, Object.keys(answers), 1000), asked };
}

describe('addresses of NameServers', () => {
  it('are hosts with ports, or URLs, several in a text', () => {
    assert.deepEqual(nameServerUrls('a:1;b;'), ['http://a:1', 'http://b:9876']);
    assert.deepEqual(nameServerUrls(['https://x.example/ns/', '[::1]:9876']), [
      'https://x.example/ns',
      'http://[::1]:9876',
    ]);
    for (const wrong of ['', [], [7], 'ws://a', 'a b', [';']])
      assert.throws(() => nameServerUrls(wrong), { code: 'INVALID_ARGUMENT' });
  });

  it('decide which addresses of a broker fit', () => {
    const addresses = ['10.0.0.1:8880', '127.0.0.1:8880', '[::1]:8880'];
    const near = ['ws://127.0.0.1:8880', 'ws://[::1]:8880', 'ws://10.0.0.1:8880'];
    assert.deepEqual(reachableAddresses(addresses, 'http://localhost:9876'), near);
    assert.deepEqual(reachableAddresses(addresses, 'https://ns.example'), ['wss://10.0.0.1:8880']);
    const only = ['127.0.0.1:8880'];
    assert.deepEqual(reachableAddresses(only, 'http://10.0.0.9'), ['ws://127.0.0.1:8880']);
  });
});

describe('NameServers', () => {
  it('are asked in turn until one answers, and that one first the next time', async () => {
    const { servers, asked } = serversThat({ 'http://a': undefined, 'http://b': ROUTE });
    const { value, url } = await servers.route('t');
    assert.equal(url, 'http://b');
    assert.deepEqual(
      value.map(({ brokerName, members }) => `${brokerName}${members.map((one) => one.brokerId)}`),
      ['a0,1', 'b0,1'],
    );
    asked.length = 0;
    await servers.cluster();
    assert.deepEqual(asked, ['http://b']);
  });

  it('have no topic only when all that answer say so', async () => {
    const one = serversThat({ 'http://a': MISSING, 'http://b': ROUTE, 'http://c': undefined });
    assert.equal((await one.servers.route('t')).value.length, 2);
    const none = serversThat({ 'http://a': MISSING, 'http://b': undefined });
    assert.equal(
      ((await rejection(none.servers.route('t'))) as SluiceError).code,
      'TOPIC_NOT_FOUND',
    );
    const down = serversThat({ 'http://a': undefined, 'http://b': 'no JSON' });
    const error = (await rejection(down.servers.route('t'))) as SluiceError;
    assert.equal(error.code, 'DISCONNECTED');
    assert.match(
      error.message,
      /a: connection refused.*b: .*not JSON|b: .*not JSON.*a: connection/,
    );
  });
});

describe('answers', () => {
  it('that are damaged are refused, and never anything else', () => {
    const { numRuns, seed } = fuzzPlan(3000);
    const prng = seededPrng(seed);
    const marks = '{}[]":,0-9e"null\\u0000';
    let accepted = 0;
    for (let round = 0; round < numRuns; round += 1) {
      let text = ROUTE;
      for (let change = prng.integer(4); change >= 0; change -= 1) {
        const at = prng.integer(text.length);
        const mark = marks.charAt(prng.integer(marks.length));
        text = text.slice(0, at) + mark + text.slice(at + prng.integer(3));
      }
      for (const read of [readRoute, readCluster])
        try {
          for (const { members } of read(text))
            for (const { webSocketAddrs } of members)
              for (const url of reachableAddresses(webSocketAddrs, 'http://a')) new URL(url);
          accepted += 1;
        } catch (error) {
          assert.equal((error as SluiceError).code, 'BAD_FRAME', text);
        }
    }
    assert.ok(accepted > 0, 'some damage is harmless');
  });
});

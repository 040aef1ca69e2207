import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fillTopic, withClient } from '../../src/testing/client-rig.ts';

describe('fetch', () => {
  it('reads by offset, and gives bodies as they were sent', () =>
    withClient(async ({ broker, client }) => {
      broker.queueCount = 1;
      await fillTopic(client, 10);
      await client.producer().send({ topic: 't', body: 'base64:AQL/' });
      const fetched = await client.fetch({ topic: 't', queueId: 0, offset: 7, max: 10 });
      assert.deepEqual(
        fetched.messages.map(({ queueOffset, body, key }) => [queueOffset, body, key]),
        [
          [7, '7', 'k2'],
          [8, '8', 'k3'],
          [9, '9', 'k4'],
          [10, Uint8Array.of(1, 2, 255), undefined],
        ],
      );
      assert.deepEqual([fetched.nextOffset, fetched.minOffset, fetched.maxOffset], [11, 0, 11]);
    }));
});

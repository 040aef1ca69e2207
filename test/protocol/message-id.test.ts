import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { messageIdOf, messageIdPrefix, parseMessageId } from '../../src/protocol/message-id.ts';

it('a message id says which broker, shard and place it is from', () => {
  const messageId = messageIdOf(messageIdPrefix('127.0.0.1', 8880), 3, 4096, 17);
  assert.equal(messageId, '7f000001000022b00003000000001011');
  assert.deepEqual(parseMessageId(messageId), {
    address: '127.0.0.1',
    port: 8880,
    shard: 3,
    place: 4113,
  });
});

it('a message id comes back from its text', () => {
  fc.assert(
    fc.property(
      fc.ipV4(),
      fc.integer({ min: 0, max: 65_535 }),
      fc.integer({ min: 0, max: 65_535 }),
      fc.integer({ min: 0, max: 2 ** 48 - 65_536 }),
      (address, port, shard, place) => {
        const messageId = messageIdOf(messageIdPrefix(address, port), shard, place, 0);
        assert.equal(messageId.length, 32);
        assert.deepEqual(parseMessageId(messageId), { address, port, shard, place });
      },
    ),
  );
});

it('a text that is no message id is not one, and an address that is not IPv4 gives zeros', () => {
  for (const text of ['', '7f', 'g'.repeat(32), '0'.repeat(31), '0'.repeat(33)])
    assert.equal(parseMessageId(text), undefined);
  for (const address of ['::1', 'localhost', '1.2.3', '1.2.3.256', '1.2.3.x'])
    assert.equal(messageIdPrefix(address, 1), '0000000000000001');
});

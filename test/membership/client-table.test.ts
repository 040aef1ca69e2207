/** Clients in groups: who is let in, who waits, who is forgotten, against a model and in the stories that matter. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  CLIENT_SILENCE_MS_MAX,
  CLIENT_TERMS_CHARACTERS_MAX,
  EXPRESSION_MAX,
} from '../../src/base/limits.ts';
import { ClientTable } from '../../src/membership/client-table.ts';
import { type ConsumerTerms, termsDifference } from '../../src/membership/consumer-terms.ts';

type Table = ClientTable<string>;

function terms(
  topics: Readonly<Record<string, string>>,
  messageModel: ConsumerTerms['messageModel'] = 'CLUSTERING',
): ConsumerTerms {
  return {
    consumeType: 'CONSUME_PASSIVELY',
    messageModel,
    fromWhere: 'CONSUME_FROM_LAST_OFFSET',
    subscriptions: new Map(
      Object.entries(topics).map(([topic, expression]) => [
        topic,
        { topic, expressionType: 'TAG', expression, version: 1 },
      ]),
    ),
  };
}

function hear(
  table: Table,
  clientId: string,
  own: ConsumerTerms,
  nowMs = 0,
  connection = clientId,
) {
  return table.consumerHeard({ clientId, connection, language: 0, version: 479 }, 'g', own, nowMs);
}

function ids(table: Table): readonly string[] {
  return (
    table
      .consumerGroup('g')
      ?.members()
      .map(({ clientId }) => clientId) ?? []
  );
}

function waiting(table: Table): readonly string[] {
  return (
    table
      .consumerGroup('g')
      ?.waiting()
      .map(({ clientId }) => clientId) ?? []
  );
}

const OLD = terms({ orders: 'a || b' });
const NEW = terms({ orders: 'a || b || c', refunds: '*' });

test('a different subscription is refused with what differs', () => {
  const table: Table = new ClientTable();
  assert.equal(hear(table, 'one', OLD).difference, undefined);
  const { difference } = hear(table, 'two', NEW);
  assert.match(
    difference ?? '',
    /reads orders with "a \|\| b" and this member with "a \|\| b \|\| c"/,
  );
  assert.match(difference ?? '', /only this member reads refunds/);
  assert.match(
    hear(table, 'three', terms({}, 'BROADCASTING')).difference ?? '',
    /is CLUSTERING and this member BROADCASTING; the group reads orders .* does not/,
  );
  assert.deepEqual([ids(table), waiting(table)], [['one'], ['three', 'two']]);
  assert.equal(table.subscriptionOf('two', 'g', 'orders'), undefined, 'who waits pulls nothing');
  assert.equal(table.subscriptionOf('one', 'g', 'orders')?.expression, 'a || b');
});

test('the order of tags, versions and the retry topic make no difference', () => {
  const own = terms({ orders: 'b||a', '%RETRY%g': '*' });
  assert.equal(termsDifference(OLD, own), undefined);
  assert.equal(termsDifference(terms({ t: '*' }), terms({ t: '' })), undefined);
});

test('a new version rolls out: the old members go on, and with the last of them the new ones are in at once', () => {
  const table: Table = new ClientTable();
  for (const client of ['a', 'b', 'c']) hear(table, client, OLD);
  for (const client of ['a', 'b']) {
    table.connectionClosed(client);
    assert.ok(hear(table, client, NEW).difference !== undefined);
    assert.ok(ids(table).length > 0, 'somebody always consumes');
  }
  assert.deepEqual([ids(table), waiting(table)], [['c'], ['a', 'b']]);
  table.takeChanged();
  table.connectionClosed('c');
  assert.deepEqual([ids(table), waiting(table)], [['a', 'b'], []]);
  assert.equal(table.takeChanged().length, 1, 'and they are told');
  assert.equal(hear(table, 'c', NEW).difference, undefined);
});

test('members that change their mind one after the other do not lock each other out', () => {
  const table: Table = new ClientTable();
  for (const client of ['a', 'b', 'c']) hear(table, client, OLD);
  assert.ok(hear(table, 'a', NEW).difference !== undefined);
  assert.ok(hear(table, 'b', NEW).difference !== undefined);
  assert.equal(hear(table, 'c', NEW).difference, undefined);
  assert.deepEqual([ids(table), waiting(table)], [['a', 'b', 'c'], []]);
});

test('when several versions wait, the one that most want is next', () => {
  const table: Table = new ClientTable();
  hear(table, 'old', OLD);
  hear(table, 'odd', terms({ other: '*' }), 1);
  for (const client of ['x', 'y']) hear(table, client, NEW, 2);
  table.consumerLeft('old', 'old', 'g');
  assert.deepEqual([ids(table), waiting(table)], [['x', 'y'], ['odd']]);
  assert.match(
    table.consumerGroup('g')?.waiting()[0]?.difference ?? '',
    /only this member reads other/,
  );
});

test('tools come with whatever they want', () => {
  const table: Table = new ClientTable();
  const facts = (clientId: string) => ({ clientId, connection: clientId, language: 0, version: 1 });
  for (const [client, own] of [['a', OLD] as const, ['b', NEW] as const])
    assert.equal(
      table.consumerHeard(facts(client), 'TOOLS_CONSUMER', own, 0).difference,
      undefined,
    );
  assert.equal(table.subscriptionOf('a', 'TOOLS_CONSUMER', 'refunds'), undefined);
  assert.equal(table.subscriptionOf('b', 'TOOLS_CONSUMER', 'refunds')?.expression, '*');
});

test('a client that connects anew stays when its old connection closes, and producers are counted too', () => {
  const table: Table = new ClientTable();
  hear(table, 'a', OLD, 0, 'first');
  assert.ok(hear(table, 'a', OLD, 1, 'second').isNews, 'the others are told of it');
  table.connectionClosed('first');
  assert.deepEqual(ids(table), ['a']);
  assert.equal(table.clientOf('first', 'g'), undefined);
  assert.equal(table.clientOf('second', 'g')?.clientId, 'a');
  const producer = { clientId: 'p', connection: 'second', language: 9, version: 1 };
  table.producerHeard(producer, 'pg', 0);
  assert.deepEqual([table.count, table.producersOf('pg')[0]?.clientId], [2, 'p']);
  table.producerLeft('first', 'p', 'pg');
  assert.equal(
    table.producersOf('pg').length,
    1,
    'a goodbye over another connection is not its own',
  );
  table.connectionClosed('second');
  assert.deepEqual([table.count, ids(table), [...table.producerGroups()]], [0, [], []]);
});

test('who is silent for two minutes is gone', () => {
  const table: Table = new ClientTable();
  hear(table, 'a', OLD, 0);
  hear(table, 'b', OLD, 60_000);
  table.expire(CLIENT_SILENCE_MS_MAX);
  assert.deepEqual(ids(table), ['a', 'b']);
  table.takeChanged();
  table.expire(CLIENT_SILENCE_MS_MAX + 1);
  assert.deepEqual(ids(table), ['b']);
  assert.equal(table.takeChanged()[0]?.name, 'g');
});

const WORDS = [OLD, NEW, terms({ orders: 'a||b' }, 'BROADCASTING')] as const;
const step = fc.record({
  kind: fc.constantFrom('hear', 'hear', 'hear', 'leave', 'close', 'time'),
  client: fc.integer({ min: 0, max: 4 }),
  line: fc.integer({ min: 0, max: 6 }),
  words: fc.integer({ min: 0, max: WORDS.length - 1 }),
});

test('whatever happens, members agree, nobody is lost or counted twice, and somebody is always let in', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const table: Table = new ClientTable();
      const known = new Map<string, { line: string; heardAtMs: number }>();
      let nowMs = 0;
      for (const { kind, client, line, words } of steps) {
        const [id, connection] = [`c${client}`, `l${line}`];
        // A connection is one client's.
        const isTaken = [...known].some(([other, one]) => other !== id && one.line === connection);
        if (kind === 'hear' && !isTaken) {
          hear(table, id, WORDS[words] as ConsumerTerms, nowMs, connection);
          known.set(id, { line: connection, heardAtMs: nowMs });
        } else if (kind === 'leave') {
          table.consumerLeft(connection, id, 'g');
          if (known.get(id)?.line === connection) known.delete(id);
        } else if (kind === 'close') {
          table.connectionClosed(connection);
          for (const [other, one] of known) if (one.line === connection) known.delete(other);
        } else if (kind === 'time') {
          nowMs += 50_000;
          table.expire(nowMs);
          for (const [other, { heardAtMs }] of known)
            if (nowMs - heardAtMs > CLIENT_SILENCE_MS_MAX) known.delete(other);
        }
        const group = table.consumerGroup('g');
        const members = group?.members() ?? [];
        const outside = group?.waiting() ?? [];
        assert.deepEqual(
          [...members, ...outside].map(({ clientId }) => clientId).sort(),
          [...known.keys()].sort(),
        );
        assert.equal(table.count, known.size);
        assert.equal(
          members.length > 0,
          known.size > 0,
          'somebody is let in when somebody is there',
        );
        for (const one of members)
          assert.equal(
            termsDifference((group?.terms ?? OLD) as ConsumerTerms, one.terms),
            undefined,
          );
        for (const one of outside)
          assert.equal(termsDifference(group?.terms as ConsumerTerms, one.terms), one.difference);
        for (const [id, one] of known) assert.equal(table.clientOf(one.line, 'g')?.clientId, id);
      }
    }),
    { numRuns: 500 },
  );
});

test('a connection is one client of a group: who comes by it under another id is in the place of the former', () => {
  const table: Table = new ClientTable();
  hear(table, 'a', terms({ orders: '*' }), 0, 'one');
  hear(table, 'b', terms({ orders: '*' }), 0, 'one');
  assert.deepEqual(ids(table), ['b']);
  table.producerHeard({ clientId: 'a', connection: 'one', language: 0, version: 479 }, 'p', 0);
  table.producerHeard({ clientId: 'b', connection: 'one', language: 0, version: 479 }, 'p', 0);
  table.connectionClosed('one');
  assert.deepEqual(ids(table), []);
  assert.deepEqual(table.producersOf('p'), []);
  assert.equal(table.count, 0);
});

test('what clients say that they read takes no more memory than there is for it, and leaves it with them', () => {
  const table: Table = new ClientTable();
  const long = 'x'.repeat(EXPRESSION_MAX);
  const topics = Object.fromEntries(Array.from({ length: 1024 }, (_, at) => [`t${at}`, long]));
  const large = terms(topics);
  const clients = Math.floor(CLIENT_TERMS_CHARACTERS_MAX / (1024 * EXPRESSION_MAX));
  for (let count = 1; count < clients; count += 1) hear(table, `c${count}`, large);
  // A heartbeat again takes nothing more.
  hear(table, 'c1', large);
  const more = (): void => {
    for (let count = clients; count <= clients + 1; count += 1) hear(table, `c${count}`, large);
  };
  assert.throws(more, { code: 'LIMIT_REACHED' });
  const before = table.count;
  for (let count = 1; count <= before; count += 1)
    table.consumerLeft(`c${count}`, `c${count}`, 'g');
  assert.equal(table.count, 0);
  for (let count = 1; count < clients; count += 1) hear(table, `c${count}`, large);
});

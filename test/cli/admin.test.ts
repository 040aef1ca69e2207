/** `sluice admin` against a real broker. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CliBroker, type CliResult, runCli } from '../../src/testing/cli-run.ts';

let broker: CliBroker;

before(async () => {
  broker = await CliBroker.start(['--memory', '--auth-token', 'secret-of-this-test-only']);
});

after(async () => {
  await broker.stop();
});

const env = { SLUICE_TOKEN: 'secret-of-this-test-only' };

function admin(words: string, ...more: string[]): Promise<CliResult> {
  return runCli(['admin', ...words.split(' '), ...more, '--url', broker.http], { env });
}

async function post(path: string, body: object): Promise<void> {
  const headers = {
    authorization: 'Bearer secret-of-this-test-only',
    'content-type': 'application/json',
  };
  const response = await fetch(broker.http + path, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  });
  assert.equal(response.status, 200, await response.text());
}

describe('sluice admin', () => {
  test('topics: create, list, status, delete', async () => {
    const settings = ['--queues', '3', '--retention', '2h', '--when-full', 'drop-oldest', '--json'];
    const created = await admin('topics create audit', ...settings);
    assert.equal(created.code, 0, created.stderr);
    const { topicId: _, ...topic } = created.values[0] ?? {};
    assert.deepEqual(topic, {
      topic: 'audit',
      queues: 3,
      retentionMs: 7_200_000,
      retentionBytes: null,
      whenFull: 'drop-oldest',
      deadLetterOf: null,
    });
    const listed = await admin('topics list');
    assert.match(listed.stdout, /^topic +queues +retention[^\n]*\naudit +3 +2 h +drop-oldest/);
    await post('/v1/topics/audit/messages', [
      { body: 1, key: 'k' },
      { body: 2, key: 'k' },
    ]);
    const status = await admin('topics status audit');
    assert.match(status.stdout, /^audit: 2 messages, retention 2 h/);
    const deleted = await admin('topics delete audit --json');
    assert.deepEqual(deleted.values, [{ deleted: 'audit' }]);
    const gone = await admin('topics status audit');
    assert.equal(gone.code, 1);
    assert.match(gone.stderr, /^TOPIC_NOT_FOUND/);
  });

  test('groups and offsets: create, status, dry run, reset, delete', async () => {
    await post('/v1/topics/orders/messages', [{ body: 1 }, { body: 2 }, { body: 3 }]);
    const created = await admin(
      'groups create billing --max-attempts 3 --retry-backoff 1s,5s --json',
    );
    assert.deepEqual(
      [created.values[0]?.['maxAttempts'], created.values[0]?.['retryBackoffMs']],
      [3, [1000, 5000]],
    );
    const toEarliest = 'offsets reset billing orders --to earliest --json';
    const after = (result: CliResult): number[] =>
      ((result.values[0]?.['queues'] ?? []) as { after: number }[]).map((queue) => queue.after);
    const dry = await admin(toEarliest, '--dry-run');
    assert.equal(dry.values[0]?.['dryRun'], true);
    const real = await admin(toEarliest);
    assert.deepEqual(after(real), after(dry));
    const status = await admin('groups status billing');
    assert.match(status.stdout, /^billing: lag 3, in flight 0, retrying 0, dead 0\n/);
    const byQueue = await admin('offsets reset billing orders --to 0=0,1=0 --dry-run');
    assert.match(byQueue.stdout, /^Nothing was changed/);
    const redriven = await admin('groups redrive billing --json');
    assert.equal(redriven.values[0]?.['redriven'], 0);
    const listed = await admin('groups list --json');
    assert.deepEqual(
      listed.values.map(({ group }) => group),
      ['billing'],
    );
    assert.equal((await admin('groups delete billing')).code, 0);
    assert.equal((await admin('groups status billing')).code, 1);
  });

  test('messages: by key, by id', async () => {
    await post('/v1/topics/found/messages', { body: { total: 12 }, key: 'o-17', tag: 'created' });
    const found = await admin('messages find found --key o-17 --json');
    const [message] = found.values;
    assert.deepEqual([message?.['key'], message?.['body']], ['o-17', { total: 12 }]);
    const id = String(message?.['messageId']);
    const one = await admin(`messages get ${id} --json`);
    assert.deepEqual(one.values, [message]);
    assert.match((await admin('messages find found --key o-17')).stdout, new RegExp(id));
    assert.equal((await admin('messages get 00')).code, 1);
  });

  test('status shows the broker and its shards', async () => {
    const { stdout } = await admin('status');
    assert.match(stdout, /^broker-a, version/);
    assert.match(stdout, /\n +0 +running/);
  });

  test('without the token it is refused, with code and hint', async () => {
    const { code, stderr } = await runCli(['admin', 'topics', 'list', '--url', broker.ws]);
    assert.equal(code, 1);
    assert.match(stderr, /^UNAUTHENTICATED/);
  });
});

/** `sluice up` and `sluice broker` as processes: the ready event, the end, what survives a kill, what is refused. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { claimPort } from '../../src/cluster/claimed-port.ts';
import {
  CliBroker,
  gather,
  runCli,
  startCli,
  temporaryDirectory,
} from '../../src/testing/cli-run.ts';
import { until } from '../../src/testing/e2e-broker.ts';

const numbers = (count: number): string =>
  Array.from({ length: count }, (_, index) => `${index + 1}\n`).join('');

test('up --json says when it is ready, when it drains and when it is gone', async () => {
  const directory = temporaryDirectory();
  const broker = await CliBroker.start(['--data', directory.path]);
  const { pid, ws, http, ...rest } = broker.ready;
  assert.deepEqual(Object.keys(broker.ready), [
    ...['event', 'role', 'pid', 'ws', 'http', 'dataDir', 'transport', 'shards'],
    ...['remoting', 'namesrv'],
  ]);
  assert.equal(pid, broker.child.pid);
  assert.match(String(ws), /^ws:\/\/127\.0\.0\.1:\d+$/);
  assert.match(String(http), /^http:\/\/127\.0\.0\.1:\d+$/);
  assert.equal(rest['event'], 'ready');
  assert.equal(rest['role'], 'all');
  assert.equal(rest['dataDir'], directory.path);
  assert.ok(['uws', 'ws'].includes(String(rest['transport'])));
  const { code, values, stderr } = await broker.stop('SIGTERM');
  assert.equal(code, 0, stderr);
  assert.deepEqual(values.slice(1), [
    { event: 'draining', signal: 'SIGTERM' },
    { event: 'closed' },
  ]);
  for (const line of stderr.trim().split('\n')) assert.ok(JSON.parse(line));
  directory.remove();
});

test('up has a NameServer that knows it; its port taken, it goes on without and says so', async () => {
  const first = await CliBroker.start(['--memory']);
  const namesrv = String(first.ready['namesrv']);
  await until('the broker is registered', async () => {
    const answer = await fetch(`http://${namesrv}/v1/cluster`);
    const { brokers } = (await answer.json()) as { brokers: { members: unknown[] }[] };
    return brokers.length === 1;
  });
  const port = namesrv.slice(namesrv.lastIndexOf(':') + 1);
  const second = await CliBroker.start(['--memory', '--namesrv-port', port]);
  assert.equal(second.ready['namesrv'], undefined);
  const { stderr, code } = await second.stop('SIGTERM');
  assert.equal(code, 0);
  assert.match(stderr, /no-nameserver/);
  assert.equal((await first.stop('SIGTERM')).code, 0);
  const third = await CliBroker.start(['--memory', '--namesrv-addr', '127.0.0.1:1']);
  assert.equal(third.ready['namesrv'], undefined);
  assert.equal((await third.stop('SIGTERM')).code, 0);
});

test('up greets people with where it is and what to try, and stops at Ctrl-C', async () => {
  const child = startCli(['up', '--memory', '--port', '0', '--transport', 'ws']);
  const ended = gather(child);
  await new Promise<void>((resolve) => {
    let text = '';
    child.stdout?.on('data', (part: string) => {
      text += part;
      if (text.includes('Ctrl-C')) resolve();
    });
  });
  child.kill('SIGINT');
  const { code, stdout } = await ended;
  assert.equal(code, 0);
  for (const words of [
    'ws://127.0.0.1:',
    'nothing survives',
    'sluice produce',
    'sluice consume',
    'curl',
  ])
    assert.ok(stdout.includes(words), words);
  assert.match(stdout, /transport +ws: /);
});

test('kill -9 and a restart keep everything that was acknowledged', async () => {
  const directory = temporaryDirectory();
  const first = await CliBroker.start(['--data', directory.path, '--shards', '2']);
  const args = ['produce', 'orders', '--producer-id', 'till', '--json'];
  const sent = await runCli([...args, '--url', first.ws], { input: numbers(2000) });
  assert.equal(sent.values.at(-1)?.['acked'], 2000);
  await first.stop('SIGKILL');
  const second = await CliBroker.start(['--data', directory.path]);
  assert.equal(second.ready['shards'], 2);
  const again = await runCli([...args, '--url', second.ws], { input: numbers(2100) });
  const { acked, duplicates } = again.values.at(-1) ?? {};
  assert.deepEqual({ acked, duplicates }, { acked: 2100, duplicates: 2000 });
  const consume = ['consume', 'orders', '--group', 'g', '--from', 'earliest', '--max', '2100'];
  const got = await runCli([...consume, '--json', '--url', second.ws]);
  assert.deepEqual(
    got.values.map(({ body }) => body),
    Array.from({ length: 2100 }, (_, index) => index + 1),
  );
  await second.stop();
  directory.remove();
});

test('produce and consume go on over a broker that is killed and comes back', async () => {
  const directory = temporaryDirectory();
  const port = String(await claimPort());
  const first = await CliBroker.start(['--data', directory.path, '--port', port]);
  const tail = startCli([
    'consume',
    't',
    '--group',
    'g',
    '--from',
    'earliest',
    '--max',
    '4',
    '--json',
    '--url',
    first.ws,
  ]);
  const tailEnded = gather(tail);
  const producer = startCli(['produce', 't', '--producer-id', 'p', '--json', '--url', first.ws]);
  const producerEnded = gather(producer);
  producer.stdin?.write('1\n2\n');
  let seen = '';
  await new Promise<void>((resolve) => {
    tail.stdout?.on('data', (part: string) => {
      seen += part;
      if (seen.split('\n').length > 2) resolve();
    });
  });
  await first.stop('SIGKILL');
  const second = await CliBroker.start(['--data', directory.path, '--port', port]);
  producer.stdin?.end('3\n4\n');
  const sent = await producerEnded;
  assert.deepEqual([sent.code, sent.values.at(-1)?.['acked']], [0, 4], sent.stderr);
  const { code, values, stderr } = await tailEnded;
  assert.equal(code, 0, stderr);
  // At least once: what was printed and whose acknowledgement was cut off comes again.
  const bodies = values.map(({ body }) => body);
  assert.equal(bodies.length, 4);
  assert.deepEqual(bodies.slice(0, 2), [1, 2]);
  await second.stop();
  directory.remove();
});

describe('sluice broker', () => {
  test('reads its file and makes no topics by itself', async () => {
    const directory = temporaryDirectory();
    const file = join(directory.path, 'broker.yaml');
    writeFileSync(
      file,
      `storePathRootDir: ${join(directory.path, 'data')}\nfrontDoorPort: 0\nbrokerName: alpha\n`,
    );
    const child = startCli(['broker', '-c', file, '--json']);
    const ended = gather(child);
    const [text] = (await once(child.stdout ?? child, 'data')) as [string];
    const ready = JSON.parse(text.slice(0, text.indexOf('\n'))) as {
      role: string;
      ws: string;
      http: string;
    };
    assert.equal(ready.role, 'broker');
    const refused = await runCli(['produce', 'orders', '--url', ready.ws], { input: '1\n' });
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^TOPIC_NOT_FOUND[\s\S]*sluice admin topics create/);
    const status = (await (await fetch(`${ready.http}/api/broker`)).json()) as { name: string };
    assert.equal(status.name, 'alpha');
    child.kill('SIGTERM');
    assert.equal((await ended).code, 0);
    directory.remove();
  });

  test('without a file is wrong usage', async () => {
    const { code, stderr } = await runCli(['broker']);
    assert.equal(code, 2);
    assert.match(stderr, /configuration file/);
  });
});

describe('what does not start', () => {
  test('a directory in use: exit 1, who has it, what to do', async () => {
    const directory = temporaryDirectory();
    const broker = await CliBroker.start(['--data', directory.path]);
    const second = await runCli(['up', '--data', directory.path, '--port', '0', '--json']);
    assert.equal(second.code, 1);
    const { event, error } = second.values.at(-1) as {
      event: string;
      error: { message: string; hint: string };
    };
    assert.equal(event, 'error');
    assert.match(error.message, new RegExp(`${broker.child.pid}`));
    assert.notEqual(error.hint, '');
    await broker.stop();
    directory.remove();
  });

  test('a port in use: exit 1', async () => {
    const broker = await CliBroker.start(['--memory']);
    const second = await runCli(['up', '--memory', '--port', new URL(broker.ws).port]);
    assert.equal(second.code, 1);
    assert.match(second.stderr, new RegExp(`${new URL(broker.ws).port}`));
    assert.match(second.stderr, /hint/);
    await broker.stop();
  });

  test('wrong settings: exit 2, naming the key, the value and what is allowed', async () => {
    const wrong: readonly (readonly [
      readonly string[],
      Readonly<Record<string, string>>,
      RegExp,
    ])[] = [
      [['--shards', 'many'], {}, /shards is "many" \(flag, --shards\); allowed: .*1 to 64/],
      [['--flush', 'never'], {}, /never/],
      [['--shrads', '2'], {}, /Did you mean --shards/],
      [[], { SLUICE_SHARDZ: '2' }, /SLUICE_SHARDS\?/],
      [['--data', 'a', '--store-path-root-dir', 'b'], {}, /mean the same/],
      [['--host', '0.0.0.0'], {}, /token/],
    ];
    for (const [args, env, text] of wrong) {
      const result = await runCli(['up', ...args], { env });
      assert.equal(result.code, 2, args.join(' '));
      assert.match(result.stderr, text);
      assert.doesNotMatch(result.stderr, /\.js:\d+/);
    }
  });
});

/** `sluice namesrv` as a process: the ready event, RocketMQ's properties file, what is refused, an orderly end. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  gather,
  jsonLines,
  runCli,
  startCli,
  temporaryDirectory,
} from '../../src/testing/cli-run.ts';
import { RemotingClient } from '../../src/testing/remoting-client.ts';

/** Starts it and resolves with its ready event and what ends it. */
async function startNamesrv(args: readonly string[]): Promise<{
  readonly ready: Readonly<Record<string, unknown>>;
  readonly port: number;
  readonly stop: (signal: NodeJS.Signals) => ReturnType<typeof gather>;
}> {
  const child = startCli(['namesrv', '--json', ...args]);
  const result = gather(child);
  const [ready] = await new Promise<Readonly<Record<string, unknown>>[]>((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (part: string) => {
      text += part;
      if (text.includes('\n')) resolve(jsonLines(text));
    });
    result.then(({ stderr }) => reject(new Error(`it did not start: ${stderr}`)), reject);
  });
  assert.ok(ready !== undefined);
  const port = Number(String(ready['namesrv']).split(':').at(-1));
  const stop = (signal: NodeJS.Signals): ReturnType<typeof gather> => {
    child.kill(signal);
    return result;
  };
  return { ready, port, stop };
}

test('namesrv --json says when it is ready, counts, drains and is gone', async () => {
  const { ready, port, stop } = await startNamesrv(['--port', '0']);
  assert.deepEqual(Object.keys(ready), ['event', 'role', 'pid', 'namesrv']);
  assert.equal(ready['event'], 'ready');
  assert.equal(ready['role'], 'namesrv');
  assert.match(String(ready['namesrv']), /^127\.0\.0\.1:\d+$/);
  const client = await RemotingClient.connect(port);
  assert.equal((await client.register()).code, 0);
  const { code, values, stderr } = await stop('SIGTERM');
  assert.equal(code, 0, stderr);
  assert.equal(await client.closed, 'peer');
  assert.deepEqual(values[1], { event: 'draining', signal: 'SIGTERM' });
  assert.equal(values[2]?.['event'], 'closed');
  const statistics = values[2]?.['statistics'] as Record<string, number>;
  assert.equal(statistics['registrations'], 1);
  assert.equal(statistics['brokersDisconnected'], 1);
  const events = jsonLines(stderr).map(({ event }) => event);
  assert.ok(events.includes('broker-registered'), stderr);
});

test('namesrv reads a namesrv.properties of RocketMQ, and names what means nothing here', async () => {
  const directory = temporaryDirectory();
  const file = join(directory.path, 'namesrv.properties');
  writeFileSync(
    file,
    'listenPort=0\nbindAddress=127.0.0.1\norderMessageEnable=false\nserverWorkerThreads=8\nkvConfigPath=/x/kv.json\n',
  );
  const { port, stop } = await startNamesrv(['-c', file]);
  const client = await RemotingClient.connect(port);
  const config = Buffer.from((await client.ask(319)).body).toString();
  assert.match(config, /^orderMessageEnable=false$/m);
  const { code, stderr } = await stop('SIGINT');
  assert.equal(code, 0);
  const warning = jsonLines(stderr).find(({ event }) => event === 'config')?.['warning'];
  assert.equal(warning, 'these keys have no effect here: serverWorkerThreads, kvConfigPath');
  directory.remove();
});

test('namesrv tells people where it is', async () => {
  const child = startCli(['namesrv', '--port', '0']);
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
  assert.match(stdout, /namesrvAddr=127\.0\.0\.1:\d+/);
});

test('namesrv refuses wrong settings with key, value and what is allowed', async () => {
  const refused = async (args: readonly string[], text: RegExp, exit = 2): Promise<void> => {
    const { code, stderr } = await runCli(['namesrv', ...args]);
    assert.equal(code, exit, stderr);
    assert.match(stderr, text);
  };
  await refused(['--port', '99999'], /listenPort is "99999".*an integer from 0 to 65535/);
  await refused(['--port', '1', '--listen-port', '2'], /--port and --listen-port mean the same/);
  await refused(['--host', '0.0.0.0'], /bindAddress is "0\.0\.0\.0", which others can reach/);
  await refused(['--access-key', 'x'], /accessKey and secretKey .* go together/);
  await refused(['--lisen-port', '1'], /unknown option/);
  const { port, stop } = await startNamesrv(['--port', '0']);
  await refused(['--port', String(port)], /is in use by another process/, 1);
  await stop('SIGTERM');
});

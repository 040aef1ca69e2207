/** `sluice cluster` as a process: its files, its events, an orderly end, and what a killed supervisor leaves behind. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  gather,
  jsonLines,
  runCli,
  startCli,
  temporaryDirectory,
} from '../../src/testing/cli-run.ts';
import { until } from '../../src/testing/e2e-broker.ts';

/** Sizes for a short life on a busy machine. */
const env = {
  SLUICE_SEGMENT_BYTES: '1MiB',
  SLUICE_TAIL_BYTES: '1MiB',
  SLUICE_RING_BYTES: '16MiB',
  SLUICE_MAX_MESSAGE_SIZE: '64KiB',
  SLUICE_SHARDS: '1',
};

type Broker = {
  readonly name: string;
  readonly http: string;
  readonly pid: number;
  readonly propertiesFile: string;
};

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function startCluster(words: readonly string[]) {
  const child = startCli(['cluster', ...words, '--port', '0', '--json'], { env });
  process.once('exit', () => child.kill('SIGKILL'));
  const text = { stdout: '' };
  child.stdout?.on('data', (part: Buffer | string) => {
    text.stdout += String(part);
  });
  const result = gather(child);
  type Event = Readonly<Record<string, unknown>>;
  const event = async (
    name: string,
    isIt: (event: Event) => boolean = () => true,
  ): Promise<Event> => {
    const find = (): Event | undefined =>
      jsonLines(text.stdout.slice(0, text.stdout.lastIndexOf('\n') + 1)).find(
        (one) => one['event'] === name && isIt(one),
      );
    const ended = result.then(({ stderr }) => assert.fail(`it ended: ${stderr}`));
    await Promise.race([until(name, () => find() !== undefined), ended]);
    return find() ?? {};
  };
  return { child, result, event };
}

test('two masters come up from properties files, know each other through a NameServer, and all go on Ctrl-C', async (context) => {
  const { path: data, remove } = temporaryDirectory();
  context.after(remove);
  const { child, result, event } = startCluster(['2m', '--data', data]);
  const ready = await event('ready');
  const brokers = ready['brokers'] as readonly Broker[];
  assert.deepEqual(
    brokers.map(({ name }) => name),
    ['broker-a', 'broker-b'],
  );
  const properties = readFileSync((brokers[0] as Broker).propertiesFile, 'utf8');
  assert.match(properties, /^brokerName=broker-a$/m);
  assert.match(properties, new RegExp(`^namesrvAddr=${String(ready['namesrvAddr'])}$`, 'm'));
  const route = `http://${String(ready['namesrvAddr'])}/v1/cluster`;
  await until('both are registered', async () => {
    const cluster = (await (await fetch(route)).json()) as { readonly brokers: readonly object[] };
    return cluster.brokers.length === 2;
  });
  // One that is slow to answer is silent for a look.
  await event('status', ({ processes }) => {
    const rows = processes as readonly { readonly name: string; readonly state: string }[];
    return (
      rows.map(({ name, state }) => `${name} ${state}`).join() ===
      'namesrv up,broker-a up,broker-b up'
    );
  });
  child.kill('SIGINT');
  const { code, stderr, values } = await result;
  assert.equal(code, 0, stderr);
  assert.deepEqual(values.at(-1), { event: 'closed' });
  assert.ok(brokers.every(({ pid }) => !isRunning(pid)));
  assert.ok(!existsSync(join(data, 'processes.json')));
  assert.ok(readdirSync(data).includes('broker-a.log'));
});

test('what a killed supervisor leaves behind is found and named by the next start', async (context) => {
  const { path: data, remove } = temporaryDirectory();
  context.after(remove);
  const { child, result, event } = startCluster(['1m', '--data', data]);
  const [broker] = (await event('ready'))['brokers'] as readonly [Broker];
  child.kill('SIGKILL');
  await result;
  assert.ok(isRunning(broker.pid));
  const again = await runCli(['cluster', '1m', '--data', data, '--port', '0', '--json'], { env });
  const pids =
    /kill ([\d ]+)/
      .exec(again.stdout + again.stderr)?.[1]
      ?.split(' ')
      .map(Number) ?? [];
  try {
    assert.notEqual(again.code, 0);
    assert.match(again.stdout + again.stderr, /broker-a \(\d+\)/);
    assert.equal(pids.length, 2);
    assert.ok(pids.includes(broker.pid));
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGKILL');
  }
});

test('a directory of another shape, and a fault that the shape cannot have, are refused', async (context) => {
  const { path: data, remove } = temporaryDirectory();
  context.after(remove);
  const common = ['--data', data, '--json'];
  const drill = ['cluster', 'drill', 'disk-loss', '--shape', '2m'];
  const refused = await runCli([...drill, ...common]);
  assert.notEqual(refused.code, 0);
  assert.match(refused.stdout + refused.stderr, /disk-loss needs a slave, and 2m has none/);
  const wrong = await runCli(['cluster', '3m', ...common]);
  assert.equal(wrong.code, 2);
});

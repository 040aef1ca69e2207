/** docs/COUNTERS.md against a scrape of a running broker: same metrics, same types, same labels. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createBroker } from '../../src/index.ts';
import { REQUEST_CODES } from '../../src/protocol/remoting/request-codes.ts';
import { parseMarkdown, tableRows } from '../../src/testing/markdown.ts';
import { connect } from '../../src/testing/patient-client.ts';
import { RemotingClient } from '../../src/testing/remoting-client.ts';
import { projectRoot } from '../../src/testing/source-tree.ts';

/** Metric → `type label,label`. */
type Shapes = Readonly<Record<string, string>>;

function shapesOfPage(): Shapes {
  const text = readFileSync(join(projectRoot(), 'docs/COUNTERS.md'), 'utf8');
  const names = (cell: string): string[] =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
  return Object.fromEntries(
    tableRows(parseMarkdown('docs/COUNTERS.md', text)).map(([name = '', type, labels = '']) => [
      names(name)[0],
      `${type} ${names(labels).sort().join()}`,
    ]),
  );
}

function shapesOfScrape(text: string): Shapes {
  const types = new Map<string, string>();
  const labels = new Map<string, Set<string>>();
  for (const line of text.split('\n')) {
    const [, typed, type] = /^# TYPE (\S+) (\S+)/.exec(line) ?? [];
    if (typed !== undefined && type !== undefined) types.set(typed, type);
    const [, sample = '', inBraces = ''] = /^([a-z_]+)(?:\{(.*)\})? /.exec(line) ?? [];
    const name = types.has(sample) ? sample : sample.replace(/_(bucket|sum|count)$/, '');
    if (!types.has(name)) continue;
    const known = labels.get(name) ?? new Set();
    for (const [, label = ''] of inBraces.matchAll(/([a-z]+)="/g)) known.add(label);
    labels.set(name, known);
  }
  return Object.fromEntries(
    [...types].map(([name, type]) => [name, `${type} ${[...(labels.get(name) ?? [])].sort()}`]),
  );
}

test('docs/COUNTERS.md lists what /metrics answers, and nothing else', async () => {
  const broker = await createBroker({
    memory: true,
    config: { namesrvAddr: '127.0.0.1:1', remotingPort: 0 },
  });
  try {
    const client = await connect({ servers: broker.ready.ws });
    await client.producer().send({ topic: 'orders', body: 1 });
    const consumer = client.consumer({ topic: 'orders', group: 'billing', from: 'earliest' });
    for await (const message of consumer) {
      await message.ack();
      break;
    }
    // A refusal, because its counter comes with the first one.
    await assert.rejects(client.admin.topic('none'), { code: 'TOPIC_NOT_FOUND' });
    const port = Number(broker.ready.remoting?.split(':')[1]);
    const remoting = await RemotingClient.connect(port);
    await remoting.ask(REQUEST_CODES.GET_BROKER_CONFIG);
    const scrape = await (await fetch(`${broker.ready.http}/metrics`)).text();
    assert.deepEqual(shapesOfPage(), shapesOfScrape(scrape));
    remoting.close();
    await client.close();
  } finally {
    await broker.close();
  }
});

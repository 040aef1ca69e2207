/** The broker under measurement: one that was started for it, or one that runs already; what it says of itself, and what it uses. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep } from '../base/clock.ts';
import type { Client } from '../client/client.ts';
import { connect } from '../client/node.ts';
import { httpUrlOf, webSocketUrls } from '../client/servers.ts';
import type { BenchOptions } from './bench-options.ts';
import type { LoadTopic } from './load.ts';
import { type ResidentBytes, ServerProcess } from './server-process.ts';

const PREPARE_POLL_MS = 20;
const PREPARE_MS_MAX = 300_000;

/** What a broker uses of its machine. */
export type BrokerUsage = {
  readonly resident: ResidentBytes | undefined;
  readonly cpuSeconds: number | undefined;
};

export interface TargetBroker {
  /** With the path of WebSockets. */
  readonly url: string;
  readonly token: string | undefined;
  readonly transport: string;
  readonly flush: 'sync' | 'async';
  /** Where its files are, when it is ours. */
  readonly directory: string | undefined;
  readonly client: Client;
  usage(): Promise<BrokerUsage>;
  /** Takes back what the run made: topics of a broker that goes on, or the broker and its files. */
  close(made: {
    readonly topics: readonly LoadTopic[];
    readonly groups: readonly string[];
  }): Promise<void>;
}

/** @throws what stands in the way of starting or reaching it */
export function openTarget(options: BenchOptions, command: string): Promise<TargetBroker> {
  const { url, token } = options;
  return url === undefined ? startOwn(options, command) : attach(url, token);
}

async function startOwn(options: BenchOptions, command: string): Promise<TargetBroker> {
  const directory = options.dataDir ?? mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const remove = (): void => {
    if (options.dataDir === undefined) rmSync(directory, { recursive: true, force: true });
  };
  try {
    const server = await startBrokerProcess(command, directory, [
      ...['--flush', options.flush, '--transport', options.transport],
      ...['--segments-ahead', String(options.segmentsAhead)],
    ]);
    await untilPrepared(directory, Number(server.ready['shards']), options.segmentsAhead);
    const url = webSocketUrls(server.ready['ws'])[0] as string;
    const client = await connect({ servers: url, name: 'sluice bench' });
    return {
      url,
      token: undefined,
      transport: String(server.ready['transport']),
      flush: options.flush,
      directory,
      client,
      usage: async () => ({
        resident: server.residentBytes(),
        cpuSeconds: server.cpuSeconds(),
      }),
      close: async () => {
        await client.close();
        await server.stop();
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Resolves when every shard has its first segment and those ahead of it; waits no longer than a disk may need for them. */
async function untilPrepared(directory: string, shards: number, ahead: number): Promise<void> {
  const prepared = (shard: number): number =>
    readdirSync(join(directory, `shard-${shard}`)).filter((name) => name.endsWith('.seg')).length;
  for (let waitedMs = 0; waitedMs < PREPARE_MS_MAX; waitedMs += PREPARE_POLL_MS) {
    const counts = Array.from({ length: shards }, (_, shard) => prepared(shard));
    if (counts.every((count) => count > ahead)) return;
    await sleep(PREPARE_POLL_MS);
  }
}

/**
 * `sluice up` on a free port, as anybody would start it.
 *
 * @param command - the file of the `sluice` command
 * @param more - options of `sluice up`
 */
export function startBrokerProcess(
  command: string,
  directory: string,
  more: readonly string[] = [],
): Promise<ServerProcess> {
  const words = [command, 'up', '--json', '--data', directory, '--port', '0', ...more];
  return ServerProcess.start(words);
}

async function attach(given: string, token: string | undefined): Promise<TargetBroker> {
  const url = webSocketUrls(given)[0] as string;
  const client = await connect({ servers: url, token, name: 'sluice bench' });
  const facts = await client.admin.broker();
  const metricsUrl = `${httpUrlOf(url)}/metrics`;
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return {
    url,
    token,
    transport: String(facts['transport'] ?? 'unknown'),
    flush: facts['flush'] === 'ASYNC_FLUSH' ? 'async' : 'sync',
    directory: undefined,
    client,
    usage: async () => usageOfMetrics(await (await fetch(metricsUrl, { headers })).text()),
    close: async ({ topics, groups }) => {
      for (const group of groups) await client.admin.deleteGroup(group);
      for (const { topic } of topics) await client.admin.deleteTopic(topic);
      await client.close();
    },
  };
}

/** What a broker elsewhere says of itself; its peak is not known. */
function usageOfMetrics(text: string): BrokerUsage {
  const value = (name: string): number | undefined => {
    const found = new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)`, 'm').exec(text)?.[1];
    return found === undefined ? undefined : Number(found);
  };
  const now = value('process_resident_memory_bytes');
  return {
    resident: now === undefined ? undefined : { now, peak: now },
    cpuSeconds: value('process_cpu_seconds_total'),
  };
}

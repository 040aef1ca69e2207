/** Two broker processes, a master and its slave, each on a directory of its own; and what tests compare on them. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BrokerProcess, type BrokerProcessOptions, until } from './e2e-broker.ts';

type Settings = NonNullable<BrokerProcessOptions['settings']>;

/** What `GET /api/replication` says. */
export type ReplicationFacts = {
  readonly role: string;
  readonly epoch: number;
  readonly refusals: number;
  readonly haAddress: string | null;
  readonly shards: readonly {
    readonly shard: number;
    readonly state: string;
    readonly appended: number;
    readonly flushed: number;
    readonly commit: number;
    readonly replicated: number;
    readonly refusal: string;
    readonly slaves: readonly { name: string; phase: string; acked: number; lagBytes: number }[];
  }[];
};

/** Small sizes: several segments in a short test. */
const SIZES = {
  segmentBytes: '1MiB',
  tailBytes: '1MiB',
  ringBytes: '16MiB',
  maxMessageSize: '64KiB',
};

export class BrokerPair {
  readonly root: string = mkdtempSync(join(tmpdir(), 'sluice-pair-'));
  readonly running: BrokerProcess[] = [];
  private readonly shared: Settings;

  /** @param shared - settings of all brokers */
  constructor(shared: Settings = {}) {
    this.shared = { shards: 1, ...SIZES, ...shared };
  }

  directory(name: string): string {
    return join(this.root, name);
  }

  async start(name: string, settings: Settings, port = 0): Promise<BrokerProcess> {
    const broker = await BrokerProcess.start({
      dataDir: this.directory(name),
      port,
      settings: { haListenPort: 0, ...this.shared, ...settings },
    });
    this.running.push(broker);
    return broker;
  }

  startMaster(settings: Settings = {}, port = 0): Promise<BrokerProcess> {
    return this.start('a', { brokerRole: 'ASYNC_MASTER', ...settings }, port);
  }

  startSlave(master: BrokerProcess, settings: Settings = {}): Promise<BrokerProcess> {
    const haMasterAddress = String(master.ready['ha']);
    return this.start('b', { brokerRole: 'SLAVE', brokerId: 1, haMasterAddress, ...settings });
  }

  destroyDisk(name: string): void {
    rmSync(this.directory(name), { recursive: true, force: true });
  }

  async end(): Promise<void> {
    await Promise.all(this.running.map((broker) => broker.kill()));
    rmSync(this.root, { recursive: true, force: true });
  }

  /** The log of a shard as its segment files hold it, from the first that is there. */
  log(name: string, shard = 0): { readonly start: number; readonly bytes: Buffer } {
    const directory = join(this.directory(name), `shard-${shard}`);
    const files = readdirSync(directory)
      .filter((file) => file.endsWith('.seg'))
      .sort();
    return {
      start: Number(/\d+/.exec(files[0] ?? '')?.[0] ?? 0),
      bytes: Buffer.concat(files.map((file) => readFileSync(join(directory, file)))),
    };
  }

  /** Has retention let a segment go? It may keep some that are older. */
  hasLetGo(name: string, shard = 0): boolean {
    const files = readdirSync(join(this.directory(name), `shard-${shard}`));
    const numbers = files
      .filter((file) => file.endsWith('.seg'))
      .map((file) => Number(/\d+/.exec(file)?.[0]));
    return numbers.length < Math.max(0, ...numbers) + 1;
  }

  hasQuarantine(name: string, shard = 0): boolean {
    const directory = join(this.directory(name), `shard-${shard}`);
    return existsSync(directory) && readdirSync(directory).some((file) => file.endsWith('.tail'));
  }
}

export async function factsOf(broker: BrokerProcess): Promise<ReplicationFacts> {
  return (await (await fetch(`${broker.http}/api/replication`)).json()) as ReplicationFacts;
}

/** Waits until the slave has flushed all that the master has, and shows it. */
export async function untilCaughtUp(master: BrokerProcess, slave: BrokerProcess): Promise<void> {
  await until('the slave has everything', async () => {
    const [ofMaster, ofSlave] = [await factsOf(master), await factsOf(slave)];
    return ofMaster.shards.every((shard, index) => {
      const there = ofSlave.shards[index];
      return there?.flushed === shard.appended && there.commit === shard.commit;
    });
  });
}

export async function postJson(url: string, body: object = {}): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
}

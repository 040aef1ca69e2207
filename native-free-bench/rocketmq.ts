/**
 * `npm run bench:rocketmq [-- --small] [--out FILE]`: RocketMQ's bundled benchmark against SluiceMQ and against Apache
 * RocketMQ in one run, with SYNC_FLUSH and with ASYNC_FLUSH: sending, consuming, end-to-end latency, time until a broker is
 * registered and its resident memory. Prints a table with the ratio of each figure, better than 1 being better; --out adds
 * the figures to a file as lines of JSON. Needs Java and Maven.
 */
import { appendFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { REQUEST_CODES } from '../src/protocol/remoting/request-codes.ts';
import { RemotingClient } from '../src/testing/remoting-client.ts';
import {
  type BenchmarkLine,
  BenchmarkProgram,
  EXAMPLE_VERSION,
  fetchBenchmark,
} from '../src/testing/rocketmq-benchmark.ts';
import { APACHE_VERSION, RocketmqTarget, type TargetKind } from '../src/testing/rocketmq-target.ts';
import { describeMachine } from './machine.ts';
import { formatCount, markdownTable } from './table.ts';

const FLUSH_MODES: readonly string[] = ['SYNC_FLUSH', 'ASYNC_FLUSH'];
/** Taken in turn, so that a machine that changes its mind does so for both. */
const KINDS: readonly TargetKind[] = ['apache', 'sluice'];
const QUEUES = 8;

type SendCase = { readonly threads: number; readonly bytes: number };
const SEND_CASES: readonly SendCase[] = [
  { threads: 1, bytes: 128 },
  { threads: 64, bytes: 128 },
  { threads: 1, bytes: 1024 },
  { threads: 64, bytes: 1024 },
];
const SEND_CASES_SMALL: readonly SendCase[] = [{ threads: 64, bytes: 128 }];

/** Lines of each program that count, ten seconds apart; the first that tells of messages is warming up and left out. */
type Plan = { readonly sends: readonly SendCase[]; readonly lines: number };
const FULL: Plan = { sends: SEND_CASES, lines: 3 };
const SMALL: Plan = { sends: SEND_CASES_SMALL, lines: 1 };

type Figure = {
  readonly name: string;
  readonly flush: string;
  readonly unit: string;
  readonly value: number;
  /** Whether more is better. */
  readonly isMoreBetter: boolean;
};

/** Of the lines that have it: a consumer to which nothing came in ten seconds prints no average. */
function meanOf(lines: readonly BenchmarkLine[], name: string): number {
  const values = lines.flatMap((line) => line.get(name) ?? []);
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

class Measuring {
  readonly figures: Figure[] = [];
  private readonly target: RocketmqTarget;
  private readonly classPath: string;
  private readonly flush: string;
  private readonly plan: Plan;

  constructor(target: RocketmqTarget, classPath: string, flush: string, plan: Plan) {
    this.target = target;
    this.classPath = classPath;
    this.flush = flush;
    this.plan = plan;
  }

  async run(): Promise<void> {
    this.add('start until registered', 'ms', this.target.startMs, false);
    this.add('resident memory, idle', 'MiB', this.target.residentMib(), false);
    for (const { threads, bytes } of this.plan.sends) {
      const name = `send sync, ${bytes} B, ${threads} threads`;
      const producer = await this.producer(`send-${bytes}-${threads}`, threads, bytes);
      const lines = await producer.measured(this.plan.lines);
      this.add(name, 'messages/s', meanOf(lines, 'Send TPS'), true);
      this.add(`${name}, average`, 'ms', meanOf(lines, 'Average RT(ms)'), false);
      this.add(`${name}, refused`, 'messages', meanOf(lines, 'Send Failed'), false);
      await producer.stop();
    }
    await this.consume('push consume, 64 threads send', 64, 'messages/s');
    await this.consume('end to end, 1 thread sends', 1, 'ms');
    this.add('resident memory, after', 'MiB', this.target.residentMib(), false);
  }

  private async consume(name: string, threads: number, unit: 'messages/s' | 'ms'): Promise<void> {
    const topic = `consume-${threads}`;
    await this.makeTopic(topic);
    const words = ['-n', this.target.namesrv, '-t', topic];
    const home = this.target.home('consumer');
    const consumer = new BenchmarkProgram('Consumer', this.classPath, home, words);
    const producer = await this.producer(topic, threads, 128);
    const lines = await consumer.measured(this.plan.lines);
    await producer.stop();
    await consumer.stop();
    if (unit === 'ms') this.add(name, unit, meanOf(lines, 'AVG(B2C) RT(ms)'), false);
    else this.add(name, unit, meanOf(lines, 'Consume TPS'), true);
  }

  private async producer(topic: string, threads: number, bytes: number): Promise<BenchmarkProgram> {
    await this.makeTopic(topic);
    const words = ['-n', this.target.namesrv, '-t', topic, '-w', String(threads)];
    const home = this.target.home('producer');
    const all = [...words, '-s', String(bytes)];
    return new BenchmarkProgram('Producer', this.classPath, home, all);
  }

  private async makeTopic(topic: string): Promise<void> {
    const broker = await RemotingClient.connect(Number(this.target.brokerAddress.split(':')[1]));
    await broker.ask(REQUEST_CODES.UPDATE_AND_CREATE_TOPIC, {
      fields: {
        ...{ topic, defaultTopic: 'TBW102', perm: '6', topicFilterType: 'SINGLE_TAG' },
        ...{ readQueueNums: String(QUEUES), writeQueueNums: String(QUEUES) },
        ...{ topicSysFlag: '0', order: 'false' },
      },
    });
    broker.close();
  }

  private add(name: string, unit: string, value: number, isMoreBetter: boolean): void {
    const figure = { name, flush: this.flush, unit, value, isMoreBetter };
    this.figures.push(figure);
    console.error(`${this.target.kind} ${this.flush}: ${name}: ${formatCount(value)} ${unit}`);
  }
}

function tableOf(figures: ReadonlyMap<TargetKind, readonly Figure[]>): string {
  const [theirs = [], ours = []] = [figures.get('apache'), figures.get('sluice')];
  const rows = ours.map((figure, index) => {
    const other = theirs[index]?.value ?? Number.NaN;
    const ratio = figure.isMoreBetter ? figure.value / other : other / figure.value;
    return [
      ...[figure.flush, figure.name, figure.unit, formatCount(other), formatCount(figure.value)],
      Number.isFinite(ratio) ? ratio.toFixed(2) : '–',
    ];
  });
  const apache = `Apache ${APACHE_VERSION}`;
  return markdownTable(['flush', 'figure', 'unit', apache, 'SluiceMQ', 'ratio'], rows);
}

async function run(words: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...words],
    options: { small: { type: 'boolean' }, out: { type: 'string' } },
  });
  const plan = values.small === true ? SMALL : FULL;
  const fetched = fetchBenchmark();
  if ('obstacle' in fetched) {
    console.error(`Not measured: ${fetched.obstacle}`);
    return 1;
  }
  const figures = new Map<TargetKind, Figure[]>(KINDS.map((kind) => [kind, []]));
  for (const flush of FLUSH_MODES) {
    for (const kind of KINDS) {
      const settings = { flushDiskType: flush };
      const target = await RocketmqTarget.start(kind, { settings, isMeasured: true });
      try {
        const measuring = new Measuring(target, fetched.classPath, flush, plan);
        await measuring.run();
        figures.get(kind)?.push(...measuring.figures);
      } finally {
        await target.close();
      }
    }
  }
  console.log(`\nClients: rocketmq-example ${EXAMPLE_VERSION}\n\n${tableOf(figures)}`);
  if (values.out !== undefined) {
    const where = { size: values.small === true ? 'small' : 'full', machine: describeMachine() };
    for (const [kind, list] of figures)
      for (const figure of list)
        appendFileSync(values.out, `${JSON.stringify({ kind, ...figure, ...where })}\n`);
  }
  return 0;
}

process.exitCode = await run(process.argv.slice(2));

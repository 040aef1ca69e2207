/** `sluice bench`: load on a broker, and proof that it kept every promise; how near to the machine's limit it came. */
import { fileURLToPath } from 'node:url';
import { type Command, InvalidArgumentError } from 'commander';
import { systemClock } from '../../base/clock.ts';
import { systemPrng } from '../../base/prng.ts';
import {
  type BenchMode,
  type BenchOptions,
  checkBenchOptions,
  DEFAULT_WINDOW,
  FRAME_PER_MESSAGE_WINDOW,
} from '../../bench/bench-options.ts';
import { type BenchResult, isFlawless } from '../../bench/bench-result.ts';
import { defaultGenerators, runBench } from '../../bench/run-bench.ts';
import { interruptSignal } from '../interrupt.ts';
import { oneOf, wholeNumber } from '../option-values.ts';
import { Output, sizeText, tableText } from '../output.ts';
import { asUsage } from '../report-error.ts';
import { Progress } from '../terminal.ts';

const COUNT_MAX = Number.MAX_SAFE_INTEGER;
const EXIT_FAILED = 1;
const LATENCY_RATE = 100_000;
/** Messages of a backlog for each second that was asked for. */
const BACKLOG_PER_SECOND = 1_000_000;

const MODES: Readonly<Record<BenchMode, string>> = {
  produce: 'send as fast as the broker takes it',
  consume: 'consume a backlog that is filled first, or the tail with --while-producing',
  latency: 'send at a fixed rate; latency counts from the time at which a message was due',
};

type CommandOptions = {
  readonly url?: string;
  readonly token?: string;
  readonly data?: string;
  readonly size: number;
  readonly seconds: number;
  readonly connections: number;
  readonly batchBytes: number;
  readonly rate?: number;
  readonly prepared?: boolean;
  readonly framePerMessage?: boolean;
  readonly whileProducing?: boolean;
  readonly messages?: number;
  readonly queues: number;
  readonly window?: number;
  readonly flush: string;
  readonly transport: string;
  readonly segmentsAhead: number;
  readonly generators?: number;
  readonly limitSeconds: number;
  readonly seed: number;
  readonly json?: boolean;
};

export function addBenchCommand(program: Command): void {
  const bench = program
    .command('bench')
    .summary('measure a broker, and check that it kept every promise')
    .description(
      'Measures a broker, and checks that it kept every promise: everything that was acknowledged is read back. ' +
        "Prints how near to the machine's limit it came: the same bytes to the same disk, and the same frames to the same transport with nothing behind it.",
    );
  for (const mode of Object.keys(MODES) as BenchMode[]) addMode(bench, mode);
}

function addMode(bench: Command, mode: BenchMode): void {
  const command = bench
    .command(mode)
    .summary(MODES[mode])
    .description(`${MODES[mode].charAt(0).toUpperCase()}${MODES[mode].slice(1)}.`)
    .option(
      '--url <url>',
      'address of a running broker; without it one is started in a process of its own',
    )
    .option('--token <token>', 'its authToken; better in SLUICE_TOKEN')
    .option('--data <dir>', 'directory of the own broker; default: a temporary one')
    .option('--size <bytes>', 'bytes of a message body', wholeNumber(1, COUNT_MAX), 128)
    .option('--seconds <n>', 'length of the measured time', positive, 10)
    .option(
      '--connections <n>',
      'connections, each a producer or a member',
      wholeNumber(1, 1000),
      4,
    )
    .option('--batch-bytes <n>', 'bytes of a batch', wholeNumber(1, COUNT_MAX), 16_384)
    .option('--rate <n>', 'messages a second (latency: 100000)', wholeNumber(1, COUNT_MAX))
    .option('--prepared', 'batches encoded beforehand instead of our client');
  if (mode === 'produce') {
    command.option('--frame-per-message', 'a frame, and an acknowledgement, for every message');
  }
  if (mode === 'consume') {
    command
      .option('--while-producing', 'consume the tail while producers send')
      .option(
        '--messages <n>',
        'messages of the backlog (a million a second)',
        wholeNumber(1, COUNT_MAX),
      );
  }
  command
    .option(
      '--queues <n>',
      'queues; more than 64 make several topics',
      wholeNumber(1, COUNT_MAX),
      8,
    )
    .option(
      '--window <n>',
      `unanswered frames a connection (${DEFAULT_WINDOW}; ${FRAME_PER_MESSAGE_WINDOW} with a frame a message)`,
      wholeNumber(1, COUNT_MAX),
    )
    .option('--flush <mode>', 'sync or async, of the own broker', oneOf(['sync', 'async']), 'sync')
    .option(
      '--transport <name>',
      'auto, uws or ws, of the own broker',
      oneOf(['auto', 'uws', 'ws']),
      'auto',
    )
    .option(
      '--segments-ahead <n>',
      'segments that the own broker has prepared when the load begins',
      wholeNumber(1, 1024),
      1,
    )
    .option('--generators <n>', 'threads that run the connections', wholeNumber(1, 1000))
    .option(
      '--limit-seconds <n>',
      "time for each of the machine's limits; 0 leaves them out",
      notNegative,
      1,
    )
    .option('--seed <n>', 'of the bodies', wholeNumber(0, COUNT_MAX), 1)
    .option('--json', 'print the result as one line of JSON')
    .action((options: CommandOptions) => run(mode, options));
}

function positive(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('Allowed: a number above 0.');
}

function notNegative(text: string): number {
  return text.trim() === '0' ? 0 : positive(text);
}

function benchOptions(mode: BenchMode, options: CommandOptions): BenchOptions {
  const framePerMessage = options.framePerMessage === true;
  const window = framePerMessage ? FRAME_PER_MESSAGE_WINDOW : DEFAULT_WINDOW;
  const token = options.token ?? process.env['SLUICE_TOKEN'];
  return {
    mode,
    url: options.url,
    token: token === '' ? undefined : token,
    dataDir: options.data,
    size: options.size,
    seconds: options.seconds,
    connections: options.connections,
    batchBytes: options.batchBytes,
    rate: options.rate ?? (mode === 'latency' ? LATENCY_RATE : undefined),
    prepared: options.prepared === true,
    framePerMessage,
    whileProducing: options.whileProducing === true,
    messages: options.messages ?? Math.ceil(options.seconds * BACKLOG_PER_SECOND),
    queues: options.queues,
    window: options.window ?? window,
    flush: options.flush as BenchOptions['flush'],
    transport: options.transport as BenchOptions['transport'],
    segmentsAhead: options.segmentsAhead,
    generators: options.generators ?? defaultGenerators(options.connections),
    limitSeconds: options.limitSeconds,
    seed: options.seed,
  };
}

async function run(mode: BenchMode, given: CommandOptions): Promise<void> {
  const output = new Output(given);
  const options = benchOptions(mode, given);
  asUsage(() => checkBenchOptions(options));
  const progress = new Progress(!output.isJson);
  try {
    const result = await runBench(options, {
      clock: systemClock,
      prng: systemPrng(),
      command: fileURLToPath(new URL('../main.js', import.meta.url)),
      signal: interruptSignal(),
      onProgress: (text, ratio) => progress.update(() => text, ratio),
    });
    progress.clear();
    output.json(result);
    output.text(resultText(result));
    if (!isFlawless(result)) process.exitCode = EXIT_FAILED;
  } finally {
    progress.clear();
  }
}

/** The result for people: what was measured on the left, and what it came to. */
function resultText(result: BenchResult): string {
  const { limits, cpu } = result;
  const whole = (value: number): string => Math.round(value).toLocaleString('en-US');
  const speed = (bytes: number | null): string => (bytes === null ? '-' : `${sizeText(bytes)}/s`);
  const ms = (value: number | null): string => (value === null ? '-' : `${value.toFixed(2)} ms`);
  const rows: (readonly [string, string])[] = [
    ['messages', `${whole(result.messagesPerSecond)}/s of ${result.size} bytes`],
    ['bytes', speed(result.bytesPerSecond)],
    ['limit, disk', speed(limits.disk)],
    ['limit, loopback', speed(limits.loopback)],
    ['ratio to the lower', result.ratioToLimit === null ? '-' : String(result.ratioToLimit)],
    ['latency p50', ms(result.p50Ms)],
    ['latency p99', ms(result.p99Ms)],
    ['latency p99.9', ms(result.p999Ms)],
    ['latency max', ms(result.maxMs)],
    ['acknowledged', whole(result.acked)],
    ['lost', whole(result.lost)],
    ['stored twice', whole(result.duplicated)],
    ['out of order', whole(result.reordered)],
    ['damaged or foreign', whole(result.damaged)],
    ['broker memory', result.serverRssBytes === null ? '-' : sizeText(result.serverRssBytes)],
    ['broker cores', cpu.server === null ? '-' : String(cpu.server)],
    ['generator cores', String(cpu.generator)],
    ['broker', `${result.transport}, flush ${result.flush}`],
  ];
  return tableText(
    [
      { title: result.mode, value: ([name]) => name },
      { title: `${result.seconds} s`, value: ([, value]) => value },
    ],
    rows,
  );
}

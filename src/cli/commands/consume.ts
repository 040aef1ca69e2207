/** `sluice consume`: the messages of a topic on stdout, acknowledged once stdout has taken them. */
import type { Command } from 'commander';
import { SluiceError } from '../../base/errors.ts';
import { LEASE_MS_MAX, LEASE_MS_MIN } from '../../base/limits.ts';
import type { SqlFilter } from '../../protocol/subscription-filter.ts';
import type { StartFrom } from '../../protocol/web/messages.ts';
import { interruptSignal } from '../interrupt.ts';
import { MessagePrinter } from '../message-printer.ts';
import { addNamesrvOption, namesrvUrls } from '../namesrv-target.ts';
import { startingPoint, wholeNumber } from '../option-values.ts';
import { countText, Output } from '../output.ts';
import { whenPipeCloses } from '../stdout-pipe.ts';
import { addTargetOptions, type TargetOptions, targetOf } from '../target.ts';
import { TopicTail } from '../topic-tail.ts';

const DAY_MS = 86_400_000;

type ConsumeOptions = TargetOptions & {
  readonly group: string;
  readonly from?: StartFrom;
  readonly filter?: string;
  readonly filterSql?: string;
  readonly max?: number;
  readonly idleMs?: number;
  readonly leaseMs?: number;
  readonly ordered?: boolean;
  readonly member?: string;
  readonly json?: boolean;
  readonly namesrv?: string;
};

export function addConsumeCommand(program: Command): void {
  const command = program
    .command('consume')
    .summary('print the messages of a topic as a member of a group, and acknowledge them')
    .description(
      'Prints the messages of a topic as a member of a consumer group, and acknowledges each once stdout has taken it. ' +
        'What was not printed when it ends goes to the other members, or to the next run.',
    )
    .argument('<topic>', 'where from')
    .requiredOption(
      '--group <name>',
      'consumer group; its members share the messages, and it knows where it was',
    )
    .option(
      '--from <start>',
      'where a new group begins: earliest, latest, or a time (milliseconds since 1970 or ISO 8601); default latest',
      startingPoint,
    )
    .option('--filter <tags>', 'only messages with one of these tags: "created || paid"')
    .option(
      '--filter-sql <expression>',
      'only messages whose properties fulfil it: "price > 10.0 AND region = \'eu\'"',
    )
    .option('--max <n>', 'end after so many messages', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--idle-ms <n>', 'end when nothing came for so long', wholeNumber(1, DAY_MS))
    .option(
      '--lease-ms <n>',
      'give a message back when it is not acknowledged for so long',
      wholeNumber(LEASE_MS_MIN, LEASE_MS_MAX),
    )
    .option('--ordered', 'one message of a queue at a time, the next when it is acknowledged')
    .option('--member <name>', 'name of this member, shown to operators');
  addNamesrvOption(addTargetOptions(command), false)
    .option('--json', 'print each message as the frame that the broker sent')
    .action(consume);
}

async function consume(topic: string, options: ConsumeOptions): Promise<void> {
  const output = new Output(options);
  const { group, from, leaseMs, ordered, member } = options;
  const filter = filterOf(options);
  const printer = new MessagePrinter(process.stdout, output.isJson);
  if (options.namesrv !== undefined) {
    await consumeCluster(topic, options, printer, output);
    return;
  }
  const tail = new TopicTail({
    target: targetOf(options),
    subscribe: {
      topic,
      group,
      ...(from === undefined ? {} : { from }),
      ...(filter === undefined ? {} : { filter }),
      ...(leaseMs === undefined ? {} : { leaseMs }),
      ...(ordered === true ? { ordered } : {}),
      ...(member === undefined ? {} : { member }),
    },
    max: Math.min(options.max ?? Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER),
    idleMs: options.idleMs,
    printer,
    warn: (text) => output.warn(text),
  });
  const signal = interruptSignal();
  signal.addEventListener('abort', () => tail.stop());
  whenPipeCloses(() => tail.stop());
  await tail.open();
  if (process.stdout.isTTY) output.note(waitingText(topic, options));
  await tail.run();
  if (process.stdout.isTTY) output.note(`${countText(printer.printedCount, 'message')} printed`);
}

async function consumeCluster(
  topic: string,
  options: ConsumeOptions,
  printer: MessagePrinter,
  output: Output,
): Promise<void> {
  const { tailCluster } = await import('../cluster-tail.ts');
  const { group, from, leaseMs, ordered, member, idleMs } = options;
  const filter = filterOf(options);
  const pipe = new AbortController();
  whenPipeCloses(() => pipe.abort());
  if (process.stdout.isTTY) output.note(waitingText(topic, options));
  await tailCluster({
    nameServers: namesrvUrls(options),
    token: targetOf(options).token,
    consumer: { topic, group, from, filter, leaseMs, ordered, member },
    max: options.max ?? Number.POSITIVE_INFINITY,
    ...{ idleMs, printer },
    signal: AbortSignal.any([interruptSignal(), pipe.signal]),
    warn: (text) => output.warn(text),
  });
  if (process.stdout.isTTY) output.note(`${countText(printer.printedCount, 'message')} printed`);
}

/** @throws INVALID_ARGUMENT when both forms are given */
function filterOf({ filter, filterSql }: ConsumeOptions): string | SqlFilter | undefined {
  if (filterSql === undefined) return filter;
  if (filter === undefined) return { sql: filterSql };
  throw new SluiceError('INVALID_ARGUMENT', '--filter and --filter-sql exclude each other', {
    hint: "Ask for the tag in SQL: TAGS = 'paid' AND price > 10.0",
  });
}

function waitingText(topic: string, { group, from }: ConsumeOptions): string {
  const start =
    from === undefined || from === 'latest'
      ? 'a new group begins with what comes now; --from earliest shows all'
      : 'Ctrl-C ends';
  return `Waiting for messages of ${topic} as a member of ${group} (${start}).`;
}

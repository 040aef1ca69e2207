/** `sluice produce`: the lines of stdin as messages, as fast as the broker takes them and no faster. */
import { addAbortSignal, type Readable } from 'node:stream';
import type { Command } from 'commander';
import { systemClock } from '../../base/clock.ts';
import { toSluiceError } from '../../base/errors.ts';
import {
  BODY_BYTES_MAX,
  DELAY_MS_MAX,
  EPOCH_MS_MIN,
  PRODUCER_ID_BYTES_MAX,
} from '../../base/limits.ts';
import { interruptSignal } from '../interrupt.ts';
import { type Line, readLines } from '../line-reader.ts';
import type { LineSender } from '../line-sender.ts';
import { type LineFields, messageOfLine } from '../message-line.ts';
import { addNamesrvOption, namesrvUrls } from '../namesrv-target.ts';
import { wholeNumber } from '../option-values.ts';
import { countText, Output } from '../output.ts';
import { UsageError } from '../report-error.ts';
import { SendTally } from '../send-tally.ts';
import { addTargetOptions, type Target, type TargetOptions, targetOf } from '../target.ts';
import { Progress } from '../terminal.ts';

const EPOCH_MAX = 0xffff_ffff;

type Deferred = NonNullable<LineFields['deferral']>;

type ProduceOptions = TargetOptions & {
  readonly keyField?: string;
  readonly tagField?: string;
  readonly producerId?: string;
  readonly producerEpoch: number;
  readonly delayMs?: number;
  readonly deliverAt?: string;
  readonly namesrv?: string;
  readonly json?: boolean;
};

export function addProduceCommand(program: Command): void {
  const command = program
    .command('produce')
    .summary('send the lines of stdin, a message a line')
    .description(
      'Sends the lines of stdin, a message a line: as JSON where the line is JSON, else as text. Empty lines are skipped. ' +
        'Ends with one line of counts; exit code 1 if anything was not acknowledged.',
    )
    .argument('<topic>', 'where to; the broker makes it if it creates topics by itself')
    .option(
      '--key-field <name>',
      'field of a JSON object that is the key: messages of one key keep their order',
    )
    .option(
      '--tag-field <name>',
      'field of a JSON object that is the tag: what consumers filter by',
    )
    .option(
      '--producer-id <id>',
      'number the messages, so that the same input is stored once however often it is sent',
    )
    .option(
      '--producer-epoch <n>',
      'generation of the producer id; a higher one starts over, and stores the same input again',
      wholeNumber(0, EPOCH_MAX),
      0,
    );
  command
    .option(
      '--delay-ms <n>',
      'milliseconds after which each message can be seen',
      wholeNumber(0, DELAY_MS_MAX),
    )
    .option(
      '--deliver-at <time>',
      'time at which they can be seen: ISO 8601 or milliseconds since 1970',
    );
  addNamesrvOption(addTargetOptions(command), false)
    .option('--json', 'print the counts as JSON')
    .addHelpText(
      'after',
      `
With --producer-id, message n of the input has sequence n (empty lines and refused messages have none), and all go to
one queue of the topic. Send the same input again, or a longer one that begins with it, after a crash of either side:
what was stored before is acknowledged as a duplicate, and only the rest is stored.`,
    )
    .action(produce);
}

async function produce(topic: string, options: ProduceOptions): Promise<void> {
  const output = new Output(options);
  const target = targetOf(options);
  checkProducerId(options.producerId);
  const startMs = systemClock.monotonicMs();
  const progress = new Progress(!output.isJson);
  const warn = (text: string): void => {
    progress.clear();
    output.warn(text);
  };
  const tally = new SendTally(warn);
  const signal = interruptSignal();
  const sender = await openSender(topic, target, options, tally, warn);
  if (process.stdin.isTTY) output.note('Type messages, a line each; Ctrl-D ends.');
  const fields = {
    ...{ keyField: options.keyField, tagField: options.tagField },
    deferral: deferralOf(options),
  };
  await sendLines(process.stdin, sender, tally, fields, signal, progress);
  await sender.close();
  progress.clear();
  const ms = Math.round(systemClock.monotonicMs() - startMs);
  output.json({ ...tally.report(), ms });
  output.text(sentence(tally, ms));
  if (!tally.isComplete && process.exitCode === undefined) process.exitCode = 1;
}

/** When the messages can be seen; nothing: at once. */
function deferralOf({ delayMs, deliverAt }: ProduceOptions): Deferred {
  if (deliverAt === undefined) return delayMs === undefined ? {} : { delayMs };
  if (delayMs !== undefined)
    throw new UsageError('--delay-ms and --deliver-at do not go together', 'Give one of them.');
  const time = /^\d+$/.test(deliverAt) ? Number(deliverAt) : Date.parse(deliverAt);
  if (time >= EPOCH_MS_MIN) return { deliverAt: time };
  throw new UsageError(
    `--deliver-at is ${JSON.stringify(deliverAt)}, which is no time`,
    'Write it like 2026-01-31T12:00:00Z, or as milliseconds since 1970.',
  );
}

function checkProducerId(producerId: string | undefined): void {
  if (producerId === undefined) return;
  const bytes = Buffer.byteLength(producerId);
  if (bytes > 0 && bytes <= PRODUCER_ID_BYTES_MAX) return;
  throw new UsageError(
    `--producer-id has ${bytes} bytes; allowed: 1 to ${PRODUCER_ID_BYTES_MAX}`,
    'Choose a name for the input, such as that of the file.',
  );
}

/** @throws when there is no broker, or it refuses the topic */
async function openSender(
  topic: string,
  target: Target,
  options: ProduceOptions,
  tally: SendTally,
  warn: (text: string) => void,
): Promise<LineSender> {
  const { producerId, producerEpoch, namesrv } = options;
  if (producerId === undefined) {
    const { openClientSender } = await import('../client-sender.ts');
    const { ws, token } = target;
    const where = namesrv === undefined ? { servers: ws } : { nameServers: namesrvUrls(options) };
    return openClientSender(topic, { ...where, token }, tally, warn);
  }
  if (namesrv !== undefined)
    throw new UsageError(
      '--producer-id and --namesrv do not go together: the input has one queue of one broker',
      'Name that broker with --url.',
    );
  const { openSequencedSender } = await import('../sequenced-sender.ts');
  return openSequencedSender({ topic, producerId, producerEpoch }, target, tally);
}

async function sendLines(
  input: Readable,
  sender: LineSender,
  tally: SendTally,
  fields: LineFields,
  signal: AbortSignal,
  progress: Progress,
): Promise<void> {
  try {
    for await (const lines of readLines(addAbortSignal(signal, input), BODY_BYTES_MAX)) {
      for (const line of lines) {
        await sendLine(line, sender, tally, fields);
        if (tally.fatal !== undefined || signal.aborted) return;
      }
      await sender.pause();
      progress.update(() => `${tally.sent} sent, ${tally.acked} acknowledged`);
    }
  } catch (error) {
    // Interrupted: what was read is still sent and counted.
    if (!signal.aborted) throw error;
  }
}

async function sendLine(
  line: Line,
  sender: LineSender,
  tally: SendTally,
  fields: LineFields,
): Promise<void> {
  if (line.bytes.length === 0 && !line.isTooLong) return;
  tally.sent += 1;
  const where = `line ${line.number}`;
  if (line.isTooLong) {
    tally.tooLong(line.length, BODY_BYTES_MAX, where);
    return;
  }
  try {
    await sender.add(messageOfLine(line.bytes, fields));
  } catch (error) {
    tally.refuse(1, toSluiceError(error), where);
  }
}

function sentence(tally: SendTally, ms: number): string {
  const { sent, acked, duplicates, refused } = tally;
  const perSecond = ms > 0 ? `, ${Math.round((acked * 1000) / ms)} a second` : '';
  const extra = [
    ...(duplicates > 0 ? [`${duplicates} of them stored before`] : []),
    ...(refused > 0 ? [`${refused} refused`] : []),
  ];
  const more = extra.length === 0 ? '' : `; ${extra.join(', ')}`;
  return `${countText(sent, 'message')} sent, ${acked} acknowledged in ${ms} ms${perSecond}${more}`;
}

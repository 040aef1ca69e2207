/** `sluice inspect`: what lies in a data directory, read without changing it, on after damage. */
import type { Command } from 'commander';
import { segmentOfIndexName, segmentOfName } from '../../log/file-names.ts';
import { type InspectedItem, type LogVerdict, LogWalk } from '../../log/log-inspect.ts';
import { batchText, batchValue, sideFileText } from '../inspect-text.ts';
import { wholeNumber } from '../option-values.ts';
import { countText, Output, sizeText } from '../output.ts';
import { UsageError } from '../report-error.ts';
import {
  checkpointReport,
  indexReports,
  type SideFileReport,
  snapshotFacts,
  snapshotReports,
} from '../side-files.ts';
import { StoreNames } from '../store-names.ts';
import { findStore, type ShardPlace, type StorePlace } from '../store-place.ts';
import { Progress, paint } from '../terminal.ts';

type InspectOptions = {
  readonly from?: number;
  readonly max?: number;
  readonly verify?: boolean;
  readonly json?: boolean;
};

export function addInspectCommand(program: Command): void {
  program
    .command('inspect')
    .summary('read a data directory without changing it, damaged or not')
    .description(
      'Reads a data directory, a shard-N directory in it, or one of its files, and prints every batch. Changes nothing, ' +
        'and may be used while a broker runs.',
    )
    .argument('<path>', 'data directory, shard directory or file')
    .option(
      '--from <position>',
      'begin at this position of each log',
      wholeNumber(0, Number.MAX_SAFE_INTEGER),
    )
    .option('--max <n>', 'stop after so many batches', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option(
      '--verify',
      'print no batches; read everything, and exit with 1 when something is damaged',
    )
    .option('--json', 'print JSON, one value a line')
    .action(inspect);
}

async function inspect(path: string, options: InspectOptions): Promise<void> {
  if (options.verify === true && options.max !== undefined)
    throw new UsageError('--verify reads everything, --max does not', 'Give one of them.');
  const store = findStore(path);
  const inspection = new Inspection(options, new Output(options));
  inspection.run(store);
}

/** One run over a store; counts what is damaged. */
class Inspection {
  private readonly options: InspectOptions;
  private readonly output: Output;
  private readonly progress: Progress;
  private readonly names = new StoreNames();
  private batchesLeft: number;
  private batchCount = 0;
  private messageCount = 0;
  private damageCount = 0;

  constructor(options: InspectOptions, output: Output) {
    this.options = options;
    this.output = output;
    this.progress = new Progress(options.verify === true && !output.isJson);
    this.batchesLeft = options.max ?? Number.POSITIVE_INFINITY;
  }

  run(store: StorePlace): void {
    this.describe(store);
    // A topic's name may stand in another shard's log before it stands in this one's.
    for (const { storage } of store.shards) this.names.learnSnapshot(snapshotFacts(storage));
    for (const name of store.missing)
      this.damaged(`the directory ${name} is missing`, { file: name });
    for (const place of store.shards) {
      if (this.batchesLeft <= 0) break;
      if (store.file === undefined) this.shard(place);
      else this.file(place, store.file);
    }
    this.summary();
  }

  private describe({ path, meta, holderPid, file }: StorePlace): void {
    const isInUse = holderPid !== undefined && isAlive(holderPid);
    this.output.json({
      type: 'store',
      path,
      ...(meta ?? {}),
      file: file ?? null,
      holderPid: isInUse ? holderPid : null,
    });
    const shape =
      meta === undefined
        ? 'no meta.json: sizes are guessed from the files'
        : `format ${meta.format}, ${countText(meta.shards, 'shard')}, segments of ${sizeText(meta.segmentBytes)}, chunks of ${sizeText(meta.chunkBytes)}`;
    this.output.text(`${path}  ${shape}`);
    if (isInUse) this.output.text(`in use by the process ${holderPid}`);
  }

  private shard(place: ShardPlace): void {
    const { storage } = place;
    this.output.text('');
    this.output.text(paint(process.stdout, 'bold', storage.location));
    const checkpoint = checkpointReport(storage);
    const reports = [
      ...(checkpoint === undefined ? [] : [checkpoint]),
      ...snapshotReports(storage),
      ...indexReports(storage),
    ];
    for (const report of reports) this.sideFile(report, place);
    const snapshot = snapshotFacts(storage);
    const segments = storage
      .list()
      .map(segmentOfName)
      .filter((segment) => segment !== undefined);
    const first = segments.length === 0 ? 0 : Math.min(...segments);
    this.walk(place, {
      flushed: Math.max(checkpoint?.flushed ?? 0, snapshot?.position ?? 0),
      // Without a snapshot recovery begins at the first segment that is there.
      completeFrom: snapshot?.indexEnd ?? first * place.segmentBytes,
      ...(this.options.from === undefined ? {} : { from: this.options.from }),
    });
  }

  /** One file of a shard. */
  private file(place: ShardPlace, name: string): void {
    const { storage, segmentBytes } = place;
    const segment = segmentOfName(name);
    if (segment !== undefined) {
      const start = segment * segmentBytes;
      const from = Math.max(start, this.options.from ?? start);
      const flushed = checkpointReport(storage)?.flushed ?? 0;
      this.walk(place, { from, to: start + segmentBytes, flushed, completeFrom: start });
      return;
    }
    const checkpoint = checkpointReport(storage);
    const reports =
      segmentOfIndexName(name) === undefined
        ? [...(checkpoint === undefined ? [] : [checkpoint]), ...snapshotReports(storage)]
        : indexReports(storage);
    for (const report of reports) if (report.file === name) this.sideFile(report, place);
  }

  private sideFile(report: SideFileReport, { shard }: ShardPlace): void {
    this.output.json({ shard: shard ?? null, ...report });
    this.output.text(sideFileText(report));
    if (!report.isIntact) this.damageCount += 1;
  }

  private walk(
    place: ShardPlace,
    range: { from?: number; to?: number; flushed: number; completeFrom: number },
  ): void {
    const { storage, segmentBytes, chunkBytes } = place;
    const walk = new LogWalk({ storage, segmentBytes, chunkBytes, ...range });
    const end = range.to ?? Math.max(range.flushed, range.completeFrom);
    for (const item of walk.items()) {
      this.item(item, place, end);
      if (this.batchesLeft <= 0) {
        this.output.note('There may be more; --max was reached.');
        return;
      }
    }
    this.verdict(walk.verdict(), place);
  }

  private item(item: InspectedItem, place: ShardPlace, end: number): void {
    if (item.type !== 'batch') {
      if (this.options.verify !== true && item.type === 'gap') {
        this.output.json({ shard: place.shard ?? null, ...item });
        this.output.text(
          `${String(item.from).padStart(12)}  gap      up to ${item.to}: no segment files`,
        );
      }
      return;
    }
    const { batch } = item;
    this.batchCount += 1;
    this.messageCount += batch.recordCount;
    for (const record of batch.records) this.names.learn(record);
    if (this.options.verify === true) {
      const ratio = end > 0 ? Math.min(1, batch.position / end) : 0;
      this.progress.update(() => `${countText(this.batchCount, 'batch')} read`, ratio);
      return;
    }
    this.batchesLeft -= 1;
    this.output.json(batchValue(batch, place.shard, place.segmentBytes, this.names));
    if (!this.output.isJson) this.output.text(batchText(batch, this.names));
  }

  private verdict({ end, flushed, damage, unconfirmed }: LogVerdict, { shard }: ShardPlace): void {
    this.progress.clear();
    for (const { from, to } of damage)
      this.damaged(`${to - from} bytes at position ${from} were flushed and are not readable`, {
        shard: shard ?? null,
        from,
        to,
      });
    for (const { from, to } of unconfirmed) {
      this.output.json({ type: 'unconfirmed', shard: shard ?? null, from, to });
      this.output.text(
        `unconfirmed  ${to - from} bytes at position ${from} were never flushed: recovery ends the log there`,
      );
    }
    this.output.json({ type: 'log', shard: shard ?? null, end, flushed, damaged: damage.length });
    this.output.text(`log ends at ${end}; flushed as far as known: ${flushed}`);
  }

  private damaged(text: string, facts: object): void {
    this.damageCount += 1;
    this.output.json({ type: 'damage', ...facts, message: text });
    this.output.text(`${paint(process.stdout, 'red', 'DAMAGE')}  ${text}`);
  }

  private summary(): void {
    const { batchCount, messageCount, damageCount } = this;
    this.output.json({
      type: 'summary',
      batches: batchCount,
      messages: messageCount,
      damaged: damageCount,
    });
    const state =
      damageCount === 0
        ? paint(process.stdout, 'green', 'no damage')
        : paint(process.stdout, 'red', countText(damageCount, 'damaged place'));
    this.output.text(
      `\n${countText(batchCount, 'batch')}, ${countText(messageCount, 'message')}, ${state}`,
    );
    if (damageCount > 0 && this.options.verify === true) process.exitCode = 1;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The lines of `sluice inspect`, for people and for programs. Pure. */
import type { InspectedBatch, InspectedRecord } from '../log/log-inspect.ts';
import { escapeControl } from '../observe/log-text.ts';
import { countText, sizeText, timeText } from './output.ts';
import type { SideFileReport } from './side-files.ts';
import type { StoreNames } from './store-names.ts';

const POSITION_DIGITS = 12;
const KIND_LETTERS = 8;

/** A batch for programs: what the log says, and the names that go with its numbers. */
export function batchValue(
  batch: InspectedBatch,
  shard: number | undefined,
  segmentBytes: number,
  names: StoreNames,
): object {
  const { isIntact, records, producer, bornAtMs, ...rest } = batch;
  const isData = batch.kind === 'data' || batch.kind === 'deferred';
  return {
    type: 'batch',
    shard: shard ?? null,
    segment: Math.floor(batch.position / segmentBytes),
    ...rest,
    checksumOk: isIntact,
    ...(isData
      ? {
          topic: names.topic(batch.topicId),
          producer: producer ?? null,
          bornAtMs: bornAtMs ?? null,
        }
      : {}),
    ...(batch.kind === 'control'
      ? { records: records.map((record) => recordValue(record, names)) }
      : {}),
  };
}

function recordValue(record: InspectedRecord, names: StoreNames): object {
  if (!('groupId' in record)) return record;
  return { ...record, topic: names.topic(record.topicId), group: names.group(record.groupId) };
}

/** One line a batch, and one a control record below it. */
export function batchText(batch: InspectedBatch, names: StoreNames): string {
  const parts = [
    String(batch.position).padStart(POSITION_DIGITS),
    batch.kind.padEnd(KIND_LETTERS),
    sizeText(batch.bytes).padStart(9),
    timeText(batch.storedAtMs) ?? '-',
  ];
  if (batch.kind === 'data') parts.push(dataText(batch, names));
  else if (batch.kind === 'deferred') parts.push(deferredText(batch, names));
  if (!batch.isIntact) parts.push('CHECKSUM WRONG');
  const lines = batch.records.map(
    (record) => `${' '.repeat(POSITION_DIGITS)}  ${recordText(record, names)}`,
  );
  return [parts.join('  '), ...lines].join('\n');
}

function dataText(batch: InspectedBatch, names: StoreNames): string {
  const { topicId, queueId, baseOffset, recordCount, producer } = batch;
  const name = names.topic(topicId) ?? `topic ${topicId}`;
  const offsets =
    recordCount > 1 ? `${baseOffset}-${baseOffset + recordCount - 1}` : `${baseOffset}`;
  const by =
    producer === undefined
      ? ''
      : `  by ${escapeControl(producer.id)} epoch ${producer.epoch} sequence ${producer.sequence}`;
  return `${name}:${queueId}  offset ${offsets}  ${countText(recordCount, 'message')}${by}`;
}

function deferredText(batch: InspectedBatch, names: StoreNames): string {
  const { topicId, queueId, baseOffset, recordCount, isHalf, isMoved } = batch;
  const name = names.topic(topicId) ?? `topic ${topicId}`;
  const what = isHalf ? 'half, asked about' : 'due';
  const again = isMoved ? '  written again' : '';
  return `${name}:${queueId}  ${what} ${timeText(baseOffset) ?? '-'}  ${countText(recordCount, 'message')}${again}`;
}

function recordText(record: InspectedRecord, names: StoreNames): string {
  if (record.type === 'metadata') return escapeControl(`metadata ${JSON.stringify(record.value)}`);
  if (!('groupId' in record)) {
    const { type, origin, detail, reason, value } = record;
    return `${type} of position ${origin}, detail ${detail}, reason ${reason}, value ${value}`;
  }
  const group = names.group(record.groupId) ?? `group ${record.groupId}`;
  const topic = names.topic(record.topicId) ?? `topic ${record.topicId}`;
  if (record.type === 'position')
    return `position ${group} ${topic}:${record.queueId} offset ${record.offset}`;
  const range = `${record.start}-${record.start + record.count - 1}`;
  const what = `${record.type} ${group} ${topic}:${record.queueId} offset ${range}`;
  if (record.type === 'settled') return what;
  return `${what} attempt ${record.attempt} due ${timeText(record.dueAtMs) ?? '-'}`;
}

/** What stands beside the segments. */
export function sideFileText(report: SideFileReport): string {
  const damaged = report.isIntact ? '' : '  DAMAGED';
  switch (report.type) {
    case 'checkpoint':
      return report.isIntact
        ? `${report.file}  flushed ${report.flushed}, write ${report.number}, epoch ${report.epoch}`
        : `${report.file}${damaged}: neither slot is whole; recovery does without`;
    case 'snapshot':
      return report.isIntact
        ? `${report.file}  ${sizeText(report.bytes)}, ${countText(report.topics, 'topic')}, ${countText(report.groups, 'group')}, ${countText(report.queues, 'queue')}, ${countText(report.producers, 'producer')}, start ${report.boot ?? '-'}`
        : `${report.file}${damaged}: recovery takes an older one, or reads the log from its beginning`;
    case 'index':
      return report.isIntact
        ? `${report.file}  ${sizeText(report.bytes)}, ${countText(report.queues, 'queue')}, ${countText(report.entries, 'batch entry')}, ${countText(report.keys, 'key')}`
        : `${report.file}${damaged}: the broker builds it anew from its segment`;
  }
}

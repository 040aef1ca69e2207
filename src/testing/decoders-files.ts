/** The decoders of what is read from disks: log, side files, shape and lock of a store, configuration, lines of a command. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from '../base/crc32-native.ts';
import { MIB } from '../base/units.ts';
import { openDataDirectory } from '../broker/data-directory.ts';
import { messageOfLine } from '../cli/message-line.ts';
import { loadConfig } from '../config/config-load.ts';
import { readCheckpoint } from '../log/checkpoint.ts';
import { readControl } from '../log/control-record.ts';
import { CHECKPOINT_NAME, indexName, segmentName, snapshotName } from '../log/file-names.ts';
import { IndexReader } from '../log/index-file.ts';
import { LogWalk } from '../log/log-inspect.ts';
import { recoverLog } from '../log/recovery.ts';
import {
  decodeSettled,
  encodeSettled,
  isSettledRecord,
  SETTLED_HEADER_BYTES,
  SETTLED_POSITION,
  SETTLED_RANGE,
  SETTLED_RECORD_BYTES,
} from '../log/settled-file.ts';
import { readSnapshot } from '../log/snapshot.ts';
import { isStoredHeader, isStoredPayload } from '../log/stored-header.ts';
import { checkStoredBatch } from '../log/stored-read.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { viewOf } from '../protocol/web/binary-codec.ts';
import { bytesDecoder, type DecoderTable, textSamples } from './decoders.ts';
import { resealBatch } from './decoders-wire.ts';
import {
  emptyStorage,
  logSamples,
  putFile,
  SAMPLE_PLACE,
  sampleBatch,
  sampleControl,
  samplePositions,
  storedBatch,
} from './golden-log.ts';

const SEGMENT = 3;
const SEGMENT_BYTES = 4096;
const CHUNK_BYTES = 2048;
const { position } = SAMPLE_PLACE;
const samples = logSamples();

function sample(name: string): Uint8Array {
  const bytes = samples[name];
  if (bytes === undefined) throw new Error(`there is no sample ${name}`);
  return bytes;
}

function resealFrom(crcAt: number, from: number, to?: number): (bytes: Uint8Array) => void {
  return (bytes) => {
    const end = to ?? bytes.length;
    if (bytes.length < Math.max(end, from, crcAt + 4)) return;
    viewOf(bytes).setUint32(crcAt, crc32(bytes, from, end), true);
  };
}

/** A small segment: messages, control records, the filler of a chunk, and room. */
export function sampleSegment(): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_BYTES);
  let at = 0;
  const put = (kind: 1 | 2 | 3, payload: Uint8Array): void => {
    const stored = storedBatch(kind, payload, { position: at, flushed: 0, baseOffset: at });
    bytes.set(stored, at);
    at += stored.length;
  };
  while (CHUNK_BYTES - at > 512) put(layout.KIND_DATA, sampleBatch());
  put(layout.KIND_CONTROL, sampleControl());
  const left = CHUNK_BYTES - at - layout.STORED_HEADER_BYTES;
  put(layout.KIND_PADDING, new Uint8Array(left));
  put(layout.KIND_DATA, sampleBatch());
  return bytes;
}

/** What a slave has kept of a group that begins with it, and of one that its master knows. */
function sampleJournal(): Uint8Array {
  const place = { groupId: 1, topicId: 2, queueId: 3 };
  return encodeSettled({ period: 2, commit: 4096, logId: 'log' }, [
    { kind: SETTLED_POSITION, ...place, start: 5, count: 0 },
    { kind: SETTLED_RANGE, ...place, start: 5, count: 20 },
    { kind: SETTLED_RANGE, ...place, groupId: 7, start: 0, count: 1 },
  ]);
}

function walkLog(bytes: Uint8Array): void {
  const storage = emptyStorage();
  putFile(storage, segmentName(0), bytes);
  const shape = { storage, segmentBytes: SEGMENT_BYTES, chunkBytes: CHUNK_BYTES, flushed: 0 };
  const walk = new LogWalk({ ...shape, completeFrom: 0 });
  let found = 0;
  for (const item of walk.items()) if (item.type === 'batch') found += 1;
  const { end } = walk.verdict();
  let visited = 0;
  const recovered = recoverLog({
    ...shape,
    from: 0,
    confirm: () => {},
    visit: (batchBytes, view, at) => {
      visited += 1;
      if (!isStoredPayload(batchBytes, view, at)) throw new Error('a broken batch was visited');
    },
  });
  if (visited > found || recovered.position > Math.max(end, SEGMENT_BYTES))
    throw new Error(`recovery saw ${visited} batches, inspection ${found}`);
}

/** Files of a shard. */
export const LOG_DECODERS: DecoderTable = {
  'stored batch': bytesDecoder(
    ['log/stored-data-v1.bin', 'log/stored-control-v1.bin'].map(sample),
    (bytes) => checkStoredBatch(bytes, position),
    {
      reseal: (bytes) => {
        resealBatch(bytes, layout.STORED_HEADER_BYTES);
        if (bytes.length < layout.STORED_HEADER_BYTES + 8) return;
        const view = viewOf(bytes);
        const crc = view.getUint32(layout.STORED_HEADER_BYTES + layout.BATCH_CRC, true);
        view.setUint32(layout.STORED_PAYLOAD_CRC, crc, true);
        resealFrom(layout.STORED_CRC, layout.STORED_CRC_FROM, layout.STORED_HEADER_BYTES)(bytes);
      },
      refusesCuts: true,
      refusesFlips: true,
    },
  ),
  'stored padding': {
    samples: [sample('log/stored-padding-v1.bin')],
    decode: (bytes) =>
      isStoredHeader(bytes, viewOf(bytes), 0, position, bytes.length) ? undefined : 'no header',
    reseal: resealFrom(layout.STORED_CRC, layout.STORED_CRC_FROM, layout.STORED_HEADER_BYTES),
    refusesCuts: true,
  },
  'control records': {
    ...bytesDecoder([sampleControl(), samplePositions()], (bytes) => {
      // As after the check of the checksum: length and bytes agree, what is inside may be anything.
      if (bytes.length < 8) return;
      const copy = bytes.slice();
      resealBatch(copy);
      viewOf(copy).setUint32(layout.BATCH_BYTES, copy.length, true);
      const ignore = (): void => {};
      readControl(copy, viewOf(copy), 0, {
        ...{ metadata: ignore, settled: ignore, retry: ignore, position: ignore, deferred: ignore },
      });
    }),
  },
  snapshot: {
    samples: [sample('log/snapshot-v2.bin'), sample('log/snapshot-v3.bin')],
    decode: (bytes) => {
      const storage = emptyStorage();
      putFile(storage, snapshotName(position), bytes);
      return readSnapshot(storage) === undefined ? 'damaged' : undefined;
    },
    reseal: resealFrom(4, 8),
    refusesCuts: true,
    refusesFlips: true,
  },
  checkpoint: {
    samples: [sample('log/checkpoint-v1.bin')],
    decode: (bytes) => {
      const storage = emptyStorage();
      putFile(storage, CHECKPOINT_NAME, bytes);
      return readCheckpoint(storage) === undefined ? 'damaged' : undefined;
    },
    reseal: resealFrom(4, 8, 32),
  },
  index: {
    samples: ['v1', 'v2', 'v3'].map((version) => sample(`log/index-${version}.bin`)),
    decode: (bytes) => {
      const storage = emptyStorage();
      putFile(storage, indexName(SEGMENT), bytes);
      const reader = IndexReader.open(storage, SEGMENT);
      if (reader === undefined) return 'damaged';
      const isWhole = reader.verify();
      reader.close();
      return isWhole ? undefined : 'damaged';
    },
    refusesCuts: true,
    refusesFlips: true,
  },
  'settled.journal': {
    samples: [sampleJournal()],
    decode: (bytes) => {
      const file = decodeSettled(bytes);
      if (file === undefined) return 'damaged';
      for (const record of file.records)
        if (!isSettledRecord(record)) throw new Error('a record that cannot be was read');
      return file.lostRecords > 0 ? 'records are lost' : undefined;
    },
    reseal: (bytes) => {
      resealFrom(4, 8, SETTLED_HEADER_BYTES)(bytes);
      for (let at = SETTLED_HEADER_BYTES; at < bytes.length; at += SETTLED_RECORD_BYTES)
        resealFrom(at, at + 4, at + SETTLED_RECORD_BYTES)(bytes);
    },
    refusesFlips: true,
  },
  'segments of a log': {
    ...bytesDecoder([sampleSegment()], walkLog),
    allocatesBytes: 40 * MIB,
    share: 0.03,
  },
};

/** Calls `read` with the path of a file that holds the bytes, in a directory of its own. */
function withFile(name: string, bytes: Uint8Array, read: (path: string) => void): void {
  const path = join(scratch(), name);
  writeFileSync(path, bytes);
  try {
    read(path);
  } finally {
    for (const left of readdirSync(scratch()))
      rmSync(join(scratch(), left), { recursive: true, force: true });
  }
}

let scratchPath: string | undefined;

function scratch(): string {
  if (scratchPath === undefined) {
    const path = mkdtempSync(join(tmpdir(), 'sluice-decoders-'));
    process.once('exit', () => rmSync(path, { recursive: true, force: true }));
    scratchPath = path;
  }
  return scratchPath;
}

const SHAPE = { shards: 1, segmentBytes: 67_108_864, chunkBytes: 8_388_608 };

const readStore = (name: string) => (bytes: Uint8Array) =>
  withFile(name, bytes, () => openDataDirectory(scratch(), SHAPE, 1).release());

/** Files that people or other programs may have touched, and lines for `sluice produce`. */
export const FILE_DECODERS: DecoderTable = {
  'meta.json': bytesDecoder(
    textSamples(JSON.stringify({ format: 1, ...SHAPE })),
    readStore('meta.json'),
    { words: ['null', '[]', '1e9', '"format"', '-1', '1.5', '{}'], share: 0.1 },
  ),
  lock: bytesDecoder(textSamples('{"pid":4194305,"startedAt":"1@x"}'), readStore('lock'), {
    words: ['null', '0', '-1', '"pid"', '"startedAt":""', '[]', '1e99'],
    share: 0.1,
  }),
  'configuration in YAML': bytesDecoder(
    textSamples('shards: 2\nflushDiskType: ASYNC_FLUSH\n', 'shards: &a 2\ntransport: ws\n'),
    (bytes) => withFile('sluice.yaml', bytes, (file) => loadConfig({ file })),
    {
      words: [
        '&a ',
        '*a',
        '<<: ',
        '!!js ',
        '{',
        '[',
        '? ',
        ': ',
        '\n',
        '  ',
        '- ',
        '|\n',
        '__proto__',
      ],
      share: 0.1,
    },
  ),
  'configuration in JSON': bytesDecoder(
    textSamples('{"shards":2,"maxMessageSize":"64k"}'),
    (bytes) => withFile('sluice.json', bytes, (file) => loadConfig({ file })),
    { words: ['"__proto__"', '{', '[', 'null', '1e999'], share: 0.1 },
  ),
  'configuration in properties': bytesDecoder(
    textSamples('brokerName=a\nflushDiskType = ASYNC_FLUSH\n# c\nlistenPort: 0\n'),
    (bytes) => withFile('broker.conf', bytes, (file) => loadConfig({ file })),
    { words: ['\\', '\\\n', '\\u00', '=', ':', '#', '!', '__proto__=1'], share: 0.1 },
  ),
  'line of a producer': bytesDecoder(
    textSamples('{"a":1,"k":"key"}', 'text', '{"$bytes":"AA=="}'),
    (bytes) => messageOfLine(bytes, { keyField: 'k', tagField: 'a' }),
  ),
};

/** The files beside the segments, each told apart from whether it is whole: checkpoint, snapshots, indexes. */
import { readCheckpoint } from '../log/checkpoint.ts';
import { CHECKPOINT_NAME, indexName, segmentOfIndexName, snapshotName } from '../log/file-names.ts';
import { IndexReader } from '../log/index-file.ts';
import { readSnapshot, snapshotPositions } from '../log/snapshot.ts';
import type { Storage } from '../log/storage.ts';

/** @source log/index-file.ts draws the header */
const INDEX_HEADER_BYTES = 32;
const INDEX_QUEUES = 12;
const INDEX_ENTRIES = 16;
const INDEX_KEYS = 20;
/** Times that a directory is looked at while a broker changes it. */
const LOOKS_MAX = 3;

export type CheckpointReport = {
  readonly type: 'checkpoint';
  readonly file: string;
  readonly isIntact: boolean;
  readonly flushed: number | null;
  readonly number: number | null;
  readonly epoch: number | null;
};

export type SnapshotReport = {
  readonly type: 'snapshot';
  readonly file: string;
  readonly isIntact: boolean;
  readonly position: number;
  readonly bytes: number;
  /** From here on the log itself is read by recovery. */
  readonly indexEnd: number | null;
  readonly boot: number | null;
  /** How many of each it holds. */
  readonly topics: number;
  readonly groups: number;
  readonly queues: number;
  readonly producers: number;
};

export type IndexReport = {
  readonly type: 'index';
  readonly file: string;
  readonly isIntact: boolean;
  readonly segment: number;
  readonly bytes: number;
  readonly queues: number;
  readonly entries: number;
  readonly keys: number;
};

export type SideFileReport = CheckpointReport | SnapshotReport | IndexReport;

/** A name as somebody gave it, of which nothing is known until it is looked at. */
type Named = Readonly<Record<string, unknown>>;

/** What the newest whole snapshot says about names and about where recovery begins. */
export type SnapshotFacts = {
  readonly position: number;
  readonly indexEnd: number;
  readonly topics: readonly Named[];
  readonly groups: readonly Named[];
};

export function checkpointReport(storage: Storage): CheckpointReport | undefined {
  if (!storage.exists(CHECKPOINT_NAME)) return undefined;
  const value = readCheckpoint(storage);
  return {
    type: 'checkpoint',
    file: CHECKPOINT_NAME,
    isIntact: value !== undefined,
    flushed: value?.flushed ?? null,
    number: value?.number ?? null,
    epoch: value?.epoch ?? null,
  };
}

export function snapshotFacts(storage: Storage): SnapshotFacts | undefined {
  const found = newestSnapshot(storage);
  if (found === undefined) return undefined;
  const state = asNamed(found.state);
  const image = asNamed(state['image']);
  return {
    position: found.position,
    indexEnd: numberIn(state, 'indexEnd') ?? 0,
    topics: listIn(image, 'topics').map(asNamed),
    groups: listIn(image, 'groups').map(asNamed),
  };
}

/** A running broker removes a snapshot as soon as there is a newer one: then that one is read. */
function newestSnapshot(storage: Storage): ReturnType<typeof readSnapshot> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return readSnapshot(storage);
    } catch (error) {
      if (attempt === LOOKS_MAX) throw error;
    }
  }
}

/** What is made of a file; nothing when the broker has removed it meanwhile. */
function ifThere<Report>(storage: Storage, file: string, make: () => Report): Report[] {
  try {
    return [make()];
  } catch (error) {
    if (storage.exists(file)) throw error;
    return [];
  }
}

export function snapshotReports(storage: Storage): SnapshotReport[] {
  return snapshotPositions(storage).flatMap((position) =>
    ifThere(storage, snapshotName(position), () => snapshotReport(storage, position)),
  );
}

function snapshotReport(storage: Storage, position: number): SnapshotReport {
  const file = snapshotName(position);
  const found = readSnapshot(onlyFile(storage, file));
  const state = asNamed(found?.state);
  const image = asNamed(state['image']);
  return {
    type: 'snapshot',
    file,
    isIntact: found !== undefined,
    position,
    bytes: sizeOf(storage, file),
    indexEnd: numberIn(state, 'indexEnd'),
    boot: numberIn(image, 'boot'),
    topics: listIn(image, 'topics').length,
    groups: listIn(image, 'groups').length,
    queues: listIn(image, 'queues').length,
    producers: listIn(image, 'producers').length,
  };
}

export function indexReports(storage: Storage): IndexReport[] {
  const segments = storage
    .list()
    .map(segmentOfIndexName)
    .filter((segment) => segment !== undefined)
    .sort((left, right) => left - right);
  return segments.flatMap((segment) =>
    ifThere(storage, indexName(segment), () => indexReport(storage, segment)),
  );
}

function indexReport(storage: Storage, segment: number): IndexReport {
  const reader = IndexReader.open(storage, segment);
  const isIntact = reader?.verify() ?? false;
  reader?.close();
  const head = new DataView(new ArrayBuffer(INDEX_HEADER_BYTES));
  const file = storage.open(indexName(segment), false);
  file.read(new Uint8Array(head.buffer), 0);
  const bytes = file.size();
  file.close();
  // Numbers of a damaged header would only mislead.
  const count = (at: number): number => (reader === undefined ? 0 : head.getUint32(at, true));
  return {
    type: 'index',
    file: indexName(segment),
    isIntact,
    segment,
    bytes,
    queues: count(INDEX_QUEUES),
    entries: count(INDEX_ENTRIES),
    keys: count(INDEX_KEYS),
  };
}

/** The storage as if it held this file alone: what reads the newest of several reads this one. */
function onlyFile(storage: Storage, name: string): Storage {
  const view = Object.create(storage) as Storage;
  view.list = () => [name];
  return view;
}

function sizeOf(storage: Storage, name: string): number {
  const file = storage.open(name, false);
  try {
    return file.size();
  } finally {
    file.close();
  }
}

function asNamed(value: unknown): Named {
  return typeof value === 'object' && value !== null ? (value as Named) : {};
}

function listIn(named: Named, name: string): readonly unknown[] {
  const value = named[name];
  return Array.isArray(value) ? value : [];
}

function numberIn(named: Named, name: string): number | null {
  const value = named[name];
  return typeof value === 'number' ? value : null;
}

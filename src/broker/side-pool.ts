/**
 * The threads for work of a millisecond and more (piscina): side jobs of the shards and cold reads for lagging consumers,
 * which are gathered, so that many extents cost one task. Main thread. Started with the first task.
 */
import { Piscina } from 'piscina';
import { SluiceError } from '../base/errors.ts';
import { memoryOf, type SideJob, type SideJobResult } from '../log/side-job.ts';
import type { ColdExtent, ColdResult, SideTask } from './side-job-worker.ts';
import { SIDE_JOB_HEAP } from './thread-plan.ts';

/** Bytes of cold reads in one task. */
const COLD_TASK_BYTES: number = 1024 * 1024;
const THREADS_MAX = 2;
const IDLE_MS = 10_000;

type ColdRead = {
  readonly extent: ColdExtent;
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: SluiceError) => void;
};

export class SidePool {
  private readonly pool: Piscina;
  private readonly gathered = new Map<string, { segmentBytes: number; reads: ColdRead[] }>();
  private isScheduled = false;
  /** Reads of tasks that failed, to be tried alone; bounded by what the callers have under way. */
  private readonly suspects: (() => Promise<void>)[] = [];
  private isReadingAlone = false;

  constructor(entry: URL) {
    this.pool = new Piscina({
      filename: entry.href,
      minThreads: 0,
      maxThreads: THREADS_MAX,
      idleTimeout: IDLE_MS,
      resourceLimits: SIDE_JOB_HEAP,
      // A thread that sleeps in Atomics.wait between tasks answers fastest, and these have no event loop to keep.
      atomics: 'sync',
    });
  }

  /** Never rejects: a pool that fails is a failed job. */
  async runJob(directory: string, job: SideJob): Promise<SideJobResult> {
    try {
      const task: SideTask = { directory, job };
      return (await this.pool.run(task, { transferList: memoryOf(job) })) as SideJobResult;
    } catch (error) {
      return {
        job: job.job,
        error: { code: 'STORAGE_IO', message: `the side job ${job.kind} failed: ${String(error)}` },
      };
    }
  }

  /** Reads one stored batch; calls of the same turn of the event loop go together. @throws RECORD_CORRUPT, MESSAGE_NOT_FOUND, STORAGE_IO */
  readCold(directory: string, segmentBytes: number, extent: ColdExtent): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      let gathered = this.gathered.get(directory);
      if (gathered === undefined) {
        gathered = { segmentBytes, reads: [] };
        this.gathered.set(directory, gathered);
      }
      gathered.reads.push({ extent, resolve, reject });
      if (this.isScheduled) return;
      this.isScheduled = true;
      setImmediate(() => this.startColdReads());
    });
  }

  async close(): Promise<void> {
    await this.pool.destroy();
  }

  private startColdReads(): void {
    this.isScheduled = false;
    for (const [directory, { segmentBytes, reads }] of this.gathered) {
      for (let first = 0; first < reads.length; ) {
        let bytes = 0;
        let end = first;
        while (end < reads.length && (end === first || bytes < COLD_TASK_BYTES)) {
          bytes += (reads[end] as ColdRead).extent.bytes;
          end += 1;
        }
        void this.runColdReads(directory, segmentBytes, reads.slice(first, end));
        first = end;
      }
    }
    this.gathered.clear();
  }

  private async runColdReads(
    directory: string,
    segmentBytes: number,
    reads: readonly ColdRead[],
  ): Promise<void> {
    const extents = reads.map((read) => read.extent);
    try {
      const task: SideTask = { directory, extents, segmentBytes };
      const { buffer, errors } = (await this.pool.run(task)) as ColdResult;
      let at = 0;
      for (const [index, { extent, resolve, reject }] of reads.entries()) {
        const error = errors[index];
        if (error === undefined) resolve(buffer.subarray(at, at + extent.bytes));
        else reject(new SluiceError(error.code, error.message));
        at += extent.bytes;
      }
    } catch (cause) {
      const [only, ...others] = reads;
      if (only !== undefined && others.length === 0)
        only.reject(
          new SluiceError('STORAGE_IO', `reading old messages failed: ${String(cause)}`, { cause }),
        );
      // One bad sector must not keep its neighbours from their consumers: each is tried by itself.
      else {
        for (const read of reads)
          this.suspects.push(() => this.runColdReads(directory, segmentBytes, [read]));
        void this.readAlone();
      }
    }
  }

  /** One after the other: a disk that takes long to say no has one thread, and the shards' jobs have the other. */
  private async readAlone(): Promise<void> {
    if (this.isReadingAlone) return;
    this.isReadingAlone = true;
    for (let next = this.suspects.shift(); next !== undefined; next = this.suspects.shift())
      await next();
    this.isReadingAlone = false;
  }
}

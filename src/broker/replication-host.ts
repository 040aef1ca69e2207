/** The replication thread as the broker sees it: started for one role, told of shards, asked for its status. Main thread. */
import { Worker } from 'node:worker_threads';
import { startTimer } from '../base/clock.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import type {
  FromReplication,
  ReplicationStatus,
  ReplicationWorkerData,
  ToReplication,
} from '../replication/replication-messages.ts';
import { REPLICATION_HEAP, REPLICATION_WORKER } from './thread-plan.ts';
import type { ReplicationEnds } from './threaded-shard.ts';

/** Milliseconds until an answer counts as missing, and until a thread that was told to stop is ended by force. */
const STATUS_TIMEOUT_MS = 2000;
const STOP_TIMEOUT_MS = 2000;

export type ReplicationEvents = {
  readonly onMessage: (message: FromReplication) => void;
  /** It ended and nobody had asked for that. */
  readonly onCrash: (error: SluiceError) => void;
};

export class ReplicationHost {
  readonly port: number;
  /** The peer's, when that is newer than this broker's; else 0. */
  readonly newerEpoch: number;
  private readonly worker: Worker;
  private readonly events: ReplicationEvents;
  private readonly waiting = new Map<number, (status: ReplicationStatus | undefined) => void>();
  private lastId = 0;
  private isStopping = false;
  private isOver = false;

  private constructor(
    worker: Worker,
    events: ReplicationEvents,
    started: { port: number; newerEpoch: number },
  ) {
    this.worker = worker;
    this.events = events;
    this.port = started.port;
    this.newerEpoch = started.newerEpoch;
  }

  /** Resolves when it listens, and has asked its peer who reigns. @throws INVALID_ARGUMENT when the port is taken */
  static start(data: ReplicationWorkerData, events: ReplicationEvents): Promise<ReplicationHost> {
    const worker = new Worker(REPLICATION_WORKER, {
      workerData: data,
      name: 'replication',
      resourceLimits: REPLICATION_HEAP,
    });
    return new Promise((resolve, reject) => {
      let host: ReplicationHost | undefined;
      const over = (error: SluiceError): void => {
        if (host === undefined) reject(error);
        else host.end(error);
      };
      worker.on('error', (error) => over(toSluiceError(error)));
      worker.on('exit', () => over(new SluiceError('INVARIANT', 'the replication thread ended')));
      worker.on('message', (message: FromReplication) => {
        if (host !== undefined) host.take(message);
        else if (message.kind === 'started') {
          host = new ReplicationHost(worker, events, message);
          resolve(host);
        } else if (message.kind === 'refused-start') over(notOpened(message.message));
        else events.onMessage(message);
      });
    });
  }

  attach(shard: number, { memory, ports }: ReplicationEnds): void {
    this.send({ kind: 'attach', shard, memory, ports }, ports);
  }

  send(message: ToReplication, transfer: ReplicationEnds['ports'] = []): void {
    if (!this.isOver) this.worker.postMessage(message, [...transfer]);
  }

  /** @returns undefined when it does not answer */
  status(): Promise<ReplicationStatus | undefined> {
    if (this.isOver) return Promise.resolve(undefined);
    this.lastId += 1;
    const id = this.lastId;
    return new Promise((resolve) => {
      const cancel = startTimer(STATUS_TIMEOUT_MS, () => this.answer(id, undefined));
      this.waiting.set(id, (status) => {
        cancel();
        resolve(status);
      });
      this.send({ kind: 'status', id });
    });
  }

  /** Ends it. @param waitMs - that slaves have to take what is left */
  async stop(waitMs: number): Promise<void> {
    if (this.isOver) return;
    this.isStopping = true;
    await new Promise<void>((resolve) => {
      const cancel = startTimer(waitMs + STOP_TIMEOUT_MS, () => void this.worker.terminate());
      this.worker.once('exit', () => {
        cancel();
        resolve();
      });
      this.send({ kind: 'stop', waitMs });
    });
  }

  private take(message: FromReplication): void {
    if (message.kind === 'status') this.answer(message.id, message.status);
    else if (!this.isStopping) this.events.onMessage(message);
  }

  private answer(id: number, status: ReplicationStatus | undefined): void {
    const answer = this.waiting.get(id);
    this.waiting.delete(id);
    answer?.(status);
  }

  private end(error: SluiceError): void {
    if (this.isOver) return;
    this.isOver = true;
    for (const id of [...this.waiting.keys()]) this.answer(id, undefined);
    if (!this.isStopping) this.events.onCrash(error);
  }
}

function notOpened(reason: string): SluiceError {
  return new SluiceError('INVALID_ARGUMENT', `the HA port cannot be opened: ${reason}`, {
    hint: 'Choose another haListenPort (0 picks a free one), or stop what uses this one.',
  });
}

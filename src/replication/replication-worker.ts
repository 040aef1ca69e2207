/**
 * Thread entry of replication: one event loop with the sockets of all shards, because a socket cannot move between threads. Its
 * role is fixed for its life. What throws ends it; the broker then opens its shards anew and starts another.
 */
import { randomBytes } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { Pump } from '../agent/pump.ts';
import { startTimer, systemClock } from '../base/clock.ts';
import { toSluiceError } from '../base/errors.ts';
import { FileStorage } from '../log/file-storage.ts';
import { AttachedShard } from './attached-shard.ts';
import { MasterSide, type SideOptions } from './master-side.ts';
import type {
  FromReplication,
  ReplicationStatus,
  ReplicationWorkerData,
  ToReplication,
} from './replication-messages.ts';
import { SlaveSide } from './slave-side.ts';
import * as layout from './transfer-layout.ts';

/** Milliseconds between two looks whether slaves have what is left. */
const DRAIN_POLL_MS = 10;

const data = workerData as ReplicationWorkerData;
const post = (message: FromReplication): void => parentPort?.postMessage(message);
const attached = new Map<number, AttachedShard>();
const storages = data.directories.map((directory) => new FileStorage(directory));
const storageOf = (shard: number): FileStorage => storages[shard] as FileStorage;

const pump: Pump = new Pump({
  doWork: () => {
    for (const shard of attached.values()) shard.look();
    return side.doWork();
  },
  hasWork: () => [...attached.values()].some((shard) => shard.hasNews()),
  msUntilDue: () => side.msUntilDue(),
  words: () => [...attached.values()].map((shard) => shard.word),
});

const options: SideOptions = {
  data,
  clock: systemClock,
  storageOf,
  schedule: pump.schedule,
  nonce: () => new Uint8Array(randomBytes(layout.NONCE_BYTES)),
  notice: (level, event, facts) => post({ kind: 'notice', level, event, facts }),
};

const master =
  data.role === 'master'
    ? new MasterSide(options, (epoch) => post({ kind: 'fenced', epoch }))
    : undefined;
const slave =
  data.role === 'slave'
    ? new SlaveSide(options, {
        closeShard: (shard) => post({ kind: 'close', shard }),
        openShard: (shard) => post({ kind: 'open', shard }),
        following: (epoch, address) => post({ kind: 'following', epoch, address }),
      })
    : undefined;
const side = (master ?? slave) as MasterSide | SlaveSide;

function take(message: ToReplication): void {
  switch (message.kind) {
    case 'attach':
      attach(message);
      break;
    case 'detach':
      side.detach(message.shard);
      attached.get(message.shard)?.close();
      attached.delete(message.shard);
      break;
    case 'address':
      master?.setAddress(message.address);
      break;
    case 'follow':
      side.follow(message.peer);
      break;
    case 'resumeWrites':
      master?.resumeWrites();
      break;
    case 'status':
      post({ kind: 'status', id: message.id, status: status() });
      break;
    case 'stop':
      stop(systemClock.monotonicMs() + message.waitMs);
      break;
  }
  pump.schedule();
}

function attach({ shard, memory, ports }: Extract<ToReplication, { kind: 'attach' }>): void {
  const { segmentBytes, chunkBytes } = data;
  const one = new AttachedShard({
    ...{ shard, memory, ports, storage: storageOf(shard), schedule: pump.schedule },
    shape: { segmentBytes, chunkBytes },
  });
  attached.set(shard, one);
  side.attach(one);
}

function status(): ReplicationStatus {
  return {
    role: data.role,
    epoch: data.epoch,
    peer: data.peer === undefined ? null : `${data.peer.host}:${data.peer.port}`,
    refusals: side.refusals,
    shards: side.status(),
  };
}

/** Slaves get what is left; then the sockets close, and with them the thread. */
function stop(deadlineMs: number): void {
  if (master?.isDrained() === false && systemClock.monotonicMs() < deadlineMs) {
    startTimer(DRAIN_POLL_MS, () => stop(deadlineMs));
    return;
  }
  pump.close();
  side.close();
  for (const shard of attached.values()) shard.close();
  post({ kind: 'stopped' });
  parentPort?.close();
}

async function start(): Promise<void> {
  try {
    const started = (await master?.start()) ?? { port: 0, newerEpoch: 0 };
    post({ kind: 'started', ...started });
    pump.schedule();
  } catch (error) {
    post({ kind: 'refused-start', message: toSluiceError(error).message });
    parentPort?.close();
  }
}

parentPort?.on('message', take);
void start();

/**
 * Loaded with `--import` into a broker under test, in all of its threads, before anything of the broker: makes `fdatasync`
 * slow or failing as the file named by `E2E_DISK` says at that moment, and tells the main thread's memory and event-loop
 * delays to the process that started it.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

/** Content of the `E2E_DISK` file, as JSON. */
export type DiskHooks = {
  /** Milliseconds that each `fdatasync` takes longer. */
  readonly syncDelayMs?: number;
  /** Every `fdatasync` fails with this, e.g. `EIO`. */
  readonly syncError?: string;
};

/** Answer to the message `memory`. */
export type MemoryReport = {
  readonly heapUsedBytes: number;
  readonly arrayBuffersBytes: number;
  readonly externalBytes: number;
  /** Delays of the event loop since the last report. */
  readonly delayMsMax: number;
  readonly delayMsP99: number;
};

const LOOP_RESOLUTION_MS = 5;
const NS_PER_MS = 1e6;

function hookDisk(file: string): void {
  const sync = fs.fdatasyncSync;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  fs.fdatasyncSync = (descriptor) => {
    const hooks = JSON.parse(fs.readFileSync(file, 'utf8')) as DiskHooks;
    if (hooks.syncDelayMs !== undefined) Atomics.wait(pause, 0, 0, hooks.syncDelayMs);
    if (hooks.syncError !== undefined)
      throw Object.assign(new Error(`${hooks.syncError}: injected, fdatasync`), {
        code: hooks.syncError,
        syscall: 'fdatasync',
      });
    sync(descriptor);
  };
  // Also for those who import the function by its name.
  syncBuiltinESMExports();
}

function answerMemory(): void {
  const delay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  delay.enable();
  process.on('message', () => {
    const collect = globalThis.gc;
    // The second time takes what the first one's finalizers have freed.
    collect?.();
    collect?.();
    const { heapUsed, arrayBuffers, external } = process.memoryUsage();
    const report: MemoryReport = {
      heapUsedBytes: heapUsed,
      arrayBuffersBytes: arrayBuffers,
      externalBytes: external,
      delayMsMax: delay.max / NS_PER_MS,
      delayMsP99: delay.percentile(99) / NS_PER_MS,
    };
    process.send?.(report);
    delay.reset();
  });
  // The broker ends when it has nothing left to do, and this is not something to do.
  process.channel?.unref();
}

const diskFile = process.env['E2E_DISK'];
if (diskFile !== undefined) hookDisk(diskFile);
if (isMainThread) answerMemory();

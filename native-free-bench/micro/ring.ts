/**
 * Messages from one real thread to another: our ring against `ringbuf.js` and against `postMessage`, in one run. An
 * operation is one message; a pass begins with an empty ring and ends when the other thread has seen the last message.
 */
import { Worker } from 'node:worker_threads';
import { seededPrng } from '../../src/base/prng.ts';
import { KIB, MIB } from '../../src/base/units.ts';
import {
  bySize,
  type Case,
  type Measurement,
  type MicroBenchmark,
  measureCases,
  type Plan,
} from '../harness.ts';
import {
  Backoff,
  CONTROL_DIGEST,
  CONTROL_DONE,
  CONTROL_PASS,
  CONTROL_WORDS,
  mixDigest,
  type PeerData,
  ringbufSender,
  ringMemory,
  ringSender,
  type Sender,
  type Way,
} from './ring-peer.ts';

const RING_WORKER: URL = new URL('./ring-worker.js', import.meta.url);
const CAPACITY_BYTES = MIB;
const GATHER = 64;

type Variant = { readonly name: string; readonly way: Way; readonly gather: number };

const VARIANTS: readonly Variant[] = [
  { name: 'ring, published one by one', way: 'ring', gather: 1 },
  { name: `ring, published by ${GATHER}`, way: 'ring', gather: GATHER },
  { name: 'ringbuf.js, pushed one by one', way: 'ringbuf.js', gather: 1 },
  { name: `ringbuf.js, pushed by ${GATHER}`, way: 'ringbuf.js', gather: GATHER },
  { name: 'postMessage, cloned', way: 'postMessage', gather: 1 },
];

export const ring: MicroBenchmark = {
  name: 'ring',
  about: 'our ring, ringbuf.js and postMessage between two threads',
  run: async (plan) => {
    const measurements: Measurement[] = [];
    for (const messageBytes of bySize(plan, [128], [128, 16 * KIB])) {
      for (const variant of VARIANTS)
        measurements.push(...(await measureVariant(plan, variant, messageBytes)));
    }
    return measurements;
  },
};

async function measureVariant(
  plan: Plan,
  variant: Variant,
  messageBytes: number,
): Promise<readonly Measurement[]> {
  const { way, gather } = variant;
  const perPass = passMessages(plan, way, messageBytes);
  const data: PeerData = {
    way,
    memory: ringMemory(way, CAPACITY_BYTES),
    capacityBytes: CAPACITY_BYTES,
    control: new SharedArrayBuffer(CONTROL_WORDS * 4),
    messageBytes,
    messages: perPass,
  };
  const worker = new Worker(RING_WORKER, { workerData: data });
  const ended = new Promise<void>((resolve, reject) => {
    worker.once('exit', () => resolve());
    worker.once('error', reject);
  });
  const pass = passOf(plan, data, senderOf(data, gather, worker), gather);
  const one: Case = {
    name: variant.name,
    parameters: { messageBytes, messages: perPass, capacityBytes: CAPACITY_BYTES },
    operation: 'messages',
    operations: perPass,
    bytes: perPass * messageBytes,
    call: () => {
      pass();
    },
    digest: () => expectSame(pass(), expectedDigest(plan, data)),
    calls: bySize(plan, 2, 10),
  };
  try {
    return await measureCases('ring', plan, [one]);
  } finally {
    Atomics.store(new Int32Array(data.control), CONTROL_PASS, -1);
    Atomics.notify(new Int32Array(data.control), CONTROL_PASS);
    if (way === 'postMessage') worker.postMessage(null);
    await ended;
  }
}

/** Some tenths of a second a pass in full; `postMessage` would otherwise queue them all in memory. */
function passMessages(plan: Plan, way: Way, messageBytes: number): number {
  const full = way === 'postMessage' ? 50_000 : 1_000_000;
  return bySize(plan, 5000, messageBytes > KIB ? full / 20 : full);
}

function senderOf(data: PeerData, gather: number, worker: Worker): Sender {
  if (data.way === 'ring') return ringSender(data);
  // A ring of a mebibyte does not hold 64 large messages twice over.
  const gathered = Math.min(gather, Math.floor(CAPACITY_BYTES / 4 / data.messageBytes));
  if (data.way === 'ringbuf.js') return ringbufSender(data, gathered);
  return {
    send: (message) => {
      worker.postMessage(message);
      return true;
    },
    flush: () => {},
  };
}

/** The messages' first words: numbers from the seed, so that a lost or doubled message changes the digest. */
function* wordsOf(plan: Plan, count: number): Generator<number> {
  const prng = seededPrng(plan.seed);
  const first = prng.integer(2 ** 32);
  for (let index = 0; index < count; index += 1) yield (first + index) >>> 0;
}

function expectedDigest(plan: Plan, data: PeerData): number {
  let digest = 0;
  for (const word of wordsOf(plan, data.messages))
    digest = mixDigest(digest, word, data.messageBytes);
  return digest;
}

function expectSame(digest: number, expected: number): string {
  if (digest !== expected) throw new Error(`ring: digest ${digest}, but ${expected} was sent`);
  return (digest >>> 0).toString(16).padStart(8, '0');
}

/** One pass, sender's side. @returns the digest that the receiver reported */
function passOf(plan: Plan, data: PeerData, sender: Sender, gather: number): () => number {
  const control = new Int32Array(data.control);
  const message = new Uint8Array(data.messageBytes);
  const view = new DataView(message.buffer);
  const backoff = new Backoff();
  const first = wordsOf(plan, 1).next().value as number;
  let passes = 0;
  return () => {
    passes += 1;
    Atomics.store(control, CONTROL_PASS, passes);
    Atomics.notify(control, CONTROL_PASS);
    for (let index = 0; index < data.messages; index += 1) {
      view.setUint32(0, (first + index) >>> 0, true);
      if (!sender.send(message)) {
        sender.flush();
        backoff.reset();
        while (!sender.send(message)) backoff.pause();
      }
      if ((index + 1) % gather === 0) sender.flush();
    }
    sender.flush();
    while (Atomics.load(control, CONTROL_DONE) < passes)
      Atomics.wait(control, CONTROL_DONE, passes - 1);
    return Atomics.load(control, CONTROL_DIGEST);
  };
}

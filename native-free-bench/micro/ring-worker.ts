/** The receiving thread of the ring benchmark: one pass at a time, announced by a word, answered with a digest. */
import { parentPort, workerData } from 'node:worker_threads';
import {
  CONTROL_DIGEST,
  CONTROL_DONE,
  CONTROL_PASS,
  mixDigest,
  type PeerData,
  ringbufReceiver,
  ringReceiver,
} from './ring-peer.ts';

const data = workerData as PeerData;
const control = new Int32Array(data.control);

/** Publishes: digest before the number of the pass. */
function report(digest: number, pass: number): void {
  Atomics.store(control, CONTROL_DIGEST, digest);
  Atomics.store(control, CONTROL_DONE, pass);
  Atomics.notify(control, CONTROL_DONE);
}

function runRing(): void {
  const receive = data.way === 'ring' ? ringReceiver(data) : ringbufReceiver(data);
  for (let pass = 1; ; pass += 1) {
    Atomics.wait(control, CONTROL_PASS, pass - 1);
    // A negative pass is the end.
    if (Atomics.load(control, CONTROL_PASS) < 0) return;
    report(receive(), pass);
  }
}

function runPostMessage(): void {
  let digest = 0;
  let received = 0;
  let pass = 1;
  parentPort?.on('message', (message: Uint8Array | null) => {
    if (message === null) {
      parentPort?.close();
      return;
    }
    const word = new DataView(message.buffer, message.byteOffset).getUint32(0, true);
    digest = mixDigest(digest, word, message.length);
    received += 1;
    if (received < data.messages) return;
    report(digest, pass);
    pass += 1;
    received = 0;
    digest = 0;
  });
}

if (data.way === 'postMessage') runPostMessage();
else runRing();

/** Thread entry of a load: answers one call after the other until it is closed. */
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { toSluiceError } from '../base/errors.ts';
import type { Load, LoadPlan } from './load.ts';
import { newLoad } from './new-load.ts';
import type { LoadCall, LoadReply } from './thread-load.ts';

const load: Load = newLoad(workerData as LoadPlan, systemClock);
let last: Promise<void> = Promise.resolve();

async function carryOut(call: LoadCall): Promise<unknown> {
  return call.call === 'measure' ? load.measure(call.isOn) : load[call.call]();
}

async function answer(call: LoadCall): Promise<void> {
  let reply: LoadReply;
  try {
    reply = { value: await carryOut(call) };
  } catch (error) {
    reply = { error: toSluiceError(error).toBody() };
  }
  parentPort?.postMessage(reply);
  if (call.call === 'close') parentPort?.close();
}

parentPort?.on('message', (call: LoadCall) => {
  last = last.then(() => answer(call));
});

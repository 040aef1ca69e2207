/**
 * 200,000 real flight records through a durable broker, and the proof that nothing was lost: several producers stream them in
 * bursts over WebSocket, keyed by origin airport; a group of three consumes them and computes the mean delay of each airport.
 * In the end every record must have come, in order per airport, with means equal to those of the file. With --chaos the
 * broker is killed with kill -9 in the middle and started again on its data, and the same must hold.
 *
 *   node dist/examples/flights.js [--records 200000] [--chaos] [--url ws://127.0.0.1:8880] [--json]
 *
 * Exit code 0: proven. 1: it does not hold. 2: wrong usage.
 */
import { parseArgs } from 'node:util';
import { connect } from 'sluicemq/client';
import { BrokerProcess } from './flights/broker-process.ts';
import { loadFlights } from './flights/load-flights.ts';
import { Proof } from './flights/proof.ts';
import { type Run, runFlights } from './flights/run-flights.ts';
import { Screen } from './flights/screen.ts';

const RECORDS = 200_000;
const RECORDS_MAX = 3_000_000;
const EXIT_USAGE = 2;
/** Share of the records after which the broker is killed. */
const KILL_AT = 0.4;

type Options = { records: number; chaos: boolean; url: string | undefined; json: boolean };

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      records: { type: 'string', default: String(RECORDS) },
      chaos: { type: 'boolean', default: false },
      url: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const records = Number(values.records);
  if (!Number.isInteger(records) || records < 1 || records > RECORDS_MAX)
    throw new Error(`--records ${values.records} is not a number from 1 to ${RECORDS_MAX}`);
  if (values.chaos && values.url !== undefined)
    throw new Error(
      '--chaos kills the broker, so it only works with one of its own: leave --url out',
    );
  return { records, chaos: values.chaos, url: values.url, json: values.json };
}

async function main(options: Options): Promise<boolean> {
  const flights = await loadFlights(options.records);
  await using broker = options.url === undefined ? await BrokerProcess.start() : undefined;
  const url = options.url ?? broker?.url ?? '';
  const name = `flights-${Date.now()}-${process.pid}`;
  const run: Run = { topic: name, group: name, acked: 0, onDisk: 0, connects: 0 };
  const proof = new Proof(flights);
  const chaos: { state: string; restartMs: number | undefined } = {
    state: 'up',
    restartMs: undefined,
  };
  const screen = new Screen(process.stderr, () => ({
    records: flights.length,
    acked: run.acked,
    consumed: proof.distinct,
    duplicates: proof.duplicates,
    broker: chaos.state,
  }));
  let killing: Promise<void> | undefined;
  let restartFailed: (error: unknown) => void = () => {};
  const failure = new Promise<never>((_, reject) => {
    restartFailed = reject;
  });
  const kill = async (): Promise<void> => {
    chaos.state = 'killed, recovering';
    chaos.restartMs = await broker?.killAndRestart();
    chaos.state = `back after ${Math.round(chaos.restartMs ?? 0)} ms`;
  };
  const startedAt = performance.now();
  try {
    const running = runFlights(url, flights, proof, run, () => {
      if (options.chaos && run.acked >= flights.length * KILL_AT)
        killing ??= kill().catch(restartFailed);
    });
    await Promise.race([running, failure]);
    await killing;
  } finally {
    screen.close();
  }
  const seconds = (performance.now() - startedAt) / 1000;
  if (options.url !== undefined) await cleanUp(url, run);
  return report(options, run, proof, seconds, chaos.restartMs);
}

/** Somebody else's broker is left as it was. */
async function cleanUp(url: string, run: Run): Promise<void> {
  await using client = await connect({ servers: url });
  await client.admin.deleteGroup(run.group);
  await client.admin.deleteTopic(run.topic);
}

function report(
  options: Options,
  run: Run,
  proof: Proof,
  seconds: number,
  restartMs: number | undefined,
): boolean {
  const result = proof.result();
  const faults = [...result.faults];
  if (run.acked !== result.records) faults.push(`${run.acked} of ${result.records} were acked`);
  if (options.chaos && restartMs === undefined) faults.push('the broker was not killed');
  const isProven = faults.length === 0;
  if (options.json) {
    const { acked, onDisk, connects } = run;
    const figures = { seconds: Number(seconds.toFixed(3)), restartMs: restartMs ?? null };
    console.log(
      JSON.stringify({ proven: isProven, ...result, acked, onDisk, connects, ...figures, faults }),
    );
    return isProven;
  }
  const number = (value: number): string => value.toLocaleString('en');
  console.log(
    `${number(result.records)} records of ${result.airports} airports in ${seconds.toFixed(1)} s; ${number(run.onDisk)} acknowledged from disk, ` +
      `${number(result.delivered)} delivered, ${number(result.duplicates)} of them again.`,
  );
  if (restartMs !== undefined)
    console.log(
      `The broker was killed with kill -9 and took requests again after ${Math.round(restartMs)} ms.`,
    );
  for (const { airport, flights, meanDelay } of proof.busiest(5))
    console.log(
      `  ${airport}  ${number(flights).padStart(7)} flights, mean delay ${meanDelay.toFixed(2)} min`,
    );
  if (isProven)
    console.log(
      'Proven: every record came, in order per airport, and all means are those of the file.',
    );
  else for (const fault of faults) console.log(`NOT PROVEN: ${fault}`);
  return isProven;
}

let options: Options;
try {
  options = readOptions();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(EXIT_USAGE);
}
// Ctrl-C: the broker is killed and its directory removed on the way out.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
process.exitCode = (await main(options)) ? 0 : 1;

/** `sluice cluster`: a whole cluster on this machine in one command, and faults practised on one. */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { sleep, systemClock } from '../../base/clock.ts';
import { toSluiceError } from '../../base/errors.ts';
import {
  BASE_PORT,
  type ClusterPlan,
  planCluster,
  portCountOf,
  SHAPES,
  type Shape,
} from '../../cluster/cluster-plan.ts';
import { ClusterStatus, type ProcessStatus } from '../../cluster/cluster-status.ts';
import { type DrillReport, runDrill } from '../../cluster/drill.ts';
import {
  defaultShapeOf,
  FAULT_SENTENCES,
  FAULTS,
  type Fault,
  promisedOf,
} from '../../cluster/drill-table.ts';
import { choosePorts } from '../../cluster/free-ports.ts';
import { openClusterDirectory, Supervisor } from '../../cluster/supervisor.ts';
import { clusterLines, drawOver } from '../cluster-screen.ts';
import { interruptSignal } from '../interrupt.ts';
import { oneOf, wholeNumber } from '../option-values.ts';
import { Output } from '../output.ts';

const EXIT_FAILED = 1;
const PORT_MAX = 65_535;
const RATE_MAX = 100_000;
const SECONDS_MAX = 3600;
const MS_PER_SECOND = 1000;
/** Milliseconds between two looks at the cluster. */
const LOOK_MS = 1000;
const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));

const SHAPE_SENTENCES: Readonly<Record<Shape, string>> = {
  '1m': 'one NameServer, one master',
  '2m': 'one NameServer, two masters',
  '2m-2s-async': 'one NameServer, two masters, a slave of each that follows',
  '2m-2s-sync': 'the same, and masters acknowledge what their slave has, too',
};

type Common = { readonly data: string; readonly port: number; readonly json?: boolean };
type DrillCommand = Common & {
  readonly shape?: string;
  readonly rate: number;
  readonly seconds: number;
};

export function addClusterCommand(program: Command): void {
  const cluster = program
    .command('cluster')
    .summary('start a whole cluster on this machine, or practise a fault on one')
    .description(
      'Starts NameServer, masters and slaves on this machine, each from a properties file that it writes into the directory; ' +
        'shows what they are; and stops them all on Ctrl-C. "drill" practises a fault under load and says what clients saw.',
    );
  for (const shape of SHAPES) {
    const command = cluster.command(shape).summary(SHAPE_SENTENCES[shape]);
    command.description(`Starts ${SHAPE_SENTENCES[shape]}.`);
    addCommon(command, BASE_PORT).action((options: Common) => start(shape, options));
  }
  const drill = cluster
    .command('drill')
    .summary('run load through a fault, and compare what clients saw with the promise')
    .description(
      'Runs load through a fault on a cluster of its own. Exit code 1 when a promise was broken.',
    );
  for (const fault of FAULTS) {
    const command = drill.command(fault).summary(FAULT_SENTENCES[fault]);
    command
      .description(`${FAULT_SENTENCES[fault]}.`)
      .option('--shape <shape>', `shape of the cluster (${defaultShapeOf(fault)})`, oneOf(SHAPES))
      .option('--rate <n>', 'messages a second', wholeNumber(1, RATE_MAX), 500)
      .option('--seconds <n>', 'how long the fault lasts', wholeNumber(1, SECONDS_MAX), 10);
    addCommon(command, 0).action((options: DrillCommand) => practise(fault, options));
  }
}

function addCommon(command: Command, port: number): Command {
  return command
    .requiredOption('--data <dir>', 'directory of all files of the cluster')
    .option(
      '--port <n>',
      'first of consecutive ports; 0 picks free ones',
      wholeNumber(0, PORT_MAX),
      port,
    )
    .option('--json', 'print events as JSON');
}

async function planOf(shape: Shape, { data, port }: Common): Promise<ClusterPlan> {
  const root = resolve(data);
  openClusterDirectory(root, shape);
  return planCluster(shape, root, await choosePorts(port, portCountOf(shape)));
}

async function start(shape: Shape, options: Common): Promise<void> {
  const output = new Output(options);
  const signal = interruptSignal();
  const plan = await planOf(shape, options);
  const onExit = (name: string): void => output.json({ event: 'exited', name });
  const supervisor = new Supervisor({ plan, main: MAIN, onExit });
  const stop = (): void => void supervisor.stop();
  signal.addEventListener('abort', stop);
  output.note(`Starting ${SHAPE_SENTENCES[shape]} in ${plan.root}`);
  try {
    await supervisor.start();
  } catch (error) {
    if (!signal.aborted) throw error;
    return;
  }
  output.json(readyEvent(supervisor));
  const status = new ClusterStatus(supervisor, systemClock);
  while (!signal.aborted) {
    const rows = await status.look();
    if (signal.aborted) break;
    show(output, supervisor, rows);
    await sleep(LOOK_MS);
  }
  // Behind what the terminal shows of Ctrl-C.
  if (process.stdout.isTTY) output.text('');
  output.note('Stopping: slaves, masters, NameServer.');
  await supervisor.stop();
  output.json({ event: 'closed' });
  // Whoever ends it by Ctrl-C has what they wanted.
  process.exitCode = 0;
}

/** Everything that a client or a script must know. */
function readyEvent(supervisor: Supervisor): object {
  const { shape, root, brokers, nameServers } = supervisor.plan;
  return {
    event: 'ready',
    ...{ shape, pid: process.pid, dataDir: root, namesrvAddr: supervisor.namesrvAddr },
    nameServers: nameServers.map(({ name, port }) => ({
      ...{ name, address: `127.0.0.1:${port}`, pid: supervisor.processOf(name).pid },
    })),
    brokers: brokers.map(({ name, brokerName, brokerId, role, port, haPort, propertiesFile }) => ({
      ...{ name, brokerName, brokerId, role, propertiesFile },
      ...{ ws: `ws://127.0.0.1:${port}`, http: `http://127.0.0.1:${port}` },
      ...{ ha: `127.0.0.1:${haPort}`, pid: supervisor.processOf(name).pid },
    })),
  };
}

function show(
  output: Output,
  { plan, namesrvAddr }: Supervisor,
  rows: readonly ProcessStatus[],
): void {
  if (output.isJson) {
    output.json({ event: 'status', processes: rows });
    return;
  }
  const view = { processes: rows, root: plan.root, namesrvAddr };
  const { isTTY, columns, rows: height } = process.stdout;
  if (isTTY) process.stdout.write(drawOver(clusterLines(view, { columns, rows: height })));
  else output.text(clusterLines(view).join('\n'));
}

async function practise(fault: Fault, options: DrillCommand): Promise<void> {
  const output = new Output(options);
  const shape = (options.shape as Shape | undefined) ?? defaultShapeOf(fault);
  promisedOf(shape, fault);
  const signal = interruptSignal();
  const plan = await planOf(shape, options);
  try {
    const report = await runDrill({
      ...{ fault, plan, signal, main: MAIN, clock: systemClock, rate: options.rate },
      faultMs: options.seconds * MS_PER_SECOND,
      onStep: (step) => output.note(step),
    });
    output.json(report);
    output.text(reportText(report));
    if (!report.kept) process.exitCode = EXIT_FAILED;
  } catch (error) {
    if (!signal.aborted) throw toSluiceError(error);
  }
}

function reportText(report: DrillReport): string {
  const { drill, shape, kept, broken, refused, ...numbers } = report;
  const width = Math.max(...Object.keys(numbers).map((name) => name.length));
  const refusals = Object.entries(refused).map(([code, count]) => `${count} ${code}`);
  return [
    `${drill} on ${shape}: ${kept ? 'the promise was kept' : 'THE PROMISE WAS BROKEN'}`,
    ...broken.map((sentence) => `  ${sentence}`),
    ...Object.entries(numbers).map(([name, value]) => `  ${name.padEnd(width)}  ${String(value)}`),
    `  ${'refused'.padEnd(width)}  ${refusals.join(', ') || '0'}`,
  ].join('\n');
}

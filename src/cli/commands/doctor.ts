/** `sluice doctor`: goes the way to a broker step by step and says what to do where it ends. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import type { CheckState, Finding } from '../doctor-check.ts';
import { checkData, checkFastTransport, checkNode } from '../doctor-local.ts';
import { checkNamesrv } from '../doctor-namesrv.ts';
import { checkNetwork } from '../doctor-network.ts';
import { addNamesrvOption } from '../namesrv-target.ts';
import { countText, Output } from '../output.ts';
import { addTargetOptions, type TargetOptions, targetOf } from '../target.ts';
import { type Colour, paint } from '../terminal.ts';

const DATA_DIRECTORY = './sluice-data';
const CHECK_LETTERS = 11;
const STATE_LETTERS = 5;

const COLOURS: Readonly<Record<CheckState, Colour>> = {
  ok: 'green',
  warn: 'yellow',
  fail: 'red',
  skip: 'dim',
};

type DoctorOptions = TargetOptions & {
  readonly namesrv?: string;
  readonly data?: string;
  readonly topic?: string;
  readonly json?: boolean;
};

export function addDoctorCommand(program: Command): void {
  const command = program
    .command('doctor')
    .summary('check the way to a broker step by step, and say what to do where it ends')
    .description(
      'Checks this machine, the disk, and the way to a broker as a client goes it. Sends no messages; writes one small file ' +
        'into the data directory to time the disk, and removes it. Exit code 1 when something fails.',
    )
    .option('--data <dir>', `data directory to look at (${DATA_DIRECTORY} when it is there)`)
    .option('--topic <name>', 'topic whose route to look up');
  addNamesrvOption(addTargetOptions(command), false)
    .option('--json', 'print JSON, a check a line')
    .action(doctor);
}

async function doctor(options: DoctorOptions): Promise<void> {
  const output = new Output(options);
  const target = targetOf(options);
  const counts: Record<CheckState, number> = { ok: 0, warn: 0, fail: 0, skip: 0 };
  const tell = (finding: Finding): void => {
    counts[finding.state] += 1;
    output.json(finding);
    if (!output.isJson) output.text(findingText(finding));
  };
  tell(checkNode());
  tell(await checkFastTransport());
  const data = options.data ?? (existsSync(DATA_DIRECTORY) ? DATA_DIRECTORY : undefined);
  for (const finding of data === undefined ? [] : checkData(data)) tell(finding);
  const way =
    options.namesrv === undefined
      ? checkNetwork(target, options.topic)
      : checkNamesrv(options, options.topic);
  for await (const finding of way) tell(finding);
  output.json({ summary: counts });
  output.text(
    counts.fail === 0
      ? `\nAll well${counts.warn === 0 ? '' : `, with ${countText(counts.warn, 'warning')}`}.`
      : `\n${countText(counts.fail, 'check')} failed.`,
  );
  if (counts.fail > 0) process.exitCode = 1;
}

function findingText({ check, state, message, next, ms }: Finding): string {
  const label = paint(process.stdout, COLOURS[state], state.padEnd(STATE_LETTERS));
  const time = ms === null ? '' : paint(process.stdout, 'dim', `  ${ms} ms`);
  const line = `${label} ${check.padEnd(CHECK_LETTERS)} ${message}${time}`;
  if (next === null) return line;
  return `${line}\n${' '.repeat(STATE_LETTERS + 1 + CHECK_LETTERS)} next: ${next}`;
}

/**
 * From the words of the command line to an exit code: 0 fine, 1 failed, 2 wrong usage, 130 interrupted. Errors of all
 * commands end here and are told once, for people or, with --json, for programs.
 */
import { Command, CommanderError } from 'commander';
import { VERSION } from '../broker/version.ts';
import { COMMANDS } from './command-table.ts';
import { leaveOnInterrupt } from './interrupt.ts';
import { reportError, UsageError } from './report-error.ts';
import { leaveOnClosedPipe } from './stdout-pipe.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** The name that is shown and under which it is installed. */
const PROGRAM = 'sluice';

const EPILOGUE = `
Examples:
  sluice up                                   a broker on ws://127.0.0.1:8880, data in ./sluice-data
  echo '{"total":12}' | sluice produce orders
  sluice consume orders --group billing --from earliest

Every command takes --json: one JSON value a line on stdout, logs on stderr.
Environment: SLUICE_SERVERS (address), SLUICE_TOKEN (token), NO_COLOR.
Exit codes: 0 fine, 1 failed, 2 wrong usage, 130 interrupted.`;

/** @returns the exit code */
export async function run(words: readonly string[]): Promise<number> {
  const isJson = words.includes('--json');
  leaveOnClosedPipe();
  leaveOnInterrupt();
  leaveOnBug(isJson);
  try {
    const program = await buildProgram(words);
    await program.parseAsync([...words], { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return failed(error, words, isJson);
  }
}

function failed(error: unknown, words: readonly string[], isJson: boolean): number {
  if (error instanceof CommanderError) {
    // Help and version are errors to the parser, and none to us.
    if (error.exitCode === 0) return 0;
    reportError(usageErrorOf(error, askedCommand(words)), isJson);
    return EXIT_USAGE;
  }
  reportError(error, isJson);
  return error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED;
}

/** Nothing ends in a stack trace, not even a mistake of ours. */
function leaveOnBug(isJson: boolean): void {
  process.on('uncaughtException', (error) => {
    reportError(error, isJson);
    process.exit(EXIT_FAILED);
  });
}

function usageErrorOf(error: CommanderError, asked: string | undefined): UsageError {
  const [first = '', suggestion] = error.message.replace(/^error: /, '').split('\n');
  const advice = suggestion?.replace(/^\((.*)\)$/, '$1');
  const isCommand = COMMANDS.some(({ name }) => name === asked);
  const help = `See: ${PROGRAM} ${isCommand ? `${asked} ` : ''}--help`;
  return new UsageError(first, advice === undefined ? help : `${advice} ${help}`);
}

async function buildProgram(words: readonly string[]): Promise<Command> {
  const program = new Command(PROGRAM)
    .description(
      'A message broker: durable ingestion over WebSocket, and delivery at the pace of its consumers.',
    )
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .addHelpText('after', EPILOGUE)
    .showSuggestionAfterError(true)
    .exitOverride()
    // Told by `failed`, once and in the form that was asked for.
    .configureOutput({ outputError: () => {} });
  const asked = askedCommand(words);
  for (const entry of COMMANDS) {
    program.commandsGroup(entry.group);
    if (entry.name === asked) await entry.load(program);
    else program.command(entry.name).summary(entry.summary).description(entry.summary);
  }
  if (words.length === 0) program.help();
  return program;
}

/** The command among the words: the first that is no option, or the one after `help`. */
function askedCommand(words: readonly string[]): string | undefined {
  const named = words.filter((word) => !word.startsWith('-'));
  return named[0] === 'help' ? named[1] : named[0];
}

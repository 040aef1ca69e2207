/** Asks before something is lost, where there is a person to ask. */
import { createInterface } from 'node:readline/promises';
import { UsageError } from './report-error.ts';

/**
 * True when it may be done: with --yes, after a "y" on a terminal, and in scripts, which mean what they say.
 *
 * @param question - names what will be lost
 * @throws UsageError when there is a terminal and nobody may ask, because --json is on
 */
export async function mayDo(
  question: string,
  options: { readonly yes?: boolean; readonly json?: boolean },
): Promise<boolean> {
  if (options.yes === true || !process.stdin.isTTY) return true;
  if (options.json === true)
    throw new UsageError(`${question} Nobody is asked with --json.`, 'Add --yes.');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${question} [y/N] `);
    if (/^y(es)?$/i.test(answer.trim())) return true;
    process.stderr.write('Nothing was changed.\n');
    process.exitCode = 1;
    return false;
  } finally {
    terminal.close();
  }
}

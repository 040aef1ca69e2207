/** What `sluice` says about itself, and what it does with words that it does not understand. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { COMMANDS } from '../../src/cli/command-table.ts';
import { CLI_MAIN, runCli } from '../../src/testing/cli-run.ts';

test('help names every command, and each command has help of its own', async () => {
  const { code, stdout } = await runCli(['--help']);
  assert.equal(code, 0);
  for (const { name, summary } of COMMANDS) {
    assert.ok(stdout.includes(`  ${name} `), name);
    assert.ok(stdout.replace(/\s+/g, ' ').includes(summary), summary);
  }
  for (const { name } of COMMANDS) {
    const help = await runCli([name, '--help']);
    assert.equal(help.code, 0);
    assert.match(help.stdout, new RegExp(`^Usage: sluice ${name}`));
    // Where there are commands below, each has it for itself.
    if (!/\[command\]/.test(help.stdout)) assert.match(help.stdout, /--json/, `${name} has --json`);
  }
});

test('the bin can be started by itself', () => {
  assert.match(readFileSync(CLI_MAIN, 'utf8'), /^#!\/usr\/bin\/env node\n/);
});

test('no words at all are a request for help', async () => {
  const { code, stdout } = await runCli([]);
  assert.equal(code, 0);
  assert.match(stdout, /^Usage: sluice/);
});

test('--version is that of the package', async () => {
  const { code, stdout } = await runCli(['--version']);
  assert.equal(code, 0);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

describe('wrong usage', () => {
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [['prodce', 'x'], /unknown command 'prodce'[\s\S]*Did you mean produce\?/],
    [['produce'], /missing required argument 'topic'/],
    [['produce', 'a', 'b'], /too many arguments/],
    [['consume', 'a'], /--group/],
    [
      ['consume', 'a', '--group', 'g', '--grup', 'g'],
      /unknown option '--grup'[\s\S]*Did you mean --group\?/,
    ],
    [['consume', 'a', '--group', 'g', '--max', '0'], /--max[\s\S]*Allowed: 1 to/],
    [['consume', 'a', '--group', 'g', '--from', 'soon'], /Allowed: earliest, latest/],
    [['consume', 'a', '--group', 'g', '--url', 'ftp://x'], /is no address/],
    [['produce', 'a', '--producer-id', 'x'.repeat(65)], /65 bytes/],
    [['admin', 'topics', 'lst'], /unknown command 'lst'[\s\S]*Did you mean list\?/],
    [['admin', 'offsets', 'reset', 'g', 't'], /--to/],
    [['inspect', 'no-such-directory'], /does not exist/],
    [['inspect', '.', '--verify', '--max', '3'], /--verify/],
  ];

  test('ends with 2, says what is wrong and where help is, and nothing on stdout', async () => {
    for (const [args, text] of wrong) {
      const { code, stdout, stderr } = await runCli(args);
      assert.deepEqual([code, stdout], [2, ''], args.join(' '));
      assert.match(stderr, text);
      assert.match(stderr, /hint/);
      assert.doesNotMatch(stderr, /\.js:\d+/);
    }
  });

  test('with --json is one line', async () => {
    const { code, values, stderr } = await runCli(['produce', '--json']);
    assert.equal(code, 2);
    const error = values[0]?.['error'] as { code: string; message: string; hint: string };
    assert.equal(error.code, 'INVALID_ARGUMENT');
    assert.match(error.hint, /sluice produce --help/);
    assert.equal(stderr, '');
  });
});

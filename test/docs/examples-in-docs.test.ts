/** The examples of the documents do what they show: commands run, frames come back as shown, TypeScript compiles. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import ts from 'typescript';
import { type Broker, createBroker } from '../../src/index.ts';
import { differencesOf, parseSession, playSession } from '../../src/testing/frame-session.ts';
import { type Block, type Markdown, parseMarkdown } from '../../src/testing/markdown.ts';
import { listFiles, projectRoot } from '../../src/testing/source-tree.ts';

const root = projectRoot();
const command = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const run = promisify(execFile);

// README.zh-CN.md has the same code as README.md: docs.test.ts.
const documents = ['README.md', 'CONTRIBUTING.md', 'docs']
  .flatMap((path) => listFiles(root, path, (file) => file.endsWith('.md')))
  .map((path) => parseMarkdown(path, readFileSync(join(root, path), 'utf8')));

function blocksOf(wanted: (block: Block) => boolean): readonly (Block & { path: string })[] {
  return documents.flatMap(({ path, blocks }: Markdown) =>
    blocks.filter(wanted).map((block) => ({ ...block, path })),
  );
}

/** First words of the lines: what is run here, and what only a person runs (docs.test.ts checks the names in it). */
const RUN = new Set(['sluice', 'curl', 'echo', 'printf']);
const NOT_RUN = new Set(['npm', 'npx', 'alias', 'bash', 'git', 'cd']);

function firstWords({ text }: Block): readonly string[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#') && !line.startsWith(' '))
    .map((line) => line.split(' ')[0] ?? '');
}

describe('shell blocks', () => {
  let broker: Broker;
  let folder = '';
  before(async () => {
    broker = await createBroker({ memory: true });
    folder = mkdtempSync(join(tmpdir(), 'sluice-docs-'));
    const shim = `#!/bin/sh\nexec "${process.execPath}" "${command}" "$@"\n`;
    writeFileSync(join(folder, 'sluice'), shim, { mode: 0o755 });
  });
  after(async () => {
    await broker.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const blocks = blocksOf(({ language }) => language === 'sh');

  it('hold nothing that is neither run nor known not to be', () => {
    const unknown = blocks.filter((block) => {
      const words = firstWords(block);
      return !words.every((word) => RUN.has(word)) && !words.every((word) => NOT_RUN.has(word));
    });
    assert.deepEqual(
      unknown.map(({ path, line }) => `${path}:${line}`),
      [],
    );
  });

  for (const block of blocks.filter((one) => firstWords(one).every((word) => RUN.has(word)))) {
    it(`of ${block.path}, line ${block.line}, end well`, async () => {
      const { port } = new URL(broker.ready.http);
      const script = `set -euo pipefail\n${block.text.replaceAll('8880', port)}`;
      const { stdout } = await run('bash', ['-c', script], {
        cwd: folder,
        env: {
          ...process.env,
          PATH: `${folder}:${process.env['PATH'] ?? ''}`,
          SLUICE_SERVERS: broker.ready.ws,
        },
      });
      assert.notEqual(stdout, '');
      assert.ok(!stdout.includes('"error"'), stdout);
    });
  }
});

describe('sessions of JSON frames', () => {
  const sessions = blocksOf(({ text }) => /^[<>] \{/.test(text));

  it('are in README.md', () => {
    assert.ok(sessions.some(({ path }) => path === 'README.md'));
  });

  for (const session of sessions) {
    it(`of ${session.path}, line ${session.line}, go as shown`, async () => {
      const broker = await createBroker({ memory: true });
      try {
        const lines = parseSession(session.text);
        assert.deepEqual(await playSession(`${broker.ready.ws}/v1/ws`, lines), []);
      } finally {
        await broker.close();
      }
    });
  }

  it('are found where they go otherwise', () => {
    const shown = { op: 'ok', id: 1, key: 'a', at: 5, text: '…', list: [1], is: true };
    const same = { op: 'ok', id: 1, key: 'a', at: 9, text: 'b', list: [2], is: true };
    assert.deepEqual(differencesOf(shown, same, 'x'), []);
    for (const other of [
      { ...same, id: 2 },
      { ...same, key: 'b' },
      { ...same, at: '9' },
      { ...same, text: null },
      { ...same, list: [] },
      { ...same, is: false },
      { ...same, more: 1 },
    ])
      assert.equal(differencesOf(shown, other, 'x').length, 1, JSON.stringify(other));
  });
});

describe('TypeScript blocks', () => {
  const blocks = blocksOf(({ language }) => language === 'ts');

  it('are in README.md', () => {
    assert.ok(blocks.filter(({ path }) => path === 'README.md').length >= 2);
  });

  it('compile against the sources, and one that does not is found', () => {
    const wrong = "import { connect } from 'sluicemq/client';\nconnect({ server: 'ws://x' });";
    const all = blocks.map(({ path, line, text }) => ({ name: `${path}:${line}`, text }));
    const [fault, ...others] = compile([{ name: 'wrong', text: wrong }, ...all]);
    assert.deepEqual(others, []);
    assert.match(fault ?? '', /^wrong .*server/);
  });
});

/** @returns errors, with the name of their block */
function compile(blocks: readonly { name: string; text: string }[]): readonly string[] {
  const configPath = join(root, 'tsconfig.json');
  const { config } = ts.readConfigFile(configPath, (path) => readFileSync(path, 'utf8'));
  const { options } = ts.parseJsonConfigFileContent(
    config,
    ts.sys,
    root,
    { noEmit: true, incremental: false, noUnusedLocals: false, isolatedDeclarations: false },
    configPath,
  );
  // Virtual files beside the examples, so that the package's own name is found as users write it.
  const texts = new Map(
    blocks.map(({ name, text }, index) => [
      join(root, 'examples', `block-${index}.ts`),
      { name, text: `${text}\nexport {};\n` },
    ]),
  );
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (path) => texts.has(path) || fileExists(path);
  host.readFile = (path) => texts.get(path)?.text ?? readFile(path);
  host.getSourceFile = (path, version, ...rest) => {
    const block = texts.get(path);
    return block === undefined
      ? getSourceFile(path, version, ...rest)
      : ts.createSourceFile(path, block.text, version, true);
  };
  const program = ts.createProgram([...texts.keys()], options, host);
  return [...texts].flatMap(([path, { name }]) => {
    const file = program.getSourceFile(path);
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
      ({ messageText }) => `${name} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
    );
  });
}

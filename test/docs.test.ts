/**
 * The documents against the sources: links resolve, both READMEs say the same, what is generated is up to date, and every
 * error code, file and command that is named exists. Their examples are run by test/docs/.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { describe, it } from 'node:test';
import { Command } from 'commander';
import { ERROR_CODES } from '../src/base/error-codes.ts';
import { COMMANDS } from '../src/cli/command-table.ts';
import { LOG_MEMORY_BYTES } from '../src/log/log-memory.ts';
import { REQUEST_CODES } from '../src/protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../src/protocol/remoting/response-codes.ts';
import { FLUSHER_WORD_AT, SHARD_WORD_AT } from '../src/shard/shard-memory.ts';
import { errorDocument } from '../src/testing/error-doc.ts';
import { type Markdown, type Mention, parseMarkdown, slugOf } from '../src/testing/markdown.ts';
import { listFiles, projectRoot } from '../src/testing/source-tree.ts';

const root = projectRoot();
const documents = ['README.md', 'README.zh-CN.md', 'CONTRIBUTING.md', 'SECURITY.md', 'docs']
  .flatMap((path) => listFiles(root, path, (file) => file.endsWith('.md')))
  .map((path) => parseMarkdown(path, readFileSync(join(root, path), 'utf8')));
const byPath = new Map(documents.map((document) => [document.path, document]));

function documentOf(path: string): Markdown {
  const document = byPath.get(path);
  assert.ok(document !== undefined, `${path} is there`);
  return document;
}

/** Collects `path:line text` of what is wrong in any document. */
function findings(check: (document: Markdown) => readonly Mention[]): readonly string[] {
  return documents.flatMap((document) =>
    check(document).map(({ text, line }) => `${document.path}:${line} ${text}`),
  );
}

describe('links', () => {
  it('lead to files and headings that exist', () => {
    const broken = findings((document) =>
      document.links.filter(({ text }) => {
        if (/^[a-z]+:/.test(text)) return false;
        const [file = '', anchor] = text.split('#');
        const path = file === '' ? document.path : posix.join(dirname(document.path), file);
        if (!existsSync(join(root, path))) return true;
        if (anchor === undefined) return false;
        const headings = documentOf(path).headings;
        return !headings.some((heading) => slugOf(heading.text) === anchor);
      }),
    );
    assert.deepEqual(broken, []);
  });

  it('are found where they are broken', () => {
    const text = '[a](b.md) `[not](a-link.md)` [c](#here)\n```\n[d](e.md)\n```';
    const { links } = parseMarkdown('x.md', text);
    assert.deepEqual(links, [
      { text: 'b.md', line: 1 },
      { text: '#here', line: 1 },
    ]);
    assert.equal(slugOf('A `CODE_NAME`, and (more)'), 'a-code_name-and-more');
  });
});

describe('README.md and README.zh-CN.md', () => {
  const english = documentOf('README.md');
  const chinese = documentOf('README.zh-CN.md');

  it('have the same headings, as far as languages allow', () => {
    const shape = ({ headings }: Markdown): number[] => headings.map(({ level }) => level);
    assert.deepEqual(shape(chinese), shape(english));
  });

  it('have the same code', () => {
    const code = ({ blocks }: Markdown): [string, string][] =>
      blocks.map(({ language, text }) => [language, text]);
    assert.deepEqual(code(chinese), code(english));
  });

  it('link to the same places', () => {
    const targets = ({ links }: Markdown): string[] =>
      links.map(({ text }) => text).filter((text) => !text.startsWith('README'));
    assert.deepEqual(targets(chinese), targets(english));
  });

  it('begin with the two commands of a newcomer', () => {
    assert.equal(english.blocks[0]?.text, 'npm install && npm start\nnpm install && npm test');
  });
});

describe('docs/ERRORS.md', () => {
  it('is what the registry says', () => {
    const written = readFileSync(join(root, 'docs/ERRORS.md'), 'utf8');
    assert.equal(written, errorDocument(), 'run: npm run error-doc');
  });

  it('lists exactly the codes of the registry', () => {
    const listed = documentOf('docs/ERRORS.md').headings.map(({ text }) => text);
    const codes = Object.keys(ERROR_CODES).map((code) => `\`${code}\``);
    assert.deepEqual(listed.slice(1), codes);
  });
});

/** Words with capitals and underscores that are no error codes. */
const OTHER_WORDS =
  /^(A?SYNC_(FLUSH|MASTER)|SLUICE_[A-Z_]+|DLQ_[A-Z_]+|NO_COLOR|SEND_BATCH|UNIQ_KEY|MSG_REGION|RETRY_TOPIC|ORIGIN_MESSAGE_ID|TOOLS_CONSUMER|[A-Z_]+_MAX|FUZZ_ROUNDS|CLUSTER_SEEDS|ORDER_TOPIC_CONFIG|RMQ_SYS_TRACE_TOPIC)$/;

/** Names of error codes, of RocketMQ's requests and answers, and the few others. */
function isKnownWord(word: string): boolean {
  const tables = [ERROR_CODES, REQUEST_CODES, RESPONSE_CODES];
  return tables.some((table) => Object.hasOwn(table, word)) || OTHER_WORDS.test(word);
}

describe('names in the documents', () => {
  it('that look like error codes are error codes', () => {
    const wrong = findings((document) =>
      document.prose.flatMap(({ text, line }) =>
        [...text.matchAll(/\b[A-Z]+(?:_[A-Z]+)+\b/g)]
          .map(([word]) => ({ text: word, line }))
          .filter(({ text: word }) => !isKnownWord(word))
          // A name of a file, as PROTOCOL.md's: DATA_FILE.md.
          .filter(({ text: word }) => !existsSync(join(root, 'docs', `${word}.md`))),
      ),
    );
    assert.deepEqual(wrong, []);
  });

  it('that look like sources are there', () => {
    const inSource = ['shard', 'log', 'acceptor', 'remoting', 'testing'];
    const folders = ['', 'docs', 'src', ...inSource.map((folder) => `src/${folder}`)];
    const missing = findings((document) =>
      document.codeSpans.filter(
        ({ text }) =>
          /^[\w./-]+\.(ts|md)$/.test(text) &&
          !folders.some((folder) => existsSync(join(root, folder, text))),
      ),
    );
    assert.deepEqual(missing, []);
  });

  it('that are npm scripts are in package.json', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    const missing = findings((document) =>
      allText(document).filter(({ text }) =>
        [...text.matchAll(/\bnpm run ([\w:-]+)/g)].some(([, name = '']) => !(name in scripts)),
      ),
    );
    assert.deepEqual(missing, []);
  });
});

/** Code spans and the lines of shell blocks. */
function allText(document: Markdown): readonly Mention[] {
  const lines = document.blocks
    .filter(({ language }) => ['sh', 'console'].includes(language))
    .flatMap(({ text, line }) =>
      text.split('\n').map((content, index) => ({ text: content, line: line + index })),
    );
  return [...document.codeSpans, ...lines];
}

describe('sluice commands in the documents', async () => {
  const program = new Command('sluice').helpOption('-h, --help').version('0');
  for (const entry of COMMANDS) await entry.load(program);

  /** What is wrong with a command line, or undefined. */
  const faultOf = (words: readonly string[]): string | undefined => {
    let command = program;
    for (const word of words) {
      if (word.startsWith('-')) {
        const [flag] = word.split('=');
        const known = [...command.options, ...program.options].some(
          (option) => option.long === flag || option.short === flag,
        );
        if (!known && flag !== '--help') return `${command.name()} has no option ${flag}`;
        continue;
      }
      const inner = command.commands.find((one) => one.name() === word);
      if (inner !== undefined) command = inner;
      else if (command.commands.length > 0 && word !== '…') return `no command ${word}`;
    }
    return undefined;
  };

  it('exist, with their options', () => {
    const wrong = findings((document) =>
      allText(document).flatMap(({ text, line }) =>
        [...text.matchAll(/(?:^|\$ |\| )sluice ([^|#>]+)/g)]
          .map(([, words = '']) => faultOf(words.trim().split(/\s+/)))
          .filter((fault) => fault !== undefined)
          .map((fault) => ({ text: `${fault}: ${text}`, line })),
      ),
    );
    assert.deepEqual(wrong, []);
  });

  it('are found where they are wrong', () => {
    assert.equal(faultOf(['consume', 'orders', '--groop', 'x']), 'consume has no option --groop');
    assert.equal(faultOf(['admin', 'tropics', 'list']), 'no command tropics');
    assert.equal(faultOf(['admin', 'topics', 'list', '--json']), undefined);
  });
});

describe('docs/THREADS.md', () => {
  it('draws the control memory as it is', () => {
    const [drawing] = documentOf('docs/THREADS.md').blocks;
    const places = [...(drawing?.text ?? '').matchAll(/(\d+) (?:shard's|flusher's|acceptor 0's)/g)];
    const expected = [SHARD_WORD_AT, FLUSHER_WORD_AT, 2 * FLUSHER_WORD_AT - SHARD_WORD_AT];
    assert.deepEqual(
      places.map(([, place]) => Number(place)),
      expected,
    );
    assert.equal(LOG_MEMORY_BYTES, SHARD_WORD_AT);
  });
});

/**
 * What no linter knows about this project: the direction of imports, where time and randomness come from, how long a
 * file may be, what was left behind. The rules are in src/testing/tidy-rules.ts; their tables and a counter-example
 * for each are here.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  listFiles,
  modulesOf,
  parseSource,
  projectRoot,
  reachableFrom,
  readSources,
  type Source,
} from '../src/testing/source-tree.ts';
import {
  checkBrowserSafe,
  checkDoor,
  checkInjectedTime,
  checkInvariantText,
  checkLayers,
  checkLeftOutTests,
  checkLength,
  checkPackages,
  checkWords,
  type Finding,
  folderOf,
  isBuiltin,
  type LayerTable,
} from '../src/testing/tidy-rules.ts';

/** 300 lines is where a file should be split; this is where it must be. */
const FILE_LINES_MAX = 400;
/** A suite may be longer: it is a list, and one subject's cases are found together. */
const TEST_LINES_MAX = 600;

/** Folder of src → what it may import beside itself. Doors in src itself re-export from anywhere; nobody imports testing. */
const LAYERS: LayerTable = {
  base: [],
  memory: ['base'],
  protocol: ['base'],
  transport: ['base'],
  config: ['base'],
  filter: ['base', 'protocol'],
  agent: ['base', 'memory'],
  ring: ['base', 'memory', 'agent'],
  log: ['base', 'memory', 'agent', 'protocol/batch'],
  observe: ['base', 'memory'],
  membership: ['base'],
  commit: ['base', 'memory', 'agent', 'log', 'observe'],
  acceptor: [
    ...['base', 'memory', 'agent', 'ring', 'log', 'observe', 'protocol', 'transport', 'config'],
    ...['membership', 'filter'],
  ],
  remoting: ['base', 'protocol', 'transport', 'observe', 'acceptor', 'membership', 'filter'],
  shard: ['base', 'memory', 'agent', 'ring', 'log', 'commit', 'observe', 'protocol'],
  nameserver: ['base', 'agent', 'protocol', 'transport'],
  replication: ['base', 'memory', 'agent', 'ring', 'log', 'observe', 'protocol', 'shard'],
  client: ['base', 'protocol'],
  broker: [
    ...['base', 'memory', 'protocol', 'transport', 'config', 'agent', 'ring', 'log', 'observe'],
    ...['commit', 'acceptor', 'remoting', 'shard', 'replication', 'client'],
  ],
  console: ['base', 'observe', 'client', 'config'],
  bench: ['base', 'protocol', 'transport', 'client'],
  cluster: ['base', 'bench', 'client', 'config'],
  cli: [
    'bench',
    'cluster',
    'client',
    'broker',
    'nameserver',
    'config',
    'observe',
    'log',
    'base',
    'protocol',
  ],
};

/** The ground and the message path: no package at all. */
const NO_PACKAGES: readonly string[] = [
  ...['base', 'memory', 'agent', 'ring', 'log', 'commit', 'shard', 'replication', 'filter'],
];

/** Paths that only exist on somebody's machine. Put together here, so that this file passes itself. */
const MACHINE_WORDS: readonly RegExp[] = [
  new RegExp(`(?<![\\w.~-])/(${['work', 'farm', 'tmp', 'home', 'root'].join('|')})/`),
  new RegExp(['registry', 'npmjs', 'org'].join('\\.')),
];
const LEFTOVER_WORDS: readonly RegExp[] = [
  new RegExp(
    `\\b(${['FIX', 'TO', 'XX'].map((word, i) => word + ['ME', 'DO', 'X'][i]).join('|')})\\b`,
  ),
];

const root = projectRoot();
const sources = readSources(root, ['src', 'test', 'native-free-bench', 'examples']);
const byPath = new Map(sources.map((source) => [source.path, source]));
const inSrc = sources.filter(({ path }) => path.startsWith('src/'));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;

type Manifest = {
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
};

function assertTidy(findings: readonly Finding[]): void {
  const lines = findings.map(({ path, line, text }) => `${path}:${line}: ${text}`);
  if (lines.length > 0) assert.fail(`${lines.length} to correct:\n${lines.join('\n')}`);
}

/** The counter-example of a rule: as many findings as expected, on these lines. */
function assertFound(findings: readonly Finding[], lines: readonly number[]): void {
  assert.deepEqual(
    findings.map(({ line }) => line),
    lines,
  );
}

/** Compiled files that package.json starts or exports, as sources. */
function packageEntries(): readonly string[] {
  const named = [
    ...Object.values(manifest.bin),
    ...Object.values(manifest.exports).flatMap((door) =>
      typeof door === 'string' ? [door] : Object.values(door),
    ),
    ...Object.values(manifest.scripts).flatMap((script) => script.match(/dist\/\S+\.js/g) ?? []),
  ];
  const sourcesOf = named
    .filter((file) => file.endsWith('.js'))
    .map((file) => file.replace(/^(\.\/)?dist\//, '').replace(/\.js$/, '.ts'));
  return [...new Set(sourcesOf)];
}

function mayImportPackage(path: string, name: string): boolean {
  if (NO_PACKAGES.includes(folderOf(path))) return false;
  if (folderOf(path) === 'testing') return true;
  return name in manifest.dependencies || name in manifest.peerDependencies;
}

/** Parts of the client that only its Node door may reach; the browser door is followed import by import as well. */
const isNodeClient = (path: string): boolean =>
  /^src\/client\/(node[^/]*|[^/]*-node)\.ts$/.test(path);

describe('imports', () => {
  it('follow the layer table', () => {
    assertTidy(inSrc.flatMap((source) => checkLayers(source, LAYERS)));
  });

  it('against the table are found, type imports and import() too', () => {
    const text = [
      "import { a } from '../base/a.ts';",
      "import type { B } from '../log/b.ts';",
      "export * from '../protocol/batch/c.ts';",
      "await import('../testing/d.ts');",
      "import { e } from '../../test/e.ts';",
      "import { f } from '../protocol/web/f.ts';",
    ].join('\n');
    assertFound(checkLayers(parseSource('src/memory/x.ts', text), LAYERS), [2, 3, 4, 5, 6]);
    assertFound(checkLayers(parseSource('src/log/x.ts', text), LAYERS), [4, 5, 6]);
    assertFound(checkLayers(parseSource('src/nowhere/x.ts', text), LAYERS), [1]);
  });

  it('name no package on the message path, and elsewhere only those that are shipped', () => {
    assertTidy(inSrc.flatMap((source) => checkPackages(source, mayImportPackage)));
  });

  it('of packages in the wrong place are found', () => {
    const text = "import ws from 'ws';\nimport { x } from '@types/node/fs';\nimport 'node:fs';";
    assertFound(checkPackages(parseSource('src/ring/x.ts', text), mayImportPackage), [1, 2]);
    assertFound(checkPackages(parseSource('src/transport/x.ts', text), mayImportPackage), [2]);
  });

  it('reach no Node built-in from the browser door', () => {
    const reached = reachableFrom(['src/client/index.ts'], byPath);
    const findings = [...reached].flatMap((path) =>
      modulesOf(byPath.get(path) as Source)
        .filter(({ specifier }) => isBuiltin(specifier))
        .map(({ specifier, line }) => ({ path, line, text: `${specifier} reaches the browser` })),
    );
    assertTidy(findings);
  });

  it('leave no file of src that nobody uses', () => {
    const entries = packageEntries();
    const missing = entries.filter((path) => !byPath.has(path));
    assert.deepEqual(missing, [], 'package.json names files that have no source');
    const fromOutside = sources.filter(({ path }) => !path.startsWith('src/'));
    const used = reachableFrom(entries, byPath);
    const usedByTests = reachableFrom(
      fromOutside.map(({ path }) => path),
      byPath,
    );
    const dead = inSrc.filter(({ path }) =>
      folderOf(path) === 'testing' ? !used.has(path) && !usedByTests.has(path) : !used.has(path),
    );
    // Declarations of packages are found by the compiler, not imported.
    assertTidy(
      dead
        .filter(({ path }) => !path.endsWith('.d.ts'))
        .map(({ path }) => ({ path, line: 1, text: 'nobody imports or starts it' })),
    );
  });
});

describe('sources', () => {
  it('for browsers use nothing of Node', () => {
    const forBrowsers = inSrc.filter(
      ({ path }) => ['client', 'protocol'].includes(folderOf(path)) && !isNodeClient(path),
    );
    assertTidy(forBrowsers.flatMap(checkBrowserSafe));
    const text = "import 'fs';\nBuffer.from('');\nconst a = { process: 1 };\na.process;";
    assertFound(checkBrowserSafe(parseSource('src/client/x.ts', text)), [1, 2]);
  });

  it('are short enough to have one purpose', () => {
    const limitOf = (path: string): number =>
      path.startsWith('test/') ? TEST_LINES_MAX : FILE_LINES_MAX;
    assertTidy(sources.flatMap((source) => checkLength(source, limitOf(source.path))));
    assertFound(checkLength(parseSource('src/x.ts', 'a\nb\nc\n'), 2), [3]);
    assertFound(checkLength(parseSource('src/x.ts', 'a\nb\n'), 2), []);
  });

  it('give invariant() a constant text', () => {
    assertTidy(sources.flatMap(checkInvariantText));
    const text = `invariant(a, 'b', c);\ninvariant(a, \`b \${c}\`);\ninvariant(a, 'b' + c);`;
    assertFound(checkInvariantText(parseSource('src/x.ts', text)), [2, 3]);
  });

  it('take time and randomness as arguments', () => {
    const free = ['src/base/clock.ts', 'src/base/prng.ts'];
    assertTidy(inSrc.filter(({ path }) => !free.includes(path)).flatMap(checkInjectedTime));
    const text = [
      'Date.now();',
      'new Date(5);',
      'new Date();',
      '// setTimeout(x, 5)',
      'clock.now();',
      'globalThis.setTimeout(x, 5);',
      'const die = Math.random;',
      "import { setTimeout as sleep } from 'node:timers/promises';",
    ].join('\n');
    const lines = checkInjectedTime(parseSource('src/x.ts', text)).map(({ line }) => line);
    assert.deepEqual(
      lines.sort((a, b) => a - b),
      [1, 3, 6, 7, 8],
    );
  });

  it('are doors that only re-export, where they are called index', () => {
    assertTidy(inSrc.filter(({ path }) => /\/index\.ts$/.test(path)).flatMap(checkDoor));
    const text = "export * from './a.ts';\nexport const b = 1;\nexport { c };";
    assertFound(checkDoor(parseSource('src/index.ts', text)), [2, 3]);
  });
});

describe('the project', () => {
  it('leaves no test out', () => {
    assertTidy(sources.flatMap(checkLeftOutTests));
    const mark = ['on', 'ly'].join('');
    const text = `test.${mark}('a');\nit('b', { ${mark}: true });\nit('c', { skip: reason });`;
    assertFound(checkLeftOutTests(parseSource('test/x.ts', text)), [1, 2]);
  });

  it('has no reminders and no paths of a machine in it', () => {
    const isText = (path: string): boolean =>
      /\.(ts|tsx|js|json|md|css|html|yml|yaml)$|\/run$|^[A-Z]+$/.test(path);
    const folders = ['src', 'test', 'native-free-bench', 'examples', 'docs', '.ci'];
    const files = [
      ...folders.flatMap((folder) => listFiles(root, folder, isText)),
      ...['README.md', 'README.zh-CN.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'],
      ...['NOTICE', 'package.json', 'package-lock.json', 'biome.json', 'eslint.config.js'],
    ].filter((path) => listFiles(root, path, () => true).length > 0);
    const words = [...MACHINE_WORDS, ...LEFTOVER_WORDS];
    assertTidy(
      files.flatMap((path) => checkWords(path, readFileSync(join(root, path), 'utf8'), words)),
    );
    const text = `src/${'work'}/a\nsee /${'work'}/a\n// ${'TO'}${'DO'} later\nfine`;
    assertFound(checkWords('x.md', text, words), [2, 3]);
  });

  it('records no download addresses in its lockfile', () => {
    const lockfile = readFileSync(join(root, 'package-lock.json'), 'utf8');
    assert.equal(lockfile.includes('"resolved"'), false, 'set omit-lockfile-registry-resolved');
  });
});

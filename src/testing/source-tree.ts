/**
 * The project's own sources as data for the tidy test: files, their syntax trees, what they import and what they start
 * as workers. Reads the disk of the checkout; never part of the package.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** One source file, by its path from the project's root, with slashes. */
export type Source = {
  readonly path: string;
  readonly text: string;
  readonly tree: ts.SourceFile;
};

/** One module named by a file: an import, a re-export, an import type or an `import()`. */
export type ModuleReference = {
  readonly specifier: string;
  readonly line: number;
  /** The project's file it means; undefined for built-ins and packages. */
  readonly target: string | undefined;
};

/** The folder with package.json above the running (compiled) file. */
export function projectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('no package.json above the tests');
    folder = parent;
  }
  return folder;
}

/** Paths from the root of all files below `start` (a file or a folder) that `wanted` takes. */
export function listFiles(
  root: string,
  start: string,
  wanted: (path: string) => boolean,
): readonly string[] {
  const full = join(root, start);
  if (!existsSync(full)) return [];
  if (statSync(full).isFile()) return wanted(start) ? [start] : [];
  const found: string[] = [];
  for (const entry of readdirSync(full, { withFileTypes: true })) {
    if (entry.name === 'node_modules' || entry.name === 'dist') continue;
    found.push(...listFiles(root, posix.join(start, entry.name), wanted));
  }
  return found.sort();
}

/** All TypeScript sources below the given folders. */
export function readSources(root: string, folders: readonly string[]): readonly Source[] {
  return folders
    .flatMap((folder) => listFiles(root, folder, (path) => /\.tsx?$/.test(path)))
    .map((path) => parseSource(path, readFileSync(join(root, path), 'utf8')));
}

export function parseSource(path: string, text: string): Source {
  return { path, text, tree: ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true) };
}

/** The line of a node, from 1. */
export function lineOf(source: Source, node: ts.Node): number {
  return source.tree.getLineAndCharacterOfPosition(node.getStart(source.tree)).line + 1;
}

/** Calls `visit` for every node of the file, parents first. */
export function walk(source: Source, visit: (node: ts.Node) => void): void {
  const step = (node: ts.Node): void => {
    visit(node);
    ts.forEachChild(node, step);
  };
  step(source.tree);
}

/** Everything the file imports. */
export function modulesOf(source: Source): readonly ModuleReference[] {
  const found: ModuleReference[] = [];
  walk(source, (node) => {
    const name = moduleName(node);
    if (name === undefined) return;
    found.push({
      specifier: name.text,
      line: lineOf(source, name),
      target: resolveRelative(source.path, name.text),
    });
  });
  return found;
}

function moduleName(node: ts.Node): ts.StringLiteralLike | undefined {
  let name: ts.Node | undefined;
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) name = node.moduleSpecifier;
  else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
    name = node.argument.literal;
  } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    name = node.arguments[0];
  }
  return name !== undefined && ts.isStringLiteralLike(name) ? name : undefined;
}

/** Files started as threads: `new URL('../shard/shard-worker.js', import.meta.url)`. */
export function workerEntriesOf(source: Source): readonly ModuleReference[] {
  const found: ModuleReference[] = [];
  walk(source, (node) => {
    if (!ts.isNewExpression(node) || node.expression.getText(source.tree) !== 'URL') return;
    const [address, base] = node.arguments ?? [];
    if (address === undefined || !ts.isStringLiteralLike(address)) return;
    if (base?.getText(source.tree) !== 'import.meta.url' || !address.text.endsWith('.js')) return;
    const target = resolveRelative(source.path, address.text.replace(/\.js$/, '.ts'));
    found.push({ specifier: address.text, line: lineOf(source, node), target });
  });
  return found;
}

function resolveRelative(from: string, specifier: string): string | undefined {
  return specifier.startsWith('.') ? posix.join(posix.dirname(from), specifier) : undefined;
}

/** All files that `roots` reach by imports, themselves included. */
export function reachableFrom(
  roots: readonly string[],
  sources: ReadonlyMap<string, Source>,
): ReadonlySet<string> {
  const reached = new Set<string>();
  const waiting = [...roots];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const source = sources.get(path);
    if (source === undefined || reached.has(path)) continue;
    reached.add(path);
    for (const { target } of [...modulesOf(source), ...workerEntriesOf(source)]) {
      if (target !== undefined) waiting.push(target);
    }
  }
  return reached;
}

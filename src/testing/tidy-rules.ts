/**
 * The house rules that no linter knows, each a function from one source to what is wrong in it. The tables they work
 * from are data in test/tidy.test.ts, which also shows every rule a file that breaks it.
 */
import { builtinModules } from 'node:module';
import ts from 'typescript';
import { lineOf, modulesOf, type Source, walk } from './source-tree.ts';

/** One thing to correct. */
export type Finding = { readonly path: string; readonly line: number; readonly text: string };

/** Who may import what: a folder of src to folders, or to parts of folders such as `protocol/batch`. */
export type LayerTable = Readonly<Record<string, readonly string[]>>;

/** `src/log/batch.ts` → `log`; a file of src itself has no folder: ''. */
export function folderOf(path: string): string {
  const [top, folder, ...rest] = path.split('/');
  return top === 'src' && folder !== undefined && rest.length > 0 ? folder : '';
}

/** The package a module name means, or undefined for our own files and Node's built-ins. */
export function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith('.') || isBuiltin(specifier)) return undefined;
  const parts = specifier.split('/');
  return parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
}

export function isBuiltin(specifier: string): boolean {
  return specifier.startsWith('node:') || builtinModules.includes(specifier);
}

/** Imports go down, along the table. A file of src itself is a door and may re-export from anywhere but testing. */
export function checkLayers(source: Source, layers: LayerTable): Finding[] {
  const folder = folderOf(source.path);
  if (!source.path.startsWith('src/') || folder === 'testing') return [];
  const allowed = layers[folder];
  if (folder !== '' && allowed === undefined) {
    return [{ path: source.path, line: 1, text: `the folder ${folder} is not in the layer table` }];
  }
  const findings: Finding[] = [];
  for (const { target, line, specifier } of modulesOf(source)) {
    if (target === undefined) continue;
    const inner = target.replace(/^src\//, '');
    const mayImport =
      target.startsWith('src/') &&
      folderOf(target) !== 'testing' &&
      (folder === '' ||
        folderOf(target) === folder ||
        allowed?.some((prefix) => inner.startsWith(`${prefix}/`)) === true);
    if (!mayImport) {
      findings.push({ path: source.path, line, text: `${folder} must not import ${specifier}` });
    }
  }
  return findings;
}

/** Packages may be imported only where `mayImport` says so. */
export function checkPackages(
  source: Source,
  mayImport: (path: string, packageName: string) => boolean,
): Finding[] {
  return modulesOf(source).flatMap(({ specifier, line }) => {
    const name = packageOf(specifier);
    if (name === undefined || mayImport(source.path, name)) return [];
    return [{ path: source.path, line, text: `the package ${name} must not be imported here` }];
  });
}

/** Code for browsers: no Node module and none of Node's globals. */
export function checkBrowserSafe(source: Source): Finding[] {
  const findings: Finding[] = modulesOf(source)
    .filter(({ specifier }) => isBuiltin(specifier))
    .map(({ specifier, line }) => ({
      path: source.path,
      line,
      text: `${specifier} does not exist in a browser`,
    }));
  walk(source, (node) => {
    if (!ts.isIdentifier(node) || !['Buffer', 'process', '__dirname'].includes(node.text)) return;
    if (isPropertyName(node)) return;
    findings.push({
      path: source.path,
      line: lineOf(source, node),
      text: `${node.text} does not exist in a browser`,
    });
  });
  return findings;
}

function isPropertyName(node: ts.Identifier): boolean {
  const parent = node.parent;
  return (
    (ts.isPropertyAccessExpression(parent) && parent.name === node) ||
    ((ts.isPropertySignature(parent) || ts.isPropertyAssignment(parent)) && parent.name === node)
  );
}

export function checkLength(source: Source, linesMax: number): Finding[] {
  const lines = source.text.trimEnd().split('\n').length;
  if (lines <= linesMax) return [];
  const text = `${lines} lines; at most ${linesMax}: split it by responsibility`;
  return [{ path: source.path, line: linesMax + 1, text }];
}

/** The text of `invariant` is constant, because it would be built for every passing check. */
export function checkInvariantText(source: Source): Finding[] {
  const findings: Finding[] = [];
  walk(source, (node) => {
    if (!ts.isCallExpression(node) || node.expression.getText(source.tree) !== 'invariant') return;
    const text = node.arguments[1];
    if (text !== undefined && ts.isStringLiteral(text)) return;
    const advice = 'the text of invariant() is a plain string literal; values are arguments';
    findings.push({ path: source.path, line: lineOf(source, node), text: advice });
  });
  return findings;
}

const CLOCKS_AND_DICE: readonly string[] = [
  'Date.now',
  'Math.random',
  'performance.now',
  'process.hrtime',
];
const TIMERS: readonly string[] = ['setTimeout', 'setInterval'];

/** Time and randomness are injected; only base/clock.ts and base/prng.ts ask the system. */
export function checkInjectedTime(source: Source): Finding[] {
  const findings: Finding[] = [];
  const add = (node: ts.Node, what: string): void => {
    const text = `${what}: take the clock or the generator as an argument`;
    findings.push({ path: source.path, line: lineOf(source, node), text });
  };
  for (const { specifier, line } of modulesOf(source)) {
    if (/^(node:)?timers(\/promises)?$/.test(specifier)) {
      findings.push({ path: source.path, line, text: `${specifier}: use base/clock.ts` });
    }
  }
  walk(source, (node) => {
    if (ts.isPropertyAccessExpression(node)) {
      const text = node.getText(source.tree).replace(/^globalThis\./, '');
      if (CLOCKS_AND_DICE.includes(text)) add(node, text);
    } else if (ts.isNewExpression(node)) {
      const bare = node.expression.getText(source.tree) === 'Date' && !node.arguments?.length;
      if (bare) add(node, 'new Date()');
    } else if (ts.isCallExpression(node)) {
      const text = node.expression.getText(source.tree).replace(/^globalThis\./, '');
      if (TIMERS.includes(text)) add(node, text);
    }
  });
  return findings;
}

/** A test that is left out, or runs alone, by a word that somebody forgot. A condition with a reason is fine. */
export function checkLeftOutTests(source: Source): Finding[] {
  const findings: Finding[] = [];
  const left = ['only', 'skip', 'todo'];
  walk(source, (node) => {
    const call = ts.isPropertyAccessExpression(node) && left.includes(node.name.text);
    const byCall =
      call && /^(test|it|describe|suite|t)$/.test(node.expression.getText(source.tree));
    const byOption =
      ts.isPropertyAssignment(node) &&
      left.includes(node.name.getText(source.tree)) &&
      node.initializer.kind === ts.SyntaxKind.TrueKeyword;
    if (!byCall && !byOption) return;
    const text = `${node.getText(source.tree)} was left behind`;
    findings.push({ path: source.path, line: lineOf(source, node), text });
  });
  return findings;
}

/** A door re-exports and contains nothing else. */
export function checkDoor(source: Source): Finding[] {
  return source.tree.statements
    .filter((statement) => !(ts.isExportDeclaration(statement) && statement.moduleSpecifier))
    .map((statement) => ({
      path: source.path,
      line: lineOf(source, statement),
      text: 'a door only re-exports',
    }));
}

/** Words that must not be in any text of the project, by line. */
export function checkWords(path: string, text: string, words: readonly RegExp[]): Finding[] {
  const findings: Finding[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    for (const word of words) {
      const match = word.exec(line);
      if (match !== null) findings.push({ path, line: index + 1, text: `contains "${match[0]}"` });
    }
  }
  return findings;
}

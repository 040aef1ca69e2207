/**
 * A compiled tree with one bug in it: hard links to all of the real one, and a changed copy of the files that the bug is in.
 * It lies below `.build/`, so that packages are found as they are from `dist/`.
 */
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** One text in a compiled file, and what stands there instead. */
export type Plant = {
  /** Below `src/`, as compiled: `log/recovery.js`. */
  readonly file: string;
  /** Must be in the file exactly once: otherwise the mutant is not what its name says. */
  readonly find: string;
  readonly replace: string;
};

/** The parts of the compiled tree that a mutant needs. */
const PARTS = ['src', 'test'];

/** Replaces the one place where `find` stands. @throws Error when there is none, or another one */
export function planted(text: string, { file, find, replace }: Plant): string {
  const at = text.indexOf(find);
  if (at === -1) throw new Error(`${file} has no ${JSON.stringify(find)}: ${MEND}`);
  if (text.includes(find, at + 1))
    throw new Error(`${file} has ${JSON.stringify(find)} more than once: ${MEND}`);
  return text.slice(0, at) + replace + text.slice(at + find.length);
}

const MEND =
  'the code has changed, so say in src/testing/mutants.ts how the same bug would look in it now';

/**
 * Makes the tree anew.
 *
 * @param compiled - where `src` and `test` are, as JavaScript
 * @param target - directory of the mutant; what is there goes
 */
export function plantTree(compiled: string, target: string, plants: readonly Plant[]): void {
  rmSync(target, { recursive: true, force: true });
  for (const part of PARTS) {
    for (const path of readdirSync(join(compiled, part), { recursive: true, encoding: 'utf8' })) {
      if (!path.endsWith('.js')) continue;
      const to = join(target, part, path);
      mkdirSync(dirname(to), { recursive: true });
      linkOrCopy(join(compiled, part, path), to);
    }
  }
  for (const plant of plants) {
    const file = join(target, 'src', plant.file);
    const text = planted(readFileSync(file, 'utf8'), plant);
    // The link goes first: to write through it would plant the bug in the real tree.
    unlinkSync(file);
    writeFileSync(file, text);
  }
}

function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    // Not every file system has hard links.
    copyFileSync(from, to);
  }
}

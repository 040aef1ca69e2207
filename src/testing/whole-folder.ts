/**
 * Folders that are made once and kept: fetched packages, compiled classes. Made beside their place and renamed, so that nobody
 * sees half of one, although several test files may come for it at the same time.
 */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** In a folder that is whole. */
const MARK = 'complete';

/**
 * @param make - puts into the folder that it is given what belongs there; what it throws leaves no folder
 * @throws what `make` throws
 */
export function ensureWhole(folder: string, make: (beside: string) => void): void {
  if (existsSync(join(folder, MARK))) return;
  const beside = `${folder}.${process.pid}`;
  rmSync(beside, { recursive: true, force: true });
  mkdirSync(beside, { recursive: true });
  try {
    make(beside);
    writeFileSync(join(beside, MARK), '');
    rename(beside, folder);
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
}

/** Somebody else may have been faster: theirs is as good. */
function rename(beside: string, folder: string): void {
  try {
    renameSync(beside, folder);
  } catch (error) {
    if (!existsSync(join(folder, MARK))) throw error;
  }
}

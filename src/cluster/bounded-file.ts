/** A log file that does not grow without end: when it is full, it becomes the `.1` of its name, and the one before goes. */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';
import { MIB } from '../base/units.ts';

const BYTES_MAX: number = 8 * MIB;

export class BoundedFile {
  readonly path: string;
  private descriptor: number | undefined;
  private bytes: number;

  constructor(path: string) {
    this.path = path;
    this.descriptor = openSync(path, 'a', 0o600);
    this.bytes = fstatSync(this.descriptor).size;
  }

  /** Appends; after `close` it is lost. */
  write(text: string): void {
    if (this.descriptor === undefined) return;
    if (this.bytes > BYTES_MAX) {
      closeSync(this.descriptor);
      renameSync(this.path, `${this.path}.1`);
      this.descriptor = openSync(this.path, 'a', 0o600);
      this.bytes = 0;
    }
    this.bytes += writeSync(this.descriptor, text);
  }

  close(): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor);
    this.descriptor = undefined;
  }
}

/** What happens when the reader of our stdout goes away (`sluice … | head`): that is no failure, and no stack trace. */
import { reportError } from './report-error.ts';

/** Leaves quietly when stdout has no reader any more. */
export function leaveOnClosedPipe(): void {
  whenPipeCloses(() => process.exit(0));
  // Nobody reads our errors: there is no one to tell.
  process.stderr.on('error', () => {});
}

/** Does `action` instead: something is to be finished first. */
export function whenPipeCloses(action: () => void): void {
  process.stdout.removeAllListeners('error');
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED') {
      action();
      return;
    }
    reportError(error, false);
    process.exit(1);
  });
}

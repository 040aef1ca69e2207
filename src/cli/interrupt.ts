/** Ctrl-C for commands that have something to finish: the first asks them to end, the second ends them. */

/** As shells report it: 128 and the number of the signal. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** @returns aborted by the first SIGINT or SIGTERM */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.removeAllListeners(signal);
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(EXIT_CODES[signal]);
      process.exitCode = EXIT_CODES[signal];
      controller.abort();
    });
  }
  return controller.signal;
}

/** For all other commands: they have nothing to finish. */
export function leaveOnInterrupt(): void {
  process.on('SIGINT', () => process.exit(EXIT_CODES.SIGINT));
}

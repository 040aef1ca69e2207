/**
 * Where a component reports changes of its state, without knowing who writes them down: `observe/logger.ts` in a
 * broker, a list in a test, nothing in a benchmark. Lines are for changes of state, never for messages. Browser-safe.
 */

/** A value beside an event. Numbers have their unit in their name: `waitedMs`, `segmentBytes`. */
export type LogFact = string | number | boolean | undefined | Error;
/** The facts of one line, by name. */
export type LogFacts = Readonly<Record<string, LogFact>>;

/** Levels that lines have, the least important first. */
export type LogLevel = 'info' | 'warn' | 'error';

/** Where one folder of the broker writes its lines. */
export interface Logger {
  /** Something is now otherwise, as it should be. */
  info(event: string, facts?: LogFacts): void;
  /** Something is not as it should be, and was handled. */
  warn(event: string, facts?: LogFacts): void;
  /** Something failed; somebody should look. An error goes in as a fact. */
  error(event: string, facts?: LogFacts): void;
  /** The logger of one folder of the source; the event names are its own. */
  child(folder: string): Logger;
}

/** Writes nothing. */
export const silentLogger: Logger = {
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLogger,
};

/** One recorded line. */
export type RecordedLine = {
  readonly level: LogLevel;
  readonly folder: string;
  readonly event: string;
  readonly facts: LogFacts;
};

/** Keeps every line, for tests to look at. */
export function recordingLogger(): { readonly logger: Logger; readonly lines: RecordedLine[] } {
  const lines: RecordedLine[] = [];
  const loggerOf = (folder: string): Logger => {
    const at =
      (level: LogLevel) =>
      (event: string, facts: LogFacts = {}): void => {
        lines.push({ level, folder, event, facts });
      };
    return { info: at('info'), warn: at('warn'), error: at('error'), child: loggerOf };
  };
  return { logger: loggerOf(''), lines };
}

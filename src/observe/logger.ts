/**
 * The log of a process: lines of JSON on stderr, or text where a person looks at it. Written synchronously, so that the
 * last line before a crash is there; lines are rare, messages are never logged. Main thread.
 */
import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino';
import { type Clock, systemClock } from '../base/clock.ts';
import type { LogFacts, Logger, LogLevel } from '../base/log-sink.ts';
import { escapeControl, prettyLine, safeFacts, safeText } from './log-text.ts';

export type LoggerOptions = {
  /** Lines below it are not written; default `info`. */
  readonly level?: LogLevel | 'silent';
  /** Text for people instead of JSON; default: whether stderr is a terminal. */
  readonly pretty?: boolean;
  /** Colours in text; default: with `pretty`, unless the variable NO_COLOR is set. */
  readonly colour?: boolean;
  /** Values that are left out wherever they stand, such as the token of the broker. */
  readonly secrets?: readonly string[];
  readonly clock?: Clock;
  /** Takes whole lines; default stderr. */
  readonly write?: (line: string) => void;
};

/** The logger of a process; its children name the folder that a line comes from. */
export function createLogger(options: LoggerOptions = {}): Logger {
  const clock = options.clock ?? systemClock;
  const root = pino(
    {
      level: options.level ?? 'info',
      base: null,
      timestamp: () => `,"time":"${new Date(clock.epochMs()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    lineWriter(options),
  );
  // A short secret would tear holes into words that have nothing to do with it.
  const secrets = (options.secrets ?? []).filter((secret) => secret.length >= 8);
  return loggerOf(root, '', secrets);
}

function lineWriter(options: LoggerOptions): DestinationStream {
  const write = options.write ?? stderrWriter();
  const pretty = options.pretty ?? process.stderr.isTTY === true;
  const colour = options.colour ?? (pretty && !process.env['NO_COLOR']);
  return {
    // What JSON leaves as it is, terminals may not; the escape is one of JSON too.
    write: (line) => {
      const text = line.trimEnd();
      write(`${pretty ? prettyLine(text, colour) : escapeControl(text)}\n`);
    },
  };
}

function stderrWriter(): (line: string) => void {
  const stderr = pino.destination({ fd: 2, sync: true });
  return (line) => {
    stderr.write(line);
  };
}

function loggerOf(root: PinoLogger, folder: string, secrets: readonly string[]): Logger {
  // Always a child of the root: a child of a child would have two folders.
  const target = root.child({ folder });
  const at =
    (level: LogLevel) =>
    (event: string, facts: LogFacts = {}): void => {
      if (!target.isLevelEnabled(level)) return;
      target[level]({ event: safeText(event, secrets), ...safeFacts(facts, secrets) });
    };
  return {
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (name) => loggerOf(root, name, secrets),
  };
}

/** What the servers among the commands have in common: their options, their signals, their end by a bug. */
import { Option } from 'commander';
import { startTimer } from '../base/clock.ts';
import type { Logger } from '../base/log-sink.ts';
import { SETTINGS } from '../config/config-schema.ts';
import { flagNameOf } from '../config/setting-names.ts';

/** Milliseconds from the first signal to the end, whatever is still under way. */
const STOP_MS_MAX = 25_000;
const EXIT_FAILED = 1;

/** A setting as an option; a switch may stand there without a value. */
export function settingOption(
  name: string,
  { allowed, sentence }: { readonly allowed: string; readonly sentence: string },
): Option {
  const isSwitch = allowed === SETTINGS.memory.allowed;
  return new Option(`${flagNameOf(name)} ${isSwitch ? '[yes]' : '<value>'}`, sentence);
}

/**
 * The settings among parsed options, by their own names: to commander `--broker-ip1` is `brokerIp1`, not `brokerIP1`.
 *
 * @param options - by commander's names
 */
export function settingsAmong(
  options: Readonly<Record<string, unknown>>,
  names: readonly string[],
): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  for (const name of names) {
    const value = options[new Option(flagNameOf(name)).attributeName()];
    if (value !== undefined) settings[name] = value;
  }
  return settings;
}

/** Resolves with the name of the first signal. The second one does not wait. */
export function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    let isFirst = true;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.removeAllListeners(signal);
      process.on(signal, () => {
        if (!isFirst) process.exit(EXIT_FAILED);
        isFirst = false;
        startTimer(STOP_MS_MAX, () => process.exit(EXIT_FAILED));
        resolve(signal);
      });
    }
  });
}

/** A bug leaves its trace in the log and nowhere else. What was acknowledged survives this as it does a kill. */
export function leaveOnCrash(log: Logger): void {
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => {
    log.error('crashed', { error });
    process.exit(EXIT_FAILED);
  });
}

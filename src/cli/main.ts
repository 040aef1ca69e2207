#!/usr/bin/env node
/** The `sluice` command: hands the words of the command line over and leaves with the exit code. */
import { MessageChannel } from 'node:worker_threads';
import { startTimer } from '../base/clock.ts';
import { run } from './program.ts';

/** Milliseconds that something left behind (an idle connection) may hold the process after the work is done. */
const LINGER_MS_MAX = 2000;

// Deadlines alone keep no process alive, and neither does a paused socket: until it is done, this does.
const { port1: hold } = new MessageChannel();
hold.on('message', () => {});
process.exitCode = await run(process.argv.slice(2));
hold.close();
startTimer(LINGER_MS_MAX, () => process.exit());

/**
 * Runs a `NetDrill` in the network namespace of its client, where test/netns starts it, and prints the report.
 *
 *   node net-drill-main.js LAB-PLAN-AS-JSON DIRECTORY
 */
import { NetDrill } from './net-drill.ts';
import type { LabPlan } from './net-lab.ts';

// Ended by force, it takes its processes along: their book-keeper listens for the exit.
process.once('SIGTERM', () => process.exit(1));
const [plan = '', root = ''] = process.argv.slice(2);
const drill = new NetDrill(JSON.parse(plan) as LabPlan, root);
try {
  process.stdout.write(`${JSON.stringify(await drill.run())}\n`);
} finally {
  await drill.end();
}

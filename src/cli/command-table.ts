/**
 * The commands of `sluice`: name, one line about each, and where it is. Only the command that was asked for is loaded,
 * so that `sluice --help` answers at once.
 */
import type { Command } from 'commander';

export type CommandEntry = {
  readonly name: string;
  readonly summary: string;
  /** Heading under which the help shows it. */
  readonly group: string;
  /** Adds the command, with its options and its action, to the program. */
  readonly load: (program: Command) => Promise<void>;
};

export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'up',
    summary: 'start a broker here and now; topics come into being with their first message',
    group: 'Servers:',
    load: async (program) => (await import('./commands/serve.ts')).addUpCommand(program),
  },
  {
    name: 'broker',
    summary: 'start a broker from a configuration file (YAML, JSON or broker.conf)',
    group: 'Servers:',
    load: async (program) => (await import('./commands/serve.ts')).addBrokerCommand(program),
  },
  {
    name: 'namesrv',
    summary: 'start a NameServer: brokers register with it, clients ask it where topics are',
    group: 'Servers:',
    load: async (program) => (await import('./commands/namesrv.ts')).addNamesrvCommand(program),
  },
  {
    name: 'cluster',
    summary: 'start a whole cluster on this machine, or practise a fault on one',
    group: 'Servers:',
    load: async (program) => (await import('./commands/cluster.ts')).addClusterCommand(program),
  },
  {
    name: 'produce',
    summary: 'send the lines of stdin, a message a line',
    group: 'Messages:',
    load: async (program) => (await import('./commands/produce.ts')).addProduceCommand(program),
  },
  {
    name: 'consume',
    summary: 'print the messages of a topic as a member of a group, and acknowledge them',
    group: 'Messages:',
    load: async (program) => (await import('./commands/consume.ts')).addConsumeCommand(program),
  },
  {
    name: 'admin',
    summary: 'look at and change topics, groups, offsets and messages',
    group: 'Operations:',
    load: async (program) => (await import('./commands/admin.ts')).addAdminCommand(program),
  },
  {
    name: 'doctor',
    summary: 'check the way to a broker step by step, and say what to do where it ends',
    group: 'Operations:',
    load: async (program) => (await import('./commands/doctor.ts')).addDoctorCommand(program),
  },
  {
    name: 'bench',
    summary: 'measure a broker, and check that it kept every promise',
    group: 'Operations:',
    load: async (program) => (await import('./commands/bench.ts')).addBenchCommand(program),
  },
  {
    name: 'inspect',
    summary: 'read a data directory without changing it, damaged or not',
    group: 'Operations:',
    load: async (program) => (await import('./commands/inspect.ts')).addInspectCommand(program),
  },
];

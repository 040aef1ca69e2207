/**
 * Faults that can be practised, and what each shape promises under each: the promise table of docs/CLUSTER.md as data. Pure.
 */
import { SluiceError } from '../base/errors.ts';
import { hasSlaves, type Shape } from './cluster-plan.ts';

/** The faults. */
export const FAULTS = [
  'kill-master',
  'kill-slave',
  'partition',
  'disk-loss',
  'slow-slave',
  'kill-namesrv',
] as const;

export type Fault = (typeof FAULTS)[number];

/** One sentence about each, for people. */
export const FAULT_SENTENCES: Readonly<Record<Fault, string>> = {
  'kill-master': 'kill -9 of a master; it is started again on its disk',
  'kill-slave': 'kill -9 of a slave; it is started again on its disk',
  partition: 'master and slave do not hear each other, silently and both ways',
  'disk-loss': 'kill -9 of a master whose disk is gone; its slave is promoted',
  'slow-slave': 'a slave stands still (SIGSTOP), then goes on (SIGCONT)',
  'kill-namesrv': 'kill -9 of all NameServers; they are started again, empty',
};

/** What a shape promises under a fault. */
export type Promised = {
  /** Acknowledged messages that may be lost: none, or those that the slave did not have yet. */
  readonly loss: 'none' | 'lag';
  /** Sends are acknowledged while the fault lasts: somebody else takes them. */
  readonly goesOn: boolean;
  /** A group that lags reads on from the slave of the master with the fault. */
  readonly readsOn: boolean;
  /** The master with the fault acknowledges nothing meanwhile: it may say sent only of what its slave has. */
  readonly standsStill: boolean;
};

const NEEDS_SLAVE: readonly Fault[] = ['kill-slave', 'partition', 'disk-loss', 'slow-slave'];

/** Faults in which a slave confirms nothing. */
const CUTS_OFF_SLAVE: readonly Fault[] = ['kill-slave', 'partition', 'slow-slave'];

/** @throws INVALID_ARGUMENT for a fault that the shape cannot have */
export function promisedOf(shape: Shape, fault: Fault): Promised {
  if (NEEDS_SLAVE.includes(fault) && !hasSlaves(shape))
    throw new SluiceError('INVALID_ARGUMENT', `${fault} needs a slave, and ${shape} has none`, {
      hint: 'Give --shape 2m-2s-async or --shape 2m-2s-sync.',
    });
  const isAlone = shape === '1m' && fault === 'kill-master';
  const loss = shape === '2m-2s-async' && fault === 'disk-loss' ? 'lag' : 'none';
  const standsStill = shape === '2m-2s-sync' && CUTS_OFF_SLAVE.includes(fault);
  const readsOn = fault === 'kill-master' && hasSlaves(shape);
  return { loss, goesOn: !isAlone, readsOn, standsStill };
}

/** The shape on which a fault is practised if nobody says otherwise. */
export function defaultShapeOf(fault: Fault): Shape {
  return fault === 'kill-namesrv' ? '2m' : '2m-2s-sync';
}

/** What clients saw. */
export type DrillFindings = {
  readonly acknowledged: number;
  /** Acknowledged while the fault lasted. */
  readonly acknowledgedInFault: number;
  /** By the broker with the fault, in the last second before it. */
  readonly acknowledgedJustBefore: number;
  /** By the same broker, in the last second of the fault, or in its second half if it is shorter. */
  readonly acknowledgedByStruck: number;
  readonly lost: number;
  /** Acknowledged, and not delivered to the group that lags. */
  readonly lostByLagging: number;
  /** To that group, from the queues of the broker with the fault while it lasted: more than it can have had in hand. */
  readonly laggingInFault: number;
  /** Stored more than once. */
  readonly duplicated: number;
  /** Messages that went to another broker while nobody knew whether the first had stored them: only these may be doubled. */
  readonly movedInDoubt: number;
  /** Of messages with a key: received for the first time after a later one of the same key's queue. */
  readonly reordered: number;
  /** Read, and sent by nobody. */
  readonly unexpected: number;
};

/** Why the promise was broken, in sentences; empty when it was kept. */
export function brokenPromises(
  { loss, goesOn, readsOn, standsStill }: Promised,
  found: DrillFindings,
): readonly string[] {
  const lostMax = loss === 'none' ? 0 : found.acknowledgedJustBefore;
  const checks: readonly (readonly [boolean, string])[] = [
    [found.acknowledged > 0, 'nothing was acknowledged'],
    [found.lost <= lostMax, `${found.lost} acknowledged messages are lost; ${lostMax} may be`],
    [
      found.lostByLagging <= lostMax,
      `${found.lostByLagging} acknowledged messages did not come to the group that lags; ${lostMax} may not`,
    ],
    [
      !readsOn || found.laggingInFault > 0,
      'the group that lags read nothing from the slave while its master was away',
    ],
    [
      found.duplicated <= found.movedInDoubt,
      `${found.duplicated} messages are stored twice; ${found.movedInDoubt} may be`,
    ],
    [found.reordered === 0, `${found.reordered} messages with a key came after a later one`],
    [found.unexpected === 0, `${found.unexpected} messages were sent by nobody`],
    [!goesOn || found.acknowledgedInFault > 0, 'nothing was acknowledged while the fault lasted'],
    [
      !standsStill || found.acknowledgedByStruck === 0,
      `${found.acknowledgedByStruck} messages were acknowledged by a master that its slave did not confirm`,
    ],
  ];
  return checks.filter(([isKept]) => !isKept).map(([, sentence]) => sentence);
}

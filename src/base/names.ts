/** The naming rule of topics and groups, checked at every entrance; names never reach a path. Browser-safe. */
import { SluiceError } from './errors.ts';
import { GROUP_NAME_MAX, TOPIC_NAME_MAX } from './limits.ts';

/** RocketMQ's rule: `^[%|a-zA-Z0-9_-]+$`. @source RocketMQ common/topic/TopicValidator.java */
const NAME_RULE = /^[%|a-zA-Z0-9_-]+$/;

/** Prefix of a group's dead-letter topic. @source RocketMQ common/MixAll.java */
export const DEAD_LETTER_PREFIX = '%DLQ%';
/** Prefix of the topic by which messages come back to a group of RocketMQ's clients. @source RocketMQ common/MixAll.java */
export const RETRY_PREFIX = '%RETRY%';

function nameCheck(
  kind: 'topic' | 'group',
  name: unknown,
  lengthMax: number,
): asserts name is string {
  if (typeof name !== 'string' || name === '') {
    throw new SluiceError('INVALID_NAME', `the ${kind} is missing or not a string`);
  }
  if (name.length > lengthMax) {
    throw new SluiceError(
      'INVALID_NAME',
      `the ${kind} has ${name.length} characters; at most ${lengthMax} are allowed`,
    );
  }
  if (!NAME_RULE.test(name)) {
    throw new SluiceError(
      'INVALID_NAME',
      `the ${kind} ${JSON.stringify(name)} has a character outside a-z A-Z 0-9 _ - % |`,
    );
  }
}

/** Is it a topic that belongs to a group, with the group's name behind a prefix? */
function isOfGroup(name: string): boolean {
  return name.startsWith(DEAD_LETTER_PREFIX) || name.startsWith(RETRY_PREFIX);
}

/** @throws INVALID_NAME */
export function checkTopicName(name: unknown): asserts name is string {
  nameCheck('topic', name, typeof name === 'string' && isOfGroup(name) ? 255 : TOPIC_NAME_MAX);
}

/** @throws INVALID_NAME */
export function checkGroupName(name: unknown): asserts name is string {
  nameCheck('group', name, GROUP_NAME_MAX);
}

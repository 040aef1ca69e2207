/**
 * Bits of a message's and of a pull's `sysFlag`. Browser-safe.
 *
 * @source RocketMQ MessageSysFlag, PullSysFlag
 */

export const MESSAGE_COMPRESSED = 0x1;
export const MESSAGE_MULTI_TAGS = 0x2;
/** The two bits of a transaction, and what they can say. */
export const TRANSACTION_MASK = 0xc;
export const TRANSACTION_PREPARED = 0x4;
export const TRANSACTION_COMMIT = 0x8;
export const TRANSACTION_ROLLBACK = 0xc;
/** The host of the producer, or of the store, has sixteen bytes. */
export const BORN_HOST_IPV6 = 0x10;
export const STORE_HOST_IPV6 = 0x20;

/** The consumer's committed offset is in the request and to be kept. */
export const PULL_COMMIT_OFFSET = 0x1;
/** The request may wait for messages. */
export const PULL_SUSPEND = 0x2;
/** The subscription is in the request. */
export const PULL_SUBSCRIPTION = 0x4;
export const PULL_CLASS_FILTER = 0x8;
export const PULL_LITE = 0x10;

/** Every fixed bound of the broker, with unit and reason; relations between them are asserted at the end. Browser-safe. */
import { KIB, MIB } from './units.ts';

/** Characters of a topic name. @source RocketMQ TopicValidator */
export const TOPIC_NAME_MAX = 127;
/** Characters of a group name. @source RocketMQ Validators */
export const GROUP_NAME_MAX = 120;

/** Bytes of one message body. @source RocketMQ maxMessageSize */
export const BODY_BYTES_MAX: number = 4 * MIB;
/** Bytes of a message key. */
export const KEY_BYTES_MAX = 1024;
/** Bytes of a message tag. */
export const TAG_BYTES_MAX = 255;
/** Bytes of all encoded properties of one message. @source RocketMQ MessageDecoder, properties are at most 32767 */
export const PROPERTIES_BYTES_MAX = 32_767;
/** Properties of one message. */
export const PROPERTIES_COUNT_MAX = 128;
/** Bytes of a producer id. */
export const PRODUCER_ID_BYTES_MAX = 64;
/** Bytes of one batch as the producer sends it: the largest body plus everything around it. */
export const BATCH_BYTES_MAX: number = BODY_BYTES_MAX + 64 * KIB;
/** Records of one batch. */
export const BATCH_RECORDS_MAX = 65_535;
/** Messages of one JSON send or HTTP request. */
export const SEND_MESSAGES_MAX = 10_000;
/** Bytes of one WebSocket frame: a batch and the frame's own header. */
export const FRAME_BYTES_MAX: number = BATCH_BYTES_MAX + 4 * KIB;
/** Arrays and objects within each other in JSON from outside: more takes the parser seconds. */
export const JSON_DEPTH_MAX = 1000;
/** Bytes of one HTTP body. */
export const HTTP_BODY_BYTES_MAX: number = 8 * MIB;
/** Bytes that a connection may make the broker hold before it has authenticated. */
export const UNAUTHENTICATED_BYTES_MAX: number = 64 * KIB;

/** Queues of one topic. */
export const TOPIC_QUEUES_MAX = 64;
/** Topics of one broker. */
export const TOPICS_MAX = 10_000;
/** Groups of one broker. */
export const GROUPS_MAX = 10_000;
/** Subscriptions of one connection. */
export const SUBSCRIPTIONS_PER_CONNECTION_MAX = 64;
/** Messages of credit a subscription can hold. */
export const CREDIT_MAX = 1_000_000;
/** Tags in one filter expression. */
export const FILTER_TAGS_MAX = 32;
/** Tokens in one ack, nack or extend. */
export const TOKENS_MAX = 10_000;

/** Unanswered sends of one connection. */
export const IN_FLIGHT_REQUESTS_MAX = 1024;
/** Batches of a producer and queue that are remembered for dedup; also the most it should have unanswered. */
export const DEDUP_BATCHES_MAX = 64;
/** Producers that a shard remembers; the longest unused is forgotten first. */
export const DEDUP_PRODUCERS_MAX = 100_000;

/**
 * Messages of one shard that wait for their time or for the end of their transaction: a row of some 70 bytes each, and a tenth
 * of a second of snapshot for the largest number.
 */
export const DEFERRED_MESSAGES_MAX = 1_000_000;
/** Share of `retentionBytes` that they may take: what waits is written again each time that the log has turned over. */
export const DEFERRED_RETENTION_RATIO = 0.5;
/** Milliseconds since 1970 that a time must be above to be taken for one: below, it is seconds by mistake. September 2001. */
export const EPOCH_MS_MIN = 1_000_000_000_000;
/** Milliseconds that a message may be delayed at most, as far as the configuration allows: ten years. */
export const DELAY_MS_MAX: number = 10 * 366 * 24 * 3_600_000;
/** Times that a producer is asked about a half message, and milliseconds between. @source RocketMQ transactionCheckMax, transactionCheckInterval */
export const TRANSACTION_CHECK_MAX_DEFAULT = 15;
export const TRANSACTION_CHECK_INTERVAL_MS_DEFAULT = 30_000;
/** Milliseconds after which it is asked for the first time. @source RocketMQ transactionTimeOut */
export const TRANSACTION_TIMEOUT_MS_DEFAULT = 6000;
/** Property that names the producer group of a half message. @source RocketMQ MessageConst.PROPERTY_PRODUCER_GROUP */
export const PRODUCER_GROUP_PROPERTY = 'PGROUP';
/** Delayed messages that one list shows. */
export const DELAYED_LIST_MAX = 1000;

/** Milliseconds of a lease. */
export const LEASE_MS_MIN = 1000;
export const LEASE_MS_MAX: number = 12 * 3_600_000;
export const LEASE_MS_DEFAULT = 30_000;
/** Milliseconds that a nack may delay. */
export const NACK_DELAY_MS_MAX: number = 7 * 24 * 3_600_000;
/** Deliveries before a message goes to the dead-letter topic. @source RocketMQ maxReconsumeTimes */
export const ATTEMPTS_MAX_DEFAULT = 16;
/** Messages in flight (leased, waiting for a retry or acked out of order) per group and queue. */
export const GROUP_QUEUE_WINDOW_MAX = 65_536;
/** Leases per group and queue: each takes some 400 bytes, and where batches are small each message is one. */
export const GROUP_QUEUE_LEASES_MAX = 8192;
/** Runs of messages that a shard's journal of a slave holds (settled there, and not in the master's log yet): beyond, acks are refused. */
export const SETTLED_JOURNAL_RANGES_MAX = 131_072;
/** Records of such a journal that go to the master in one frame. */
export const SETTLED_HAND_OVER_RECORDS = 512;

/** Milliseconds that a fetch or an HTTP poll may wait for messages. */
export const WAIT_MS_MAX = 60_000;
/** Messages of one fetch or one HTTP poll. */
export const FETCH_MESSAGES_MAX = 1000;
/** Bytes of batches that one fetch reads, and of messages that one HTTP poll collects; a single larger batch still passes. */
export const FETCH_BYTES_MAX: number = 2 * MIB;
/** Characters of a request id, client name, member name or nack reason. */
export const LABEL_LENGTH_MAX = 256;
/** Dead letters that one redrive moves, and messages that one search by key finds. */
export const REDRIVE_MAX = 1_000_000;
export const FIND_KEY_MAX = 64;
/** Milliseconds before a further attempt, in a group's back-off. */
export const RETRY_BACKOFF_MS_MAX: number = 24 * 3_600_000;
/** Steps of a group's back-off; also the most attempts it can be given. */
export const ATTEMPTS_MAX = 1000;

/** Bytes waiting for one connection's socket before deliveries to it stop, and milliseconds until it is closed. */
export const CONNECTION_BUFFER_BYTES_MAX: number = 8 * MIB;
export const CONNECTION_BUFFER_MS_MAX = 30_000;
/** Milliseconds that a connection has to authenticate. */
export const AUTHENTICATE_MS_MAX = 5000;
/** Wrong tokens of one connection, and of one address within a minute. */
export const AUTH_FAILURES_PER_CONNECTION_MAX = 3;
export const AUTH_FAILURES_PER_ADDRESS_MAX = 30;
/** Addresses whose wrong tokens are remembered: bounds the memory of the limiter itself. */
export const AUTH_ADDRESSES_MAX = 4096;
/** Frames of one connection within a minute that are none of this protocol, before it is closed. */
export const PROTOCOL_STRIKES_MAX = 100;
/** Sends of one connection within a minute that were refused as BUSY, before it is closed. */
export const BUSY_REFUSALS_MAX = 20_000;
/** Addresses whose HTTP sends are counted against a rate limit: bounds the memory of the limiter itself. */
export const RATE_ADDRESSES_MAX = 4096;

/** HTTP requests under way at once. */
export const HTTP_REQUESTS_MAX = 4096;
/** Milliseconds until a shard must have answered the acceptor. */
export const SHARD_ANSWER_MS_MAX = 30_000;
/** Bytes of requests that wait for space in a shard's ring before acks are refused as BUSY. */
export const RING_BACKLOG_BYTES_MAX: number = 4 * MIB;
/** Bytes of cold extents being read for subscriptions and fetches, of all connections together. */
export const COLD_READ_BYTES_MAX: number = 16 * MIB;
/** Cold extents read ahead for one subscription. */
export const COLD_READS_PER_SUBSCRIPTION_MAX = 256;
/** Deliveries of one subscription that wait to be read from files, or behind such: above it shards are stopped. */
export const COLD_QUEUE_MAX = 4096;
/** Milliseconds that the broker keeps a group's member for HTTP pollers after their last poll. */
export const HTTP_MEMBER_IDLE_MS = 60_000;

/** Characters of an SQL filter, values nested in it, and what it may cost: about as many comparisons for each message. */
export const SQL_FILTER_LENGTH_MAX = 8192;
export const SQL_FILTER_DEPTH_MAX = 64;
export const SQL_FILTER_COST_MAX = 1024;
/** What a search within a text costs: properties may be as long as all of them together. */
export const SQL_FILTER_SEARCH_COST = 32;
/** Compiled filters that are kept: each takes some multiple of its length. */
export const COMPILED_FILTERS_MAX = 256;

/** Pairs of group and topic whose rate of consumption is counted: some 400 bytes each. */
export const RATES_MAX = 10_000;

/** Bytes of one frame of the RocketMQ remoting protocol, its length field included. @source RocketMQ NettyDecoder */
export const REMOTING_FRAME_BYTES_MAX: number = 16 * MIB;
/** Bytes of a remoting header: message properties in JSON, every character of them escaped, and the rest. */
export const REMOTING_HEADER_BYTES_MAX: number = 256 * KIB;
/** Bytes of the header of an answer to a client: the ids of all messages of the largest batch. */
export const REMOTING_ANSWER_HEADER_BYTES_MAX: number = 4 * MIB;
/**
 * Requests that shards have not answered above which no more pulls wait for messages: some 1.5 KiB each, and those of a client
 * that has gone are there until their time is over.
 */
export const LONG_POLLS_MAX = 500_000;
/** Fields of one remoting command; requests of clients have some twenty. */
export const REMOTING_FIELDS_MAX = 128;
/** Values nested in a JSON body of the remoting protocol, and values in all of it. */
export const REMOTING_BODY_DEPTH_MAX = 16;
export const REMOTING_BODY_VALUES_MAX = 2_000_000;
/** Bytes of all frames of one listener that are not whole yet: a stranger announces much and sends little. */
export const TCP_PARTIAL_BYTES_MAX: number = 64 * MIB;
/** Bytes waiting for one TCP peer above which nothing more is read from it. */
export const TCP_SEND_BUFFER_BYTES_MAX: number = 4 * MIB;

/** Milliseconds without a heartbeat after which a client of RocketMQ is forgotten. @source RocketMQ ConsumerManager */
export const CLIENT_SILENCE_MS_MAX = 120_000;
/** Clients in consumer and producer groups, each counted in every group: some 500 bytes each. */
export const CLIENTS_MAX = 100_000;
/** Characters of all topics and expressions that clients say they read: one heartbeat may have a quarter of that. */
export const CLIENT_TERMS_CHARACTERS_MAX: number = 64 * MIB;
/** Producer groups that heartbeats name. */
export const PRODUCER_GROUPS_MAX = 10_000;
/** Groups, and topics of one group, in a heartbeat. */
export const HEARTBEAT_GROUPS_MAX = 1024;
export const HEARTBEAT_TOPICS_MAX = 1024;
/** Queues in a request to lock: a client names all that it has at one broker at once. */
export const LOCK_QUEUES_MAX: number = HEARTBEAT_TOPICS_MAX * TOPIC_QUEUES_MAX;
/** Milliseconds that a queue lock holds after it was taken or renewed. @source RocketMQ RebalanceLockManager */
export const QUEUE_LOCK_MS = 60_000;
/** Characters of a client id, a group or an expression in a heartbeat. */
export const CLIENT_ID_MAX = 255;
export const EXPRESSION_MAX = 16_384;

/** Characters of a name or address that a broker registers; RocketMQ's longest topic name is 255. */
export const REGISTERED_NAME_MAX = 255;
/** Topics, brokers and filter servers that a NameServer knows: some hundred bytes each. */
export const NAMESRV_TOPICS_MAX = 100_000;
export const NAMESRV_QUEUE_DATA_MAX = 500_000;
export const NAMESRV_BROKERS_MAX = 4096;
export const FILTER_SERVERS_MAX = 64;
/** Broker names whose epoch a NameServer remembers after they are gone; the longest unheard is forgotten first. */
export const NAMESRV_EPOCHS_MAX = 10_000;
/** Brokers refused because their place is taken that a NameServer remembers; more tell an operator nothing more. */
export const NAMESRV_REFUSED_MAX = 64;
/** Queues of one topic on one broker, as registrations may say. */
export const REGISTERED_QUEUES_MAX = 65_536;
/** Entries of the KV configuration, and bytes of one value. */
export const KV_ENTRIES_MAX = 10_000;
export const KV_VALUE_LENGTH_MAX: number = 64 * KIB;

/** Bytes to which every batch and ring record is aligned. */
export const ALIGNMENT = 8;

if (BATCH_BYTES_MAX < BODY_BYTES_MAX + KEY_BYTES_MAX + TAG_BYTES_MAX + PROPERTIES_BYTES_MAX + KIB) {
  throw new Error('limits: a batch must hold the largest message');
}
if (BATCH_BYTES_MAX % ALIGNMENT !== 0) throw new Error('limits: a batch is aligned');
if (FRAME_BYTES_MAX <= BATCH_BYTES_MAX) throw new Error('limits: a frame holds a batch');
if (REMOTING_HEADER_BYTES_MAX < 6 * PROPERTIES_BYTES_MAX) {
  throw new Error('limits: a remoting header holds the largest properties, escaped');
}

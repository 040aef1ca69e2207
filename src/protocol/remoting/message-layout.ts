/**
 * Bytes of one message as RocketMQ stores it and sends it to consumers: pulled, looked up, or asked about. Big-endian.
 *
 * ```
 *  0 i32 bytes in all    4 i32 magic       8 i32 CRC of the body   12 i32 queueId       16 i32 flag
 * 20 i64 queueOffset    28 i64 place      36 i32 sysFlag           40 i64 born at ms
 * 48 born host: 4 or 16 bytes, i32 port
 *  + i64 stored at ms, store host: 4 or 16 bytes, i32 port, i32 reconsumeTimes, i64 place of the half message
 *  + i32 length and body, u8 (version 2: i16) length and topic, i16 length and properties
 * ```
 *
 * Browser-safe.
 *
 * @source RocketMQ MessageDecoder, MessageExtEncoder
 */

export const MESSAGE_BYTES = 0;
export const MESSAGE_MAGIC = 4;
export const MESSAGE_BODY_CRC = 8;
export const MESSAGE_QUEUE_ID = 12;
export const MESSAGE_FLAG = 16;
export const MESSAGE_QUEUE_OFFSET = 20;
export const MESSAGE_PLACE = 28;
export const MESSAGE_SYS_FLAG = 36;
export const MESSAGE_BORN_AT_MS = 40;
export const MESSAGE_BORN_HOST = 48;
/** Bytes from the born host to the body, without the addresses of both hosts. */
export const MESSAGE_BETWEEN_BYTES: number = 4 + 8 + 4 + 4 + 8;

export const MAGIC_V1: number = 0xdaa320a7 | 0;
/** For topics longer than 127 bytes, which only clients from 5.0 on can read. */
export const MAGIC_V2: number = 0xdaa320ab | 0;
/** Bytes of a topic up to which every client can read the message. */
export const TOPIC_BYTES_V1_MAX = 127;
/** Bytes of the properties: what their signed length can say. */
export const MESSAGE_PROPERTIES_BYTES_MAX = 32_767;
/** Clients compare the checksum without its highest bit. */
export const BODY_CRC_MASK = 0x7fff_ffff;

if (MESSAGE_BORN_HOST !== MESSAGE_BORN_AT_MS + 8) throw new Error('message-layout: born host');

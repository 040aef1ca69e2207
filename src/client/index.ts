/** The client's public door for browsers, and for every platform that has a `WebSocket`. */
export { connect } from './connect-platform.ts';
export * from './exports.ts';

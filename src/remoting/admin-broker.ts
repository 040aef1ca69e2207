/**
 * The broker itself, for tools: GET_BROKER_RUNTIME_INFO, GET_BROKER_CONFIG, UPDATE_BROKER_CONFIG, VIEW_BROKER_STATS_DATA,
 * CLEAN_UNUSED_TOPIC, CLEAN_EXPIRED_CONSUMEQUEUE.
 *
 * @source RocketMQ AdminBrokerProcessor, StoreStatsService, DefaultMQAdminExt
 */
import type { RateWindow } from '../acceptor/rate-window.ts';
import { SluiceError } from '../base/errors.ts';
import { REGISTERED_NAME_MAX } from '../base/limits.ts';
import { type Amount, encodeStatsData } from '../protocol/remoting/admin-bodies-codec.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import {
  decodeProperties,
  encodeKvTable,
  encodeProperties,
} from '../protocol/remoting/simple-bodies-codec.ts';
import { dataVersionText } from '../protocol/remoting/topic-config-codec.ts';
import type { ShardStatus } from '../protocol/shard-control.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS, storedWithin, topicEnds } from './admin-offsets.ts';
import type { HandlerTable, RemotingContext, RemotingHandler } from './remoting-context.ts';
import { CodedError } from './remoting-refusal.ts';
import type { RemotingRequest } from './remoting-request.ts';

/** Characters of a name of statistics, and of topic and group with a sign between. */
const STATS_KEY_MAX: number = 2 * REGISTERED_NAME_MAX + 1;

async function runtimeInfo(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const { core } = context;
  const running = core.links.all.filter((link) => link.isRunning);
  const shards = await core.links.controlAll<ShardStatus>(running, { op: 'shardStatus' });
  const total = (count: (shard: ShardStatus) => number): number =>
    shards.reduce((sum, shard) => sum + count(shard), 0);
  const facts = context.facts;
  const ratio = facts.diskRatio();
  const { stored, handedOut } = core.rates;
  const entries: readonly (readonly [string, string | number])[] = [
    ['brokerVersionDesc', facts.version],
    ['brokerActive', String(running.length === core.links.all.length)],
    ['bootTimestamp', facts.startedAtMs],
    ['runtime', runtimeText(core.clock.epochMs() - facts.startedAtMs)],
    ['putTps', ratesText(stored)],
    ['getTransferredTps', ratesText(handedOut)],
    // As 4.9 spells it.
    ['getTransferedTps', ratesText(handedOut)],
    ['getTotalTps', ratesText(handedOut)],
    ['putMessageTimesTotal', stored.total],
    ...dayTotals('msgPutTotal', stored),
    ...dayTotals('msgGetTotal', handedOut),
    ['sendThreadPoolQueueSize', core.pending.count],
    ['pullThreadPoolQueueSize', 0],
    ['sendThreadPoolQueueHeadWaitTimeMills', 0],
    ['pullThreadPoolQueueHeadWaitTimeMills', 0],
    ['pageCacheLockTimeMills', 0],
    ['remainHowManyDataToFlush', `${total((shard) => shard.appended - shard.flushed)} B`],
    ['commitLogMinOffset', total((shard) => shard.logStart)],
    ['commitLogMaxOffset', total((shard) => shard.appended)],
    ...(ratio === undefined ? [] : ([['commitLogDiskRatio', ratio]] as const)),
  ];
  request.answer({
    body: encodeKvTable(new Map(entries.map(([name, value]) => [name, String(value)]))),
  });
}

/** The last ten seconds, the last minute, the last ten minutes. */
function ratesText({ tenSeconds, minute, tenMinutes }: RateWindow): string {
  return [tenSeconds, minute, tenMinutes].map(({ perSecond }) => perSecond.toFixed(2)).join(' ');
}

/** Tools take the difference of two totals for a day. Ours of today is that of the last 24 hours; the day before is not kept. */
function dayTotals(
  name: string,
  { total, day }: RateWindow,
): readonly (readonly [string, number])[] {
  const before = total - day.count;
  return [
    [`${name}YesterdayMorning`, before],
    [`${name}TodayMorning`, before],
    [`${name}TodayNow`, total],
  ];
}

function runtimeText(runningMs: number): string {
  const seconds = Math.floor(runningMs / 1000);
  const parts = [86_400, 3600, 60, 1].map((unit, index, units) => {
    const above = units[index - 1];
    return Math.floor((above === undefined ? seconds : seconds % above) / unit);
  });
  const [days, hours, minutes, rest] = parts;
  return `[ ${days} days, ${hours} hours, ${minutes} minutes, ${rest} seconds ]`;
}

function config(context: RemotingContext, request: RemotingRequest): void {
  const facts = context.facts;
  request.answer({
    fields: new Map([['version', dataVersionText(facts.dataVersion())]]),
    body: encodeProperties(new Map(facts.settings())),
  });
}

/** Settings hold from start to end: who asks for a change is told where to make it. */
function changeConfig({ facts }: RemotingContext, request: RemotingRequest): void {
  const names = [...(decodeProperties(request.body)?.keys() ?? [])];
  if (names.length === 0)
    throw new SluiceError('INVALID_ARGUMENT', 'the body names no setting', {
      hint: 'It has key=value lines.',
    });
  const refusal = facts.changeRefusal(names);
  throw refusal.code === 'UNSUPPORTED'
    ? new CodedError(RESPONSE_CODES.NO_PERMISSION, refusal)
    : refusal;
}

/**
 * There is nothing to clean by hand: what belongs to a topic that was deleted goes with its segments, and the index of a queue
 * begins where its log does.
 */
function nothingToClean(what: string): RemotingHandler {
  return (request) =>
    request.answer({ remark: `${what}: retention does this by itself, nothing was left to do` });
}

async function stats(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const fields = request.checkedFields();
  const name = fields.text('statsName', REGISTERED_NAME_MAX);
  const key = fields.text('statsKey', STATS_KEY_MAX);
  if (name === 'TOPIC_PUT_NUMS') {
    const topic = context.core.topics.existing(key);
    const ends = await topicEnds(context, topic);
    const within = (spanMs: number): Promise<Amount> => storedWithin(context, topic, ends, spanMs);
    const spans = [within(DAY_MS), within(HOUR_MS), within(MINUTE_MS)] as const;
    request.answer({ body: encodeStatsData(...(await Promise.all(spans))) });
    return;
  }
  const at = key.lastIndexOf('@');
  const window =
    name === 'GROUP_GET_NUMS' && at > 0
      ? context.core.rates.of(key.slice(at + 1), key.slice(0, at))
      : undefined;
  if (window === undefined) {
    const remark = `The stats <${name}> <${key}> not exist`;
    request.answer({ code: RESPONSE_CODES.SYSTEM_ERROR, remark });
    return;
  }
  request.answer({ body: encodeStatsData(window.day, window.hour, window.minute) });
}

/** What a broker says of itself. */
export function adminBrokerHandlers(context: RemotingContext): HandlerTable {
  return [
    [REQUEST_CODES.GET_BROKER_RUNTIME_INFO, (request) => runtimeInfo(context, request)],
    [REQUEST_CODES.GET_BROKER_CONFIG, (request) => config(context, request)],
    [REQUEST_CODES.UPDATE_BROKER_CONFIG, (request) => changeConfig(context, request)],
    [REQUEST_CODES.CLEAN_UNUSED_TOPIC, nothingToClean('topics that are not used')],
    [REQUEST_CODES.CLEAN_EXPIRED_CONSUMEQUEUE, nothingToClean('expired consume queues')],
    [REQUEST_CODES.VIEW_BROKER_STATS_DATA, (request) => stats(context, request)],
  ];
}

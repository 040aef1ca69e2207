import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkHistory, HistoryChecker } from '../../src/testing/history-checker.ts';
import { historyEventFault, parseHistory } from '../../src/testing/history-events.ts';
import { HistoryLog, HistoryRecorder } from '../../src/testing/history-recorder.ts';
import { STORY_RUN, story } from '../../src/testing/history-story.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';

test('times are microseconds of the clock, and rise while it stands still', () => {
  const clock = new SimClock();
  const log = new HistoryLog();
  const record = new HistoryRecorder(clock, log);
  record.phase('run');
  record.phase('heal');
  clock.advance(2.5);
  record.phase('drain', 'd');
  clock.advance(0.0005);
  record.phase('end');
  clock.jumpEpoch(-1000);
  record.sendInfo('x');
  const times = log.events.map((event) => event.t);
  assert.deepEqual(times, [1, 2, 2500, 2501, 2502]);
});

test('a history survives its way through NDJSON', () => {
  const log = new HistoryLog();
  for (const event of story()) log.add(event);
  const text = log.toText();
  assert.equal(text.split('\n').length, log.events.length + 1);
  const events = parseHistory(text);
  assert.deepEqual(events, log.events);
  assert.equal(checkHistory(events, { requirements: STORY_RUN }).verdict, 'valid');
});

test('everything the recorder writes is a valid event', () => {
  const log = new HistoryLog();
  const record = new HistoryRecorder(new SimClock(), log);
  const asked = { c: 'c', g: 'g', topic: 't', q: 0 };
  const slot = { ...asked, off: 1 };
  record.sendInvoke({ id: 'a', p: 'p', topic: 't' });
  record.sendOk('a', {});
  record.sendFail('b');
  record.deliver({ ...slot, id: 'a', attempt: 1, via: 'pop' });
  record.ack('info', slot);
  record.commit('info', slot);
  record.committedInvoke(asked);
  record.committedOk(asked, undefined);
  record.committedOk(asked, 4);
  record.reset({ g: 'g', topic: 't', q: 0, off: 0 });
  record.session('c', 'g', []);
  record.fault('kill', 'n', true);
  record.phase('drain');
  for (const event of log.events) assert.equal(historyEventFault(event), undefined);
  assert.deepEqual(parseHistory(log.toText()), log.events);
});

test('a recorder can feed a checker directly', () => {
  const checker = new HistoryChecker({ requirements: STORY_RUN });
  new HistoryRecorder(new SimClock(), checker).phase('run');
  assert.equal(checker.finish().totals.events, 1);
});

test('a line that is no event is refused with its number', () => {
  const good = '{"t":1,"f":"phase","name":"run"}';
  const bad: readonly (readonly [line: string, fault: RegExp])[] = [
    ['{"t":1,"f":"pha', /line 2: not JSON/],
    ['null', /line 2: not an object/],
    ['[]', /line 2: the event "undefined" is not known/],
    ['{"t":1,"f":"toString"}', /the event "toString" is not known/],
    ['{"t":1,"f":"send","type":"maybe","id":"a"}', /the event "send maybe" is not known/],
    ['{"t":"1","f":"phase","name":"run"}', /the field t is not a time/],
    ['{"t":-1,"f":"phase","name":"run"}', /the field t is not a time/],
    ['{"t":1,"f":"phase","name":"pause"}', /the field name of phase is "pause"/],
    ['{"t":1,"f":"send","type":"info"}', /the field id of send info is undefined/],
    ['{"t":1,"f":"send","type":"ok","id":"a","q":0,"off":-1}', /the field off of send ok is -1/],
    ['{"t":1,"f":"send","type":"ok","id":"a","q":0.5,"off":1}', /the field q of send ok is 0.5/],
  ];
  for (const [line, fault] of bad) {
    assert.throws(() => parseHistory(`${good}\n${line}\n`), fault, line);
  }
  assert.equal(parseHistory(`${good}\n\n${good}`).length, 2);
  assert.deepEqual(parseHistory(''), []);
});

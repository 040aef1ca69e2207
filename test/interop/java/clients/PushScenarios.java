import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Push consumers: shares, order, filters, where they begin. */
final class PushScenarios {
  private PushScenarios() {}

  static void addTo(Map<String, Suite.Scenario> known) {
    known.put("push-concurrently", PushScenarios::concurrently);
    known.put("push-orderly", PushScenarios::orderly);
    known.put("push-broadcast", PushScenarios::broadcast);
    known.put("push-tags", PushScenarios::tags);
    known.put("push-sql92", PushScenarios::sql92);
    known.put("push-from-where", PushScenarios::fromWhere);
    known.put("push-resume", PushScenarios::resume);
    known.put("push-rebalance", PushScenarios::rebalance);
  }

  private static void sendAll(Lab lab, String topic, String prefix, int count) throws Exception {
    DefaultMQProducer producer = lab.start(new DefaultMQProducer(lab.named("senders-" + prefix)));
    for (int index = 0; index < count; index += 1) {
      String body = String.format("%s-%04d", prefix, index);
      Lab.sent(producer.send(Lab.message(topic, "t", "k" + index, body)));
    }
  }

  private static void checkOnce(Inbox inbox, String prefix, int count) {
    Map<String, Integer> counts = inbox.countsByBody();
    for (int index = 0; index < count; index += 1)
      Check.same(prefix + " " + index, 1, counts.remove(String.format("%s-%04d", prefix, index)));
    Check.same("others", Map.of(), counts);
  }

  private static void concurrently(Lab lab) throws Exception {
    String topic = lab.topic("topic", 8);
    Inbox inbox = new Inbox();
    List<DefaultMQPushConsumer> consumers = new ArrayList<>();
    for (String who : List.of("a", "b")) {
      DefaultMQPushConsumer consumer = lab.consumer("group", who);
      Lab.listen(consumer, topic, "*", inbox, who);
      consumers.add(consumer);
    }
    Lab.until(
        "each has half of the queues",
        () -> consumers.stream().allMatch((one) -> Lab.queuesOf(one, topic) == 4));
    sendAll(lab, topic, "shared", 400);
    inbox.awaitCount(400, Lab.WAIT_MS);
    checkOnce(inbox, "shared", 400);
    Map<Integer, Set<String>> who = new HashMap<>();
    for (Inbox.Got got : inbox.all())
      who.computeIfAbsent(got.message().getQueueId(), (id) -> new HashSet<>()).add(got.consumer());
    Check.same("queues", 8, who.size());
    for (Set<String> consumersOfQueue : who.values())
      Check.same("consumers of a queue", 1, consumersOfQueue.size());
    lab.facts.put("messages", inbox.size());
  }

  /** Two consumers, queues locked: order by queue, one at a time, also where one is put off for a moment. */
  private static void orderly(Lab lab) throws Exception {
    String topic = lab.topic("topic", 4);
    Inbox inbox = new Inbox();
    Map<Integer, AtomicInteger> inside = new ConcurrentHashMap<>();
    List<String> faults = new ArrayList<>();
    Set<String> putOff = ConcurrentHashMap.newKeySet();
    List<DefaultMQPushConsumer> consumers = new ArrayList<>();
    for (String who : List.of("a", "b")) {
      DefaultMQPushConsumer consumer = lab.consumer("group", who);
      consumer.subscribe(topic, "*");
      consumer.setSuspendCurrentQueueTimeMillis(100);
      consumer.registerMessageListener(
          (MessageListenerOrderly)
              (messages, context) -> {
                int queueId = context.getMessageQueue().getQueueId();
                AtomicInteger here = inside.computeIfAbsent(queueId, (id) -> new AtomicInteger());
                if (here.incrementAndGet() != 1) {
                  synchronized (faults) {
                    faults.add("two at a time in queue " + queueId);
                  }
                }
                try {
                  for (MessageExt message : messages) {
                    String body = Lab.text(message);
                    if (body.endsWith("-05") && putOff.add(body))
                      return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
                    inbox.add(message, who);
                  }
                  return ConsumeOrderlyStatus.SUCCESS;
                } finally {
                  here.decrementAndGet();
                }
              });
      consumer.start();
      consumers.add(consumer);
    }
    Lab.until(
        "each has half of the queues",
        () -> consumers.stream().allMatch((one) -> Lab.queuesOf(one, topic) == 2));
    DefaultMQProducer producer = lab.producer();
    int orders = 8;
    int steps = 20;
    for (int step = 0; step < steps; step += 1) {
      for (int order = 0; order < orders; order += 1) {
        Message message =
            Lab.message(topic, "t", "o" + order, String.format("order-%d-%02d", order, step));
        Lab.sent(
            producer.send(
                message,
                (queues, one, argument) -> queues.get((Integer) argument % queues.size()),
                order));
      }
    }
    inbox.awaitCount(orders * steps, Lab.WAIT_MS);
    Check.same("faults", List.of(), faults);
    Check.same("deliveries", orders * steps, inbox.size());
    Map<Integer, Long> next = new HashMap<>();
    for (Inbox.Got got : inbox.all()) {
      int queueId = got.message().getQueueId();
      long expected = next.getOrDefault(queueId, 0L);
      Check.same("offset in queue " + queueId, expected, got.message().getQueueOffset());
      next.put(queueId, expected + 1);
    }
    Check.same("put off", orders, putOff.size());
    lab.facts.put("messages", inbox.size());
  }

  private static void broadcast(Lab lab) throws Exception {
    String topic = lab.topic("topic", 4);
    Map<String, Inbox> inboxes = new HashMap<>();
    for (String who : List.of("a", "b")) {
      Inbox inbox = new Inbox();
      inboxes.put(who, inbox);
      DefaultMQPushConsumer consumer = lab.consumer("group", who);
      Lab.setMessageModel(consumer, "BROADCASTING");
      Lab.listen(consumer, topic, "*", inbox, who);
      Lab.untilQueues(consumer, topic, 4);
    }
    sendAll(lab, topic, "all", 80);
    for (Inbox inbox : inboxes.values()) {
      inbox.awaitCount(80, Lab.WAIT_MS);
      checkOnce(inbox, "all", 80);
    }
    lab.facts.put("messages", 160);
  }

  private static void tags(Lab lab) throws Exception {
    String topic = lab.topic("topic", 2);
    DefaultMQProducer producer = lab.producer();
    Inbox inbox = new Inbox();
    DefaultMQPushConsumer consumer = lab.consumer("group", "a");
    Lab.listen(consumer, topic, "red || green", inbox, "a");
    Lab.untilQueues(consumer, topic, 2);
    List<String> expected = new ArrayList<>();
    String[] tags = {"red", "green", "blue", "re", null};
    for (int index = 0; index < 100; index += 1) {
      String tag = tags[index % 5];
      String body = String.format("tagged-%04d", index);
      if (index % 5 < 2) expected.add(body);
      Lab.sent(producer.send(Lab.message(topic, tag, "k", body)));
    }
    Lab.sent(producer.send(Lab.message(topic, "red", "k", "zz-last")));
    expected.add("zz-last");
    inbox.awaitCount(41, Lab.WAIT_MS);
    List<String> got = new ArrayList<>();
    for (Inbox.Got one : inbox.all()) got.add(one.body());
    Check.same("those of the two tags", expected, Lab.sorted(got));
    lab.facts.put("messages", got.size());
  }

  private static void sql92(Lab lab) throws Exception {
    String topic = lab.topic("topic", 2);
    DefaultMQProducer producer = lab.producer();
    Inbox inbox = new Inbox();
    DefaultMQPushConsumer consumer = lab.consumer("group", "a");
    String sql =
        "(price BETWEEN 10 AND 20 AND region IN ('eu', 'us')) OR (TAGS = 'vip' AND note IS NOT NULL)"
            + " OR (flag = TRUE AND price <> 30)";
    consumer.subscribe(topic, MessageSelector.bySql(sql));
    consumer.registerMessageListener(Lab.into(inbox, "a"));
    consumer.start();
    Lab.untilQueues(consumer, topic, 2);
    List<String> expected = new ArrayList<>();
    String[] regions = {"eu", "us", "cn"};
    for (int index = 0; index < 120; index += 1) {
      String body = String.format("sql-%04d", index);
      boolean isVip = index % 7 == 0;
      boolean isNoted = index % 2 == 0;
      boolean isFlagged = index % 11 == 0;
      int price = index % 40;
      String region = regions[index % 3];
      Message message = Lab.message(topic, isVip ? "vip" : "plain", "k", body);
      message.putUserProperty("price", String.valueOf(price));
      message.putUserProperty("region", region);
      if (isNoted) message.putUserProperty("note", "n");
      if (isFlagged) message.putUserProperty("flag", "true");
      boolean matches =
          (price >= 10 && price <= 20 && !region.equals("cn"))
              || (isVip && isNoted)
              || (isFlagged && price != 30);
      if (matches) expected.add(body);
      Lab.sent(producer.send(message));
    }
    inbox.awaitCount(expected.size(), Lab.WAIT_MS);
    Message last = Lab.message(topic, "vip", "k", "zz-last");
    last.putUserProperty("note", "n");
    Lab.sent(producer.send(last));
    expected.add("zz-last");
    inbox.awaitCount(expected.size(), Lab.WAIT_MS);
    List<String> got = new ArrayList<>();
    for (Inbox.Got one : inbox.all()) got.add(one.body());
    Check.same("those that match", expected, Lab.sorted(got));
    DefaultMQPushConsumer wrong = lab.consumer("wrong", "b");
    wrong.subscribe(topic, MessageSelector.bySql("price > > 3"));
    wrong.registerMessageListener(Lab.into(inbox, "b"));
    try {
      wrong.start();
      throw new AssertionError("an expression that is none was accepted");
    } catch (org.apache.rocketmq.client.exception.MQClientException expectedRefusal) {
      lab.facts.put("refusal", String.valueOf(expectedRefusal.getErrorMessage()));
    }
    lab.facts.put("messages", got.size());
  }

  /** New groups on a young topic begin at its start; after an offset was stored they go on there, wherever they say. */
  private static void fromWhere(Lab lab) throws Exception {
    String topic = lab.topic("topic", 2);
    sendAll(lab, topic, "old", 40);
    for (ConsumeFromWhere where :
        List.of(
            ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET,
            ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET,
            ConsumeFromWhere.CONSUME_FROM_TIMESTAMP)) {
      Inbox inbox = new Inbox();
      DefaultMQPushConsumer consumer = lab.consumer("group-" + where.ordinal(), "a");
      consumer.setConsumeFromWhere(where);
      Lab.listen(consumer, topic, "*", inbox, "a");
      inbox.awaitCount(40, Lab.WAIT_MS);
      checkOnce(inbox, "old", 40);
      Lab.untilKnown(consumer, topic, 40);
      consumer.shutdown();
      lab.untilStored(topic, "group-" + where.ordinal(), 40);
      lab.facts.put(where.name(), inbox.size());
    }
    sendAll(lab, topic, "new", 20);
    Inbox inbox = new Inbox();
    DefaultMQPushConsumer again = lab.consumer("group-0", "b");
    Lab.listen(again, topic, "*", inbox, "b");
    inbox.awaitCount(20, Lab.WAIT_MS);
    checkOnce(inbox, "new", 20);
  }

  /** A consumer that left in order has told where it was. */
  private static void resume(Lab lab) throws Exception {
    String topic = lab.topic("topic", 4);
    for (int round = 0; round < 3; round += 1) {
      Inbox inbox = new Inbox();
      DefaultMQPushConsumer consumer = lab.consumer("group", "r" + round);
      consumer.subscribe(topic, "*");
      consumer.registerMessageListener(Lab.into(inbox, "r" + round));
      sendAll(lab, topic, "round" + round, 60);
      consumer.start();
      inbox.awaitCount(60, Lab.WAIT_MS);
      checkOnce(inbox, "round" + round, 60);
      Lab.untilKnown(consumer, topic, 60L * (round + 1));
      consumer.shutdown();
      lab.untilStored(topic, "group", 60L * (round + 1));
    }
    lab.facts.put("messages", 180);
  }

  /** Queues go from one to two and back while messages flow; nothing is left out. */
  private static void rebalance(Lab lab) throws Exception {
    String topic = lab.topic("topic", 6);
    Inbox inbox = new Inbox();
    DefaultMQPushConsumer first = lab.consumer("group", "a");
    Lab.listen(first, topic, "*", inbox, "a");
    Lab.untilQueues(first, topic, 6);
    sendAll(lab, topic, "one", 60);
    DefaultMQPushConsumer second = lab.consumer("group", "b");
    Lab.listen(second, topic, "*", inbox, "b");
    Lab.until(
        "shared queues",
        () -> Lab.queuesOf(first, topic) == 3 && Lab.queuesOf(second, topic) == 3);
    sendAll(lab, topic, "two", 60);
    Map<String, Integer> counts = new HashMap<>();
    inbox.await("both rounds", Lab.WAIT_MS, (list) -> inbox.countsByBody().size() >= 120);
    second.shutdown();
    Lab.untilQueues(first, topic, 6);
    sendAll(lab, topic, "three", 60);
    inbox.await("all", Lab.WAIT_MS, (list) -> inbox.countsByBody().size() >= 180);
    counts.putAll(inbox.countsByBody());
    Check.same("bodies", 180, counts.size());
    for (Inbox.Got got : inbox.all()) {
      if (got.body().startsWith("three")) Check.same("who", "a", got.consumer());
    }
    lab.facts.put("messages", counts.size());
    lab.facts.put("deliveries", inbox.size());
  }
}

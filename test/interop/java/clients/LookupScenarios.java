import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.QueryResult;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.MessageExt;

/** Messages found by id and key, and the trace that clients write about them. */
final class LookupScenarios {
  private static final List<String> KINDS = List.of("Pub", "SubBefore", "SubAfter");

  private LookupScenarios() {}

  static void addTo(Map<String, Suite.Scenario> known) {
    known.put("lookup", LookupScenarios::lookup);
    known.put("trace", LookupScenarios::trace);
  }

  private static void lookup(Lab lab) throws Exception {
    String topic = lab.topic("topic", 2);
    DefaultMQProducer producer = lab.producer();
    long startMs = System.currentTimeMillis() - 60_000;
    List<SendResult> results = new ArrayList<>();
    for (int index = 0; index < 20; index += 1) {
      String keys = "own-" + index + " shared-" + index % 2;
      results.add(Lab.sent(producer.send(Lab.message(topic, "t", keys, "lookup-" + index))));
    }
    for (int index = 0; index < 20; index += 3) {
      SendResult result = results.get(index);
      MessageExt byOffset = producer.viewMessage(topic, result.getOffsetMsgId());
      Check.same("by the broker's id", "lookup-" + index, Lab.text(byOffset));
      Check.same("its topic", topic, byOffset.getTopic());
      Check.same("its queue offset", result.getQueueOffset(), byOffset.getQueueOffset());
    }
    for (int index = 0; index < 20; index += 5) {
      List<String> expected = List.of("lookup-" + index);
      String key = "own-" + index;
      // The index is written behind the message in the real thing.
      Lab.until(
          key + " is found", () -> expected.equals(queried(producer, topic, key, startMs)));
      MessageExt byUnique = producer.viewMessage(topic, results.get(index).getMsgId());
      Check.same("by unique key", "lookup-" + index, Lab.text(byUnique));
      Check.same("its id", results.get(index).getMsgId(), byUnique.getMsgId());
    }
    Lab.until(
        "all of a shared key are found",
        () -> new HashSet<>(queried(producer, topic, "shared-1", startMs)).size() == 10);
    Check.same("by a key that none has", List.of(), queried(producer, topic, "none", startMs));
    lab.facts.put("messages", 20);
  }

  private static List<String> queried(
      DefaultMQProducer producer, String topic, String key, long startMs) throws Exception {
    try {
      QueryResult result =
          producer.queryMessage(topic, key, 32, startMs, System.currentTimeMillis() + 60_000);
      return Lab.texts(result.getMessageList());
    } catch (org.apache.rocketmq.client.exception.MQClientException none) {
      return List.of();
    }
  }

  /** With trace on, producer and consumer write what they did to a topic, keyed by the message's id. */
  private static void trace(Lab lab) throws Exception {
    String topic = lab.topic("topic", 1);
    String traceTopic = lab.topic("traces", 1);
    DefaultMQProducer producer =
        lab.start(new DefaultMQProducer(lab.named("producers"), true, traceTopic));
    Inbox inbox = new Inbox();
    DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(lab.named("group"), true, traceTopic);
    lab.prepare(consumer, "a");
    Lab.listen(consumer, topic, "*", inbox, "a");
    // What a client cannot write of its trace it drops: it counts from when the way there has been found by both.
    Lab.until("a first trace", () -> isTraced(lab, traceTopic, producer.send(Lab.message(topic, "t", "k", "first"))));
    Set<String> ids = new HashSet<>();
    for (int index = 0; index < 5; index += 1)
      ids.add(Lab.sent(producer.send(Lab.message(topic, "t", "k" + index, "traced-" + index))).getMsgId());
    inbox.await("all messages", Lab.WAIT_MS, (all) -> countTraced(all) >= 5);
    for (String kind : KINDS) {
      Lab.until(kind + " of all", () -> missing(lab, traceTopic, kind, ids).isEmpty());
      lab.facts.put(kind, ids.size());
    }
  }

  private static long countTraced(List<Inbox.Got> all) {
    return all.stream().filter((got) -> got.body().startsWith("traced-")).count();
  }

  /** Everything about one message, within a few seconds; it may be dropped, and then the next one is tried. */
  private static boolean isTraced(Lab lab, String traceTopic, SendResult result) throws Exception {
    long endMs = System.currentTimeMillis() + 3000;
    while (System.currentTimeMillis() < endMs) {
      boolean isThere = true;
      for (String kind : KINDS)
        isThere = isThere && missing(lab, traceTopic, kind, Set.of(result.getMsgId())).isEmpty();
      if (isThere) return true;
      Thread.sleep(100);
    }
    return false;
  }

  /** Those of the ids that have no record of this kind. */
  private static Set<String> missing(Lab lab, String traceTopic, String kind, Set<String> ids)
      throws Exception {
    Set<String> missing = new HashSet<>(ids);
    for (MessageExt message : Lab.flat(lab.read(traceTopic, 0))) {
      // A trace message may hold several records; 0x02 stands after each, 0x01 between its fields.
      for (String record : Lab.text(message).split("\u0002")) {
        if (!record.startsWith(kind + "\u0001")) continue;
        for (String id : ids) {
          if (!record.contains(id)) continue;
          missing.remove(id);
          Check.that("keyed by the id", (" " + message.getKeys() + " ").contains(" " + id + " "));
        }
      }
    }
    return missing;
  }
}

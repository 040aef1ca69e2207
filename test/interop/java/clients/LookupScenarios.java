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
    // The index is written behind the message in the real thing.
    Lab.until("indexed", () -> queried(producer, topic, "own-19", startMs).size() == 1);
    for (int index = 0; index < 20; index += 5) {
      Check.same(
          "by key", List.of("lookup-" + index), queried(producer, topic, "own-" + index, startMs));
      MessageExt byUnique = producer.viewMessage(topic, results.get(index).getMsgId());
      Check.same("by unique key", "lookup-" + index, Lab.text(byUnique));
      Check.same("its id", results.get(index).getMsgId(), byUnique.getMsgId());
    }
    Set<String> odd = new HashSet<>(queried(producer, topic, "shared-1", startMs));
    Check.same("by a shared key", 10, odd.size());
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
    Set<String> ids = new HashSet<>();
    for (int index = 0; index < 5; index += 1)
      ids.add(Lab.sent(producer.send(Lab.message(topic, "t", "k" + index, "traced-" + index))).getMsgId());
    inbox.awaitCount(5, Lab.WAIT_MS);
    for (String kind : List.of("Pub", "SubBefore", "SubAfter")) {
      Lab.until(
          kind + " of all",
          () -> {
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
            return missing.isEmpty();
          });
      lab.facts.put(kind, ids.size());
    }
  }
}

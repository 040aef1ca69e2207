import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;

/** Messages that a consumer does not want yet, or never. */
final class RetryScenarios {
  private RetryScenarios() {}

  static void addTo(Map<String, Suite.Scenario> known) {
    known.put("retry", RetryScenarios::retry);
    known.put("retry-dead-letter", RetryScenarios::deadLetter);
    known.put("retry-orderly-dead-letter", RetryScenarios::orderlyDeadLetter);
  }

  private static Message numbered(String topic, int index) {
    Message message = Lab.message(topic, "tag" + index, "key-" + index, "retry-" + index);
    message.putUserProperty("mine", "p" + index);
    return message;
  }

  private static void checkNumbered(String topic, MessageExt message) {
    int index = Integer.parseInt(Lab.text(message).substring("retry-".length()));
    Check.same("topic", topic, message.getTopic());
    Check.same("tag", "tag" + index, message.getTags());
    Check.same("keys", "key-" + index, message.getKeys());
    Check.same("property", "p" + index, message.getUserProperty("mine"));
  }

  /** Message n is taken at its n-th redelivery; one fails by an exception. */
  private static void retry(Lab lab) throws Exception {
    String topic = lab.topic("topic", 2);
    DefaultMQProducer producer = lab.producer();
    Inbox inbox = new Inbox();
    DefaultMQPushConsumer consumer = lab.consumer("group", "a");
    consumer.subscribe(topic, "*");
    consumer.registerMessageListener(
        (MessageListenerConcurrently)
            (messages, context) -> {
              for (MessageExt message : messages) {
                inbox.add(message, "a");
                int wanted = message.getKeys().charAt(4) - '0';
                if (message.getReconsumeTimes() >= wanted) continue;
                if (wanted == 1) throw new IllegalStateException("as a listener may");
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
              }
              return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
    consumer.start();
    Lab.untilQueues(consumer, topic, 2);
    for (int index = 0; index < 4; index += 1) Lab.sent(producer.send(numbered(topic, index)));
    inbox.await("all tries", Lab.WAIT_MS, (all) -> triesIn(all).size() == 1 + 2 + 3 + 4);
    Map<String, Integer> counts = inbox.countsByBody();
    boolean isDoubled = hasGivenUp(inbox.all());
    String id = null;
    List<Integer> times = new ArrayList<>();
    for (int index = 0; index < 4; index += 1) {
      if (!isDoubled) Check.same("deliveries of " + index, index + 1, counts.get("retry-" + index));
      for (int count = 0; count <= index; count += 1)
        Check.that("try " + count + " of " + index, triesIn(inbox.all()).contains("retry-" + index + "@" + count));
    }
    for (Inbox.Got got : inbox.all()) {
      checkNumbered(topic, got.message());
      if (!got.body().equals("retry-3")) continue;
      times.add(got.times());
      String now = got.message().getMsgId();
      Check.that("its id stayed: " + id + ", " + now, id == null || id.equals(now));
      id = now;
    }
    if (!isDoubled) Check.same("redeliveries counted", List.of(0, 1, 2, 3), times);
    lab.facts.put("deliveries", triesIn(inbox.all()).size());
    lab.facts.put("again", inbox.size() - triesIn(inbox.all()).size());
  }

  /** Never taken: 16 redeliveries, then the dead-letter topic of the group. */
  private static void deadLetter(Lab lab) throws Exception {
    String topic = lab.topic("topic", 1);
    DefaultMQProducer producer = lab.producer();
    Inbox inbox = new Inbox();
    DefaultMQPushConsumer consumer = lab.consumer("group", "a");
    consumer.subscribe(topic, "*");
    consumer.registerMessageListener(
        (MessageListenerConcurrently)
            (messages, context) -> {
              for (MessageExt message : messages) inbox.add(message, "a");
              return ConsumeConcurrentlyStatus.RECONSUME_LATER;
            });
    consumer.start();
    Lab.sent(producer.send(numbered(topic, 7)));
    inbox.await("all tries", Lab.WAIT_MS, (all) -> triesIn(all).size() == 17);
    List<Integer> expected = new ArrayList<>();
    List<Integer> times = new ArrayList<>();
    for (int count = 0; count <= 16; count += 1) expected.add(count);
    for (Inbox.Got got : inbox.all()) {
      times.add(got.times());
      checkNumbered(topic, got.message());
    }
    boolean isDoubled = hasGivenUp(inbox.all());
    Check.same("redeliveries", expected, isDoubled ? times.stream().distinct().sorted().toList() : times);
    checkDead(lab, topic, isDoubled);
    if (!isDoubled) Check.same("deliveries at the end", 17, inbox.size());
    lab.facts.put("deliveries", triesIn(inbox.all()).size());
    lab.facts.put("again", inbox.size() - triesIn(inbox.all()).size());
  }

  /** An ordered consumer retries in place, and gives up after the count that it was given. */
  private static void orderlyDeadLetter(Lab lab) throws Exception {
    String topic = lab.topic("topic", 1);
    DefaultMQProducer producer = lab.producer();
    Inbox inbox = new Inbox();
    DefaultMQPushConsumer consumer = lab.consumer("group", "a");
    consumer.setMaxReconsumeTimes(3);
    consumer.setSuspendCurrentQueueTimeMillis(50);
    consumer.subscribe(topic, "*");
    consumer.registerMessageListener(
        (MessageListenerOrderly)
            (messages, context) -> {
              for (MessageExt message : messages) {
                inbox.add(message, "a");
                if (Lab.text(message).equals("retry-7"))
                  return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
              }
              return ConsumeOrderlyStatus.SUCCESS;
            });
    consumer.start();
    for (int index = 6; index < 9; index += 1) Lab.sent(producer.send(numbered(topic, index)));
    inbox.await("the one after it", Lab.WAIT_MS, Inbox.endsWith("retry-8"));
    // It is delivered once more only where what the client sent to the dead letters was answered after its 3 s.
    boolean isDoubled = triesIn(inbox.all()).contains("retry-7@4");
    if (!isDoubled) Check.same("tries", 4, inbox.countsByBody().get("retry-7"));
    for (Inbox.Got got : inbox.all()) checkNumbered(topic, got.message());
    checkDead(lab, topic, isDoubled);
    long tries = inbox.all().stream().filter((got) -> got.times() <= 3).count();
    lab.facts.put("deliveries", tries);
  }

  /** Body and count of redeliveries of each that came, however often. */
  private static Set<String> triesIn(List<Inbox.Got> all) {
    Set<String> tries = new HashSet<>();
    for (Inbox.Got got : all) tries.add(got.body() + "@" + got.times());
    return tries;
  }

  /**
   * Has the client given up a message that it sent back? Where the answer is later than its 5 s, it sends a copy of its own, which tells
   * how often it may come; where that fails too, it takes the stored one again. Then there may be two of it.
   */
  private static boolean hasGivenUp(List<Inbox.Got> all) {
    Set<Long> places = new HashSet<>();
    for (Inbox.Got got : all) {
      if (got.message().getProperty(MessageConst.PROPERTY_MAX_RECONSUME_TIMES) != null) return true;
      if (!places.add(got.message().getCommitLogOffset())) return true;
    }
    return false;
  }

  /** @param isDoubled the client may have sent it twice */
  private static void checkDead(Lab lab, String topic, boolean isDoubled) throws Exception {
    String dead = "%DLQ%" + lab.named("group");
    List<MessageExt> found = new ArrayList<>();
    Lab.until(
        "a message in " + dead,
        () -> {
          try {
            found.addAll(Lab.flat(lab.read(dead, 1)));
            return true;
          } catch (org.apache.rocketmq.client.exception.MQClientException notYet) {
            return false;
          }
        });
    if (!isDoubled) Check.same("dead letters", 1, found.size());
    MessageExt message = found.get(0);
    Check.same("body", "retry-7", Lab.text(message));
    Check.same("tag", "tag7", message.getTags());
    Check.same("keys", "key-7", message.getKeys());
    Check.same("property", "p7", message.getUserProperty("mine"));
    Check.same("where it came from", topic, message.getProperty("RETRY_TOPIC"));
    lab.facts.put("dead", Set.copyOf(Lab.texts(found)).size());
  }
}

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.RequestTimeoutException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.RequestCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** What is not visible at once (delays, transactions) or answered by another client. */
final class LaterScenarios {
  private LaterScenarios() {}

  static void addTo(Map<String, Suite.Scenario> known) {
    known.put("delay-level", LaterScenarios::delayLevel);
    known.put("delay-timer", LaterScenarios::delayTimer);
    known.put("transaction", LaterScenarios::transaction);
    known.put("request-reply", LaterScenarios::requestReply);
  }

  /** The levels of the broker under test are seconds: 1s 1s 1s 2s 1s … (level 4 is the one that differs). */
  private static void delayLevel(Lab lab) throws Exception {
    Map<String, Long> dueMs = new HashMap<>();
    runDelayed(
        lab,
        dueMs,
        (message, index) -> {
          int level = index % 2 == 0 ? 1 : 4;
          message.setDelayTimeLevel(level);
          return level == 1 ? 1000L : 2000L;
        });
  }

  private static void delayTimer(Lab lab) throws Exception {
    Map<String, Long> dueMs = new HashMap<>();
    runDelayed(
        lab,
        dueMs,
        (message, index) -> {
          long delayMs = 1200 + index * 150L;
          if (index % 2 == 0) {
            setTimer(message, "setDelayTimeMs", "TIMER_DELAY_MS", delayMs);
          } else {
            long deliverAtMs = System.currentTimeMillis() + delayMs;
            setTimer(message, "setDeliverTimeMs", "TIMER_DELIVER_MS", deliverAtMs);
          }
          return delayMs;
        });
  }

  /** 5.x has a setter and keeps the property for itself, 4.9 knows neither. */
  private static void setTimer(Message message, String setter, String property, long value)
      throws Exception {
    for (var method : Message.class.getMethods()) {
      if (!method.getName().equals(setter)) continue;
      method.invoke(message, value);
      return;
    }
    message.putUserProperty(property, String.valueOf(value));
  }

  private interface Delaying {
    /** @return milliseconds that the message must wait */
    long set(Message message, int index) throws Exception;
  }

  private static void runDelayed(Lab lab, Map<String, Long> dueMs, Delaying delaying)
      throws Exception {
    String topic = lab.topic("topic", 2);
    DefaultMQProducer producer = lab.producer();
    Inbox inbox = new Inbox();
    DefaultMQPushConsumer consumer = lab.consumer("group", "a");
    Lab.listen(consumer, topic, "*", inbox, "a");
    Lab.untilQueues(consumer, topic, 2);
    int count = 12;
    for (int index = 0; index < count; index += 1) {
      String body = String.format("later-%02d", index);
      Message message = Lab.message(topic, "late", "key-" + index, body);
      message.putUserProperty("mine", "p" + index);
      long sentMs = System.currentTimeMillis();
      dueMs.put(body, sentMs + delaying.set(message, index));
      Lab.sent(producer.send(message));
    }
    Lab.sent(producer.send(Lab.message(topic, "now", "k", "at once")));
    inbox.awaitCount(count + 1, Lab.WAIT_MS);
    long latestMs = 0;
    for (Inbox.Got got : inbox.all()) {
      MessageExt message = got.message();
      Check.same("topic", topic, message.getTopic());
      if (got.body().equals("at once")) continue;
      Long due = dueMs.remove(got.body());
      Check.that("unknown or doubled: " + got.body(), due != null);
      // Timers of the real thing work in whole seconds or to the precision of a tick; ours must not be early either.
      Check.that(got.body() + " came " + (due - got.atMs()) + " ms early", got.atMs() >= due - 1000);
      latestMs = Math.max(latestMs, got.atMs() - due);
      int index = Integer.parseInt(got.body().substring(6));
      Check.same("tag", "late", message.getTags());
      Check.same("keys", "key-" + index, message.getKeys());
      Check.same("property", "p" + index, message.getUserProperty("mine"));
    }
    Check.same("not delivered", Map.of(), dueMs);
    lab.facts.put("messages", count);
    lab.facts.put("latestMs", latestMs);
  }

  /** Every fourth: committed at once, rolled back at once, committed by a check, rolled back by a check. */
  private static void transaction(Lab lab) throws Exception {
    String topic = lab.topic("topic", 2);
    Map<String, Integer> checks = new ConcurrentHashMap<>();
    Map<String, String> executed = new ConcurrentHashMap<>();
    TransactionMQProducer producer = new TransactionMQProducer(lab.named("producers"));
    producer.setTransactionListener(
        new TransactionListener() {
          @Override
          public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
            executed.put(new String(message.getBody(), StandardCharsets.UTF_8), "" + argument);
            return switch ((Integer) argument % 4) {
              case 0 -> LocalTransactionState.COMMIT_MESSAGE;
              case 1 -> LocalTransactionState.ROLLBACK_MESSAGE;
              default -> LocalTransactionState.UNKNOW;
            };
          }

          @Override
          public LocalTransactionState checkLocalTransaction(MessageExt message) {
            String body = Lab.text(message);
            checks.merge(body, 1, Integer::sum);
            int index = Integer.parseInt(body.substring(3));
            // The check tells the message as it was sent.
            if (!("key-" + index).equals(message.getKeys()) || !topic.equals(topicOf(message)))
              checks.put("wrong " + body + " " + message, 1);
            return index % 2 == 0
                ? LocalTransactionState.COMMIT_MESSAGE
                : LocalTransactionState.ROLLBACK_MESSAGE;
          }
        });
    lab.start(producer);
    Inbox inbox = new Inbox();
    DefaultMQPushConsumer consumer = lab.consumer("group", "a");
    Lab.listen(consumer, topic, "*", inbox, "a");
    int count = 24;
    for (int index = 0; index < count; index += 1) {
      Message message = Lab.message(topic, "tx", "key-" + index, String.format("tx-%02d", index));
      message.putUserProperty("mine", "p" + index);
      Lab.sent(producer.sendMessageInTransaction(message, index));
    }
    Set<String> unknown = new HashSet<>();
    for (int index = 0; index < count; index += 1)
      if (index % 4 >= 2) unknown.add(String.format("tx-%02d", index));
    Lab.until("checks of all that are unknown", () -> checks.keySet().containsAll(unknown));
    inbox.awaitCount(count / 2, Lab.WAIT_MS);
    // One that is visible after all that was said before: nothing else comes.
    Lab.sent(producer.sendMessageInTransaction(Lab.message(topic, "tx", "key-24", "tx-24"), 24));
    inbox.await("the last", Lab.WAIT_MS, Inbox.endsWith("tx-24"));
    List<String> expected = new ArrayList<>();
    for (int index = 0; index <= count; index += 2) expected.add(String.format("tx-%02d", index));
    List<String> got = new ArrayList<>();
    for (Inbox.Got one : inbox.all()) {
      got.add(one.body());
      Check.same("topic", topic, one.message().getTopic());
      int index = Integer.parseInt(one.body().substring(3));
      Check.same("keys", "key-" + index, one.message().getKeys());
      if (index < count)
        Check.same("property", "p" + index, one.message().getUserProperty("mine"));
    }
    Check.same("visible", expected, Lab.sorted(got));
    Check.same("executed", count + 1, executed.size());
    for (String body : checks.keySet()) Check.that(body, !body.startsWith("wrong"));
    // A broker that is slow to note an end asks about it too.
    lab.facts.put("visible", got.size());
    lab.facts.put("checked", unknown.size());
    lab.facts.put("checkedBesides", checks.size() - unknown.size());
  }

  private static String topicOf(MessageExt message) {
    String real = message.getProperty("REAL_TOPIC");
    return real == null ? message.getTopic() : real;
  }

  private static void requestReply(Lab lab) throws Exception {
    String topic = lab.topic("topic", 2);
    DefaultMQProducer replier = lab.start(new DefaultMQProducer(lab.named("repliers")));
    DefaultMQPushConsumer server = lab.consumer("group", "server");
    server.subscribe(topic, "*");
    server.registerMessageListener(
        (MessageListenerConcurrently)
            (messages, context) -> {
              for (MessageExt message : messages) {
                String body = Lab.text(message);
                if (body.equals("nobody answers")) continue;
                try {
                  byte[] answer = ("answer to " + body).getBytes(StandardCharsets.UTF_8);
                  replier.send(MessageUtil.createReplyMessage(message, answer), Lab.PATIENCE_MS);
                } catch (Exception error) {
                  return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                }
              }
              return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
    server.start();
    Lab.untilQueues(server, topic, 2);
    DefaultMQProducer producer = lab.producer();
    MessageQueue queue = producer.fetchPublishMessageQueues(topic).get(0);
    for (int index = 0; index < 10; index += 1) {
      Message question = Lab.message(topic, "t", "k", "question " + index);
      Check.same("answer", "answer to question " + index, asked(producer, question, queue, Lab.PATIENCE_MS));
    }
    Message unheard = Lab.message(topic, "t", "k", "nobody answers");
    // The same limit is that of its sending, which is to be over before.
    Check.same("no answer", "timeout", asked(producer, unheard, queue, 10_000));
    // The waiting form gives up at once in 5.3.1 to 5.3.3 when the broker is quicker than the answer
    // (apache/rocketmq issue 9319).
    if (!is5()) {
      Message answer = producer.request(Lab.message(topic, "t", "k", "waiting"), Lab.PATIENCE_MS);
      Check.same("answer", "answer to waiting", new String(answer.getBody(), StandardCharsets.UTF_8));
      lab.facts.put("waiting", 1);
    }
    lab.facts.put("answers", 10);
  }

  private static boolean is5() {
    for (var method : Message.class.getMethods())
      if (method.getName().equals("setDelayTimeMs")) return true;
    return false;
  }

  /** The answer to a question, or "timeout". */
  private static String asked(
      DefaultMQProducer producer, Message question, MessageQueue queue, long timeoutMs)
      throws Exception {
    CountDownLatch done = new CountDownLatch(1);
    AtomicReference<String> answer = new AtomicReference<>();
    producer.request(
        question,
        queue,
        new RequestCallback() {
          @Override
          public void onSuccess(Message message) {
            answer.set(new String(message.getBody(), StandardCharsets.UTF_8));
            done.countDown();
          }

          @Override
          public void onException(Throwable error) {
            boolean isLate = error instanceof RequestTimeoutException;
            answer.set(isLate ? "timeout" : String.valueOf(error));
            done.countDown();
          }
        },
        timeoutMs);
    Check.that("the callback", done.await(Lab.WAIT_MS, TimeUnit.MILLISECONDS));
    return answer.get();
  }
}

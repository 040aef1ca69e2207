import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.store.ReadOffsetType;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** One scenario's place: names of its own, clients that are shut down at its end, and what all scenarios need. */
final class Lab implements AutoCloseable {
  static final long WAIT_MS = 180_000;
  /** What is asked of a broker is answered, however late that is on a machine that does other things too. */
  static final int PATIENCE_MS = 60_000;

  /** What may be tried, or must be done at the end. */
  interface Closing {
    void run() throws Exception;
  }

  final String namesrv;
  final String name;
  /** What the scenario found out; printed with its result. */
  final Map<String, Object> facts = new java.util.LinkedHashMap<>();
  private final List<Closing> closings = new ArrayList<>();
  private DefaultMQProducer admin;

  Lab(String namesrv, String name) {
    this.namesrv = namesrv;
    this.name = name;
  }

  /** A topic, group or instance of this scenario alone. */
  String named(String what) {
    return name + "-" + what;
  }

  synchronized void atEnd(Closing closing) {
    closings.add(closing);
  }

  DefaultMQProducer producer() throws Exception {
    return start(new DefaultMQProducer(named("producers")));
  }

  <P extends DefaultMQProducer> P start(P producer) throws Exception {
    prepare(producer);
    producer.start();
    atEnd(producer::shutdown);
    return producer;
  }

  void prepare(DefaultMQProducer producer) {
    producer.setNamesrvAddr(namesrv);
    producer.setInstanceName(named("instance"));
    patient(producer);
    producer.setSendMsgTimeout(PATIENCE_MS);
  }

  /**
   * A scenario that shares the processor with others is not to fail for it. By default an answer that comes after three seconds is
   * too late: a producer has no route then, and a consumer whose heartbeat it was loses its queues.
   */
  static void patient(ClientConfig client) {
    client.setMqClientApiTimeout(PATIENCE_MS);
  }

  /** A consumer that is not started yet; `who` keeps two of one group apart. */
  DefaultMQPushConsumer consumer(String group, String who) {
    DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(named(group));
    prepare(consumer, who);
    return consumer;
  }

  void prepare(DefaultMQPushConsumer consumer, String who) {
    consumer.setNamesrvAddr(namesrv);
    consumer.setInstanceName(named("instance-" + who));
    patient(consumer);
    consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
    consumer.setConsumeThreadMin(4);
    consumer.setConsumeThreadMax(8);
    // What listeners have taken is known to the consumer before it leaves.
    consumer.setAwaitTerminationMillisWhenShutdown(5_000);
    // Offsets reach the broker soon, so that a test of them need not wait.
    consumer.setPersistConsumerOffsetInterval(500);
    atEnd(consumer::shutdown);
  }

  /** Listens with an inbox; every message is a success. */
  static MessageListenerConcurrently into(Inbox inbox, String who) {
    return (messages, context) -> {
      for (MessageExt message : messages) inbox.add(message, who);
      return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
    };
  }

  /** Begins to listen: all that passes the expression goes into the inbox. */
  static void listen(
      DefaultMQPushConsumer consumer, String topic, String expression, Inbox inbox, String who)
      throws Exception {
    consumer.subscribe(topic, expression);
    consumer.registerMessageListener(into(inbox, who));
    consumer.start();
  }

  /** Waits until a push consumer holds this many queues of a topic. */
  static void untilQueues(DefaultMQPushConsumer consumer, String topic, int count)
      throws Exception {
    until(count + " queues of " + topic, () -> queuesOf(consumer, topic) == count);
  }

  /** Number of queues that a push consumer holds of a topic. */
  static int queuesOf(DefaultMQPushConsumer consumer, String topic) {
    int count = 0;
    for (MessageQueue queue :
        consumer
            .getDefaultMQPushConsumerImpl()
            .getRebalanceImpl()
            .getProcessQueueTable()
            .keySet()) {
      if (queue.getTopic().equals(topic)) count += 1;
    }
    return count;
  }

  /**
   * Waits until what a push consumer has taken of a topic is known to it, in sum of its offsets: a listener that was called has not
   * returned yet, and what it returns is noted behind it.
   */
  static void untilKnown(DefaultMQPushConsumer consumer, String topic, long sum) throws Exception {
    var impl = consumer.getDefaultMQPushConsumerImpl();
    until(
        sum + " taken of " + topic,
        () -> {
          long found = 0;
          for (MessageQueue queue : impl.getRebalanceImpl().getProcessQueueTable().keySet()) {
            if (!queue.getTopic().equals(topic)) continue;
            long offset = impl.getOffsetStore().readOffset(queue, ReadOffsetType.READ_FROM_MEMORY);
            found += Math.max(0, offset);
          }
          return found == sum;
        });
  }

  /** A condition to wait for. */
  interface Condition {
    boolean holds() throws Exception;
  }

  static void until(String what, Condition condition) throws Exception {
    until(what, WAIT_MS, condition);
  }

  static void until(String what, long timeoutMs, Condition condition) throws Exception {
    long end = System.currentTimeMillis() + timeoutMs;
    while (!condition.holds()) {
      if (System.currentTimeMillis() > end) {
        throw new AssertionError("not within " + timeoutMs + " ms: " + what);
      }
      Thread.sleep(20);
    }
  }

  /** Makes a topic through a client, and waits until the route has it. */
  String topic(String what, int queues) throws Exception {
    String topic = named(what);
    DefaultMQProducer maker = admin();
    // A machine that does other things too may answer later than the client waits.
    until("the making of " + topic, () -> succeeds(() -> createTopic(maker, topic, queues)));
    until(
        "the route of " + topic,
        () -> succeeds(() -> Check.same("", queues, maker.fetchPublishMessageQueues(topic).size())));
    return topic;
  }

  private static boolean succeeds(Closing attempt) {
    try {
      attempt.run();
      return true;
    } catch (Exception | AssertionError notYet) {
      return false;
    }
  }

  private synchronized DefaultMQProducer admin() throws Exception {
    if (admin == null) admin = start(new DefaultMQProducer(named("makers")));
    return admin;
  }

  /** 5.x wants attributes beside, 4.9 does not know them. */
  private static void createTopic(DefaultMQProducer maker, String topic, int queues)
      throws Exception {
    for (Method method : DefaultMQProducer.class.getMethods()) {
      if (!method.getName().equals("createTopic")) continue;
      Class<?>[] types = method.getParameterTypes();
      if (types.length < 3 || types[2] != int.class) continue;
      if (types.length == 3) {
        method.invoke(maker, "TBW102", topic, queues);
        return;
      }
      if (types.length == 4 && types[3] == Map.class) {
        method.invoke(maker, "TBW102", topic, queues, new HashMap<String, String>());
        return;
      }
    }
    throw new IllegalStateException("this client has no createTopic");
  }

  /** BROADCASTING or CLUSTERING: its package is another one in 5.x. */
  @SuppressWarnings({"unchecked", "rawtypes"})
  static void setMessageModel(DefaultMQPushConsumer consumer, String model) throws Exception {
    for (Method method : DefaultMQPushConsumer.class.getMethods()) {
      if (!method.getName().equals("setMessageModel")) continue;
      Class type = method.getParameterTypes()[0];
      method.invoke(consumer, Enum.valueOf(type, model));
      return;
    }
  }

  static Message message(String topic, String tag, String key, String body) {
    return new Message(topic, tag, key, body.getBytes(StandardCharsets.UTF_8));
  }

  static SendResult sent(SendResult result) {
    Check.same("send status", SendStatus.SEND_OK, result.getSendStatus());
    return result;
  }

  /** Everything in a topic, by queue and in the order of the queue, read by offset without a group's state. */
  Map<Integer, List<MessageExt>> read(String topic, int countMin) throws Exception {
    DefaultMQPullConsumer reader = pullConsumer("readers", "reader");
    reader.start();
    try {
      Map<Integer, List<MessageExt>> found = new HashMap<>();
      Set<MessageQueue> queues = reader.fetchSubscribeMessageQueues(topic);
      until(
          countMin + " messages in " + topic,
          () -> {
            int count = 0;
            for (MessageQueue queue : queues) {
              List<MessageExt> list =
                  found.computeIfAbsent(queue.getQueueId(), (id) -> new ArrayList<>());
              pullRest(reader, queue, list);
              count += list.size();
            }
            return count >= countMin;
          });
      return found;
    } finally {
      reader.shutdown();
    }
  }

  /** Waits until the offsets of a group at the broker have reached this sum: they are told one way. */
  void untilStored(String topic, String group, long sum) throws Exception {
    untilStored(
        topic,
        group,
        (offsets) -> offsets.values().stream().mapToLong((one) -> Math.max(0, one)).sum() == sum);
  }

  /** Waits until the offsets of a group at the broker are as they should be, by queue. */
  void untilStored(String topic, String group, Predicate<Map<Integer, Long>> isEnough)
      throws Exception {
    DefaultMQPullConsumer reader = pullConsumer(group, "offset-reader");
    reader.start();
    try {
      Set<MessageQueue> queues = reader.fetchSubscribeMessageQueues(topic);
      until(
          "offsets of " + group + " at the broker",
          () -> {
            Map<Integer, Long> offsets = new HashMap<>();
            for (MessageQueue queue : queues)
              offsets.put(queue.getQueueId(), reader.fetchConsumeOffset(queue, true));
            return isEnough.test(offsets);
          });
    } finally {
      reader.shutdown();
    }
  }

  /** A pull consumer that is not started yet. */
  DefaultMQPullConsumer pullConsumer(String group, String who) {
    DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(named(group));
    consumer.setNamesrvAddr(namesrv);
    consumer.setInstanceName(named(who));
    consumer.setConsumerPullTimeoutMillis(PATIENCE_MS);
    patient(consumer);
    return consumer;
  }

  private static void pullRest(
      DefaultMQPullConsumer reader, MessageQueue queue, List<MessageExt> list) throws Exception {
    long offset = list.isEmpty() ? 0 : list.get(list.size() - 1).getQueueOffset() + 1;
    while (true) {
      PullResult result = reader.pull(queue, "*", offset, 32);
      if (result.getPullStatus() == PullStatus.FOUND) list.addAll(result.getMsgFoundList());
      else if (result.getPullStatus() != PullStatus.OFFSET_ILLEGAL) return;
      if (result.getNextBeginOffset() == offset) return;
      offset = result.getNextBeginOffset();
    }
  }

  static List<MessageExt> flat(Map<Integer, List<MessageExt>> byQueue) {
    List<MessageExt> all = new ArrayList<>();
    for (List<MessageExt> list : byQueue.values()) all.addAll(list);
    all.sort(Comparator.comparing((message) -> text(message)));
    return all;
  }

  static String text(MessageExt message) {
    return new String(message.getBody(), StandardCharsets.UTF_8);
  }

  static List<String> texts(List<MessageExt> messages) {
    List<String> texts = new ArrayList<>();
    for (MessageExt message : messages) texts.add(text(message));
    return texts;
  }

  static List<String> sorted(List<String> texts) {
    List<String> copy = new ArrayList<>(texts);
    Collections.sort(copy);
    return copy;
  }

  @Override
  public void close() {
    Collections.reverse(closings);
    for (Closing closing : closings) {
      try {
        closing.run();
      } catch (Throwable ignored) {
        // The scenario is over, and what it found counts.
      }
    }
  }
}

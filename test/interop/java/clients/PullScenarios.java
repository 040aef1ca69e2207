import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Consumers that fetch for themselves. */
final class PullScenarios {
  private PullScenarios() {}

  static void addTo(Map<String, Suite.Scenario> known) {
    known.put("lite-pull-subscribe", PullScenarios::subscribe);
    known.put("lite-pull-assign", PullScenarios::assign);
    known.put("pull-offsets", PullScenarios::offsets);
  }

  private static void send(Lab lab, String topic, String prefix, int count) throws Exception {
    DefaultMQProducer producer = lab.start(new DefaultMQProducer(lab.named("senders-" + prefix)));
    List<MessageQueue> queues = producer.fetchPublishMessageQueues(topic);
    queues.sort(null);
    for (int index = 0; index < count; index += 1) {
      String body = String.format("%s-%03d", prefix, index);
      String tag = index % 2 == 0 ? "even" : "odd";
      MessageQueue queue = queues.get(index % queues.size());
      Lab.sent(producer.send(Lab.message(topic, tag, "k" + index, body), queue));
    }
  }

  private static DefaultLitePullConsumer lite(Lab lab, String who) {
    DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(lab.named("group"));
    consumer.setNamesrvAddr(lab.namesrv);
    consumer.setInstanceName(lab.named("instance-" + who));
    Lab.patient(consumer);
    consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
    consumer.setAutoCommit(false);
    lab.atEnd(consumer::shutdown);
    return consumer;
  }

  private static List<String> poll(DefaultLitePullConsumer consumer, int count) throws Exception {
    List<String> got = new ArrayList<>();
    Lab.until(
        count + " polled",
        () -> {
          for (MessageExt message : consumer.poll(500)) got.add(Lab.text(message));
          return got.size() >= count;
        });
    return got;
  }

  private static List<String> numbers(String prefix, int from, int to, int step) {
    List<String> list = new ArrayList<>();
    for (int index = from; index < to; index += step)
      list.add(String.format("%s-%03d", prefix, index));
    return list;
  }

  /** With a group: what was committed is not polled again, what was not is. */
  private static void subscribe(Lab lab) throws Exception {
    String topic = lab.topic("topic", 4);
    send(lab, topic, "first", 60);
    DefaultLitePullConsumer first = lite(lab, "a");
    first.subscribe(topic, "even");
    first.start();
    Check.same("polled", numbers("first", 0, 60, 2), Lab.sorted(poll(first, 30)));
    first.commitSync();
    // Queues 0 and 2 hold the even ones; the others are filtered out and may be committed or not.
    for (MessageQueue queue : first.fetchMessageQueues(topic))
      if (queue.getQueueId() % 2 == 0) Check.same("committed", 15L, first.committed(queue));
    first.shutdown();
    // Told one way.
    lab.untilStored(topic, "group", (offsets) -> offsets.get(0) == 15 && offsets.get(2) == 15);
    send(lab, topic, "second", 20);
    DefaultLitePullConsumer second = lite(lab, "b");
    second.subscribe(topic, "even");
    second.start();
    Check.same("polled after", numbers("second", 0, 20, 2), Lab.sorted(poll(second, 10)));
    second.shutdown();
    DefaultLitePullConsumer third = lite(lab, "c");
    third.subscribe(topic, "even");
    third.start();
    Check.same("not committed", numbers("second", 0, 20, 2), Lab.sorted(poll(third, 10)));
    lab.facts.put("messages", 80);
  }

  /**
   * By queue: seek, pause, offsets by time. Each seek is of a queue that was paused before its first pull: the client looks for a
   * position that was sought without its lock, so a pull in flight may take it, and the next one goes on where it was before.
   */
  private static void assign(Lab lab) throws Exception {
    String topic = lab.topic("topic", 2);
    send(lab, topic, "old", 40);
    Thread.sleep(50);
    long betweenMs = System.currentTimeMillis();
    Thread.sleep(50);
    send(lab, topic, "new", 20);
    List<MessageQueue> queues = lab.producer().fetchPublishMessageQueues(topic);
    queues.sort(null);
    DefaultLitePullConsumer consumer = paused(lab, "a", queues);
    Check.same("queues", new HashSet<>(queues), new HashSet<>(consumer.fetchMessageQueues(topic)));
    for (MessageQueue queue : queues) {
      long offset = consumer.offsetForTimestamp(queue, betweenMs);
      Check.same("offset by time", 20L, offset);
      consumer.seek(queue, offset - 2);
    }
    consumer.resume(queues);
    List<String> got = poll(consumer, 24);
    List<String> expected = numbers("new", 0, 20, 1);
    expected.addAll(numbers("old", 36, 40, 1));
    Check.same("polled", expected, Lab.sorted(got));
    consumer.shutdown();

    DefaultLitePullConsumer again = paused(lab, "b", queues);
    again.seekToBegin(queues.get(0));
    again.seekToEnd(queues.get(1));
    again.resume(List.of(queues.get(0)));
    expected = numbers("old", 0, 40, 2);
    expected.addAll(0, numbers("new", 0, 20, 2));
    Check.same("the other one is paused", expected, Lab.sorted(poll(again, 30)));
    again.resume(List.of(queues.get(1)));
    send(lab, topic, "last", 2);
    Check.same("the last", numbers("last", 0, 2, 1), Lab.sorted(poll(again, 2)));
    lab.facts.put("messages", 62);
  }

  /** Running, the queues its own, and nothing asked for yet. */
  private static DefaultLitePullConsumer paused(Lab lab, String who, List<MessageQueue> queues) throws Exception {
    DefaultLitePullConsumer consumer = lite(lab, who);
    consumer.assign(queues);
    consumer.pause(queues);
    consumer.start();
    return consumer;
  }

  /** The plain pull consumer: each status and offset of an answer, and offsets that are stored for a group. */
  private static void offsets(Lab lab) throws Exception {
    String topic = lab.topic("topic", 1);
    send(lab, topic, "pull", 50);
    DefaultMQPullConsumer consumer = lab.pullConsumer("group", "instance-a");
    consumer.start();
    lab.atEnd(consumer::shutdown);
    MessageQueue queue = consumer.fetchSubscribeMessageQueues(topic).iterator().next();
    Check.same("smallest", 0L, consumer.minOffset(queue));
    Check.same("next", 50L, consumer.maxOffset(queue));
    Check.that("time of the first", consumer.earliestMsgStoreTime(queue) > 0);
    Lab.until("nothing stored, and a young queue", () -> fetched(consumer, queue) == 0);
    PullResult page = consumer.pull(queue, "*", 10, 15);
    Check.same("status", PullStatus.FOUND, page.getPullStatus());
    Check.same("page", numbers("pull", 10, 25, 1), Lab.texts(page.getMsgFoundList()));
    Check.same("next begin", 25L, page.getNextBeginOffset());
    Check.same("min", 0L, page.getMinOffset());
    Check.same("max", 50L, page.getMaxOffset());
    PullResult odd = consumer.pull(queue, "odd", 0, 32);
    Map<Long, String> byOffset = new TreeMap<>();
    for (MessageExt message : odd.getMsgFoundList())
      byOffset.put(message.getQueueOffset(), Lab.text(message));
    Check.that("only odd ones: " + byOffset, byOffset.keySet().stream().allMatch((at) -> at % 2 == 1));
    PullResult none = consumer.pull(queue, "*", 50, 32);
    Check.same("at the end", PullStatus.NO_NEW_MSG, none.getPullStatus());
    PullResult beyond = consumer.pull(queue, "*", 1000, 32);
    Check.same("beyond", PullStatus.OFFSET_ILLEGAL, beyond.getPullStatus());
    Check.same("back from beyond", 50L, beyond.getNextBeginOffset());
    consumer.updateConsumeOffset(queue, 33);
    consumer.getOffsetStore().persist(queue);
    consumer.getDefaultMQPullConsumerImpl().getOffsetStore().persistAll(new HashSet<>(Set.of(queue)));
    Lab.until("stored", () -> fetched(consumer, queue) == 33);
    lab.facts.put("messages", 50);
  }

  private static long fetched(DefaultMQPullConsumer consumer, MessageQueue queue) throws Exception {
    return consumer
        .getDefaultMQPullConsumerImpl()
        .getOffsetStore()
        .readOffset(
            queue, org.apache.rocketmq.client.consumer.store.ReadOffsetType.READ_FROM_STORE);
  }
}

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** The broker is killed in the middle and started again; the test that runs this does it when asked. */
final class KillScenarios {
  private static final int QUEUES = 4;
  private static final long AFTER_KILL_MS = 180_000;

  private KillScenarios() {}

  static void addTo(Map<String, Suite.Scenario> known) {
    known.put("kill-send", KillScenarios::send);
    known.put("kill-consume", KillScenarios::consume);
  }

  /** One thread a queue sends numbers; after a failure it sends the same number again, as an application would. */
  private static final class Lane implements Runnable {
    final MessageQueue queue;
    final DefaultMQProducer producer;
    final AtomicBoolean stop;
    final AtomicInteger acknowledged;
    /** Number → offset of each answer SEND_OK. */
    final Map<Integer, Long> stored = new LinkedHashMap<>();
    int failures;

    Lane(MessageQueue queue, DefaultMQProducer producer, AtomicBoolean stop, AtomicInteger count) {
      this.queue = queue;
      this.producer = producer;
      this.stop = stop;
      this.acknowledged = count;
    }

    @Override
    public void run() {
      for (int number = 0; !stop.get(); ) {
        try {
          String body = String.format("lane-%d-%06d", queue.getQueueId(), number);
          SendResult result =
              producer.send(Lab.message(queue.getTopic(), "t", "n" + number, body), queue);
          if (result.getSendStatus() != SendStatus.SEND_OK) throw new Exception("not stored");
          stored.put(number, result.getQueueOffset());
          acknowledged.incrementAndGet();
          number += 1;
        } catch (Exception notStored) {
          failures += 1;
          try {
            Thread.sleep(20);
          } catch (InterruptedException over) {
            return;
          }
        }
      }
    }
  }

  private static List<Lane> startLanes(
      Lab lab, String topic, AtomicBoolean stop, AtomicInteger count, List<Thread> threads)
      throws Exception {
    DefaultMQProducer producer = new DefaultMQProducer(lab.named("producers"));
    lab.prepare(producer);
    producer.setSendMsgTimeout(2000);
    soon(producer);
    producer.start();
    lab.atEnd(producer::shutdown);
    List<Lane> lanes = new ArrayList<>();
    for (MessageQueue queue : producer.fetchPublishMessageQueues(topic)) {
      Lane lane = new Lane(queue, producer, stop, count);
      lanes.add(lane);
      Thread thread = new Thread(lane, "lane-" + queue.getQueueId());
      thread.start();
      threads.add(thread);
    }
    return lanes;
  }

  /** A client asks for routes every 30 s; a test need not wait that long for the one that came back. */
  private static void soon(ClientConfig client) {
    client.setPollNameServerInterval(1000);
    client.setHeartbeatBrokerInterval(1000);
  }

  private static void awaitMore(AtomicInteger count, int more) throws Exception {
    int wanted = count.get() + more;
    Lab.until("acknowledged " + wanted, AFTER_KILL_MS, () -> count.get() >= wanted);
  }

  /** Nothing that was answered SEND_OK is missing or elsewhere; the queue's order is that of the lane. */
  private static int checkStored(Lane lane, List<MessageExt> found) {
    Map<Long, String> atOffset = new HashMap<>();
    int highest = -1;
    for (MessageExt message : found) {
      atOffset.put(message.getQueueOffset(), Lab.text(message));
      int number = Integer.parseInt(Lab.text(message).substring("lane-0-".length()));
      // A number may come twice where its first answer was lost, never before an earlier one's first time.
      Check.that("after " + highest + " came " + number, number <= highest + 1);
      highest = Math.max(highest, number);
    }
    for (Map.Entry<Integer, Long> entry : lane.stored.entrySet()) {
      String body = String.format("lane-%d-%06d", lane.queue.getQueueId(), entry.getKey());
      Check.same("acknowledged at " + entry.getValue(), body, atOffset.get(entry.getValue()));
    }
    return found.size() - (highest + 1);
  }

  private static void send(Lab lab) throws Exception {
    String topic = lab.topic("topic", QUEUES);
    AtomicBoolean stop = new AtomicBoolean();
    AtomicInteger count = new AtomicInteger();
    List<Thread> threads = new ArrayList<>();
    List<Lane> lanes = startLanes(lab, topic, stop, count, threads);
    int kills = 2;
    for (int kill = 0; kill < kills; kill += 1) {
      awaitMore(count, 400);
      Suite.ask("kill");
      Suite.ask("restart");
    }
    awaitMore(count, 400);
    stop.set(true);
    for (Thread thread : threads) thread.join();
    Map<Integer, List<MessageExt>> found = lab.read(topic, count.get());
    int doubled = 0;
    int failures = 0;
    for (Lane lane : lanes) {
      doubled += checkStored(lane, found.get(lane.queue.getQueueId()));
      failures += lane.failures;
    }
    Check.that("the kill was noticed", failures > 0);
    lab.facts.put("acknowledged", count.get());
    lab.facts.put("failures", failures);
    lab.facts.put("doubled", doubled);
    lab.facts.put("kills", kills);
  }

  /** Consumers, one concurrent group and one ordered group, while the broker under them is killed. */
  private static void consume(Lab lab) throws Exception {
    String topic = lab.topic("topic", QUEUES);
    AtomicBoolean stop = new AtomicBoolean();
    AtomicInteger count = new AtomicInteger();
    Inbox shared = new Inbox();
    DefaultMQPushConsumer concurrently = lab.consumer("shared", "a");
    soon(concurrently);
    Lab.listen(concurrently, topic, "*", shared, "a");
    Map<Integer, List<String>> ordered = new ConcurrentHashMap<>();
    AtomicInteger orderedCount = new AtomicInteger();
    DefaultMQPushConsumer orderly = lab.consumer("ordered", "b");
    soon(orderly);
    orderly.subscribe(topic, "*");
    orderly.registerMessageListener(
        (MessageListenerOrderly)
            (messages, context) -> {
              for (MessageExt message : messages) {
                ordered
                    .computeIfAbsent(message.getQueueId(), (id) -> Collections.synchronizedList(new ArrayList<>()))
                    .add(Lab.text(message));
                orderedCount.incrementAndGet();
              }
              return ConsumeOrderlyStatus.SUCCESS;
            });
    orderly.start();
    List<Thread> threads = new ArrayList<>();
    List<Lane> lanes = startLanes(lab, topic, stop, count, threads);
    awaitMore(count, 300);
    Lab.until("both consume", () -> shared.size() > 100 && orderedCount.get() > 100);
    Suite.ask("kill");
    Suite.ask("restart");
    awaitMore(count, 300);
    stop.set(true);
    for (Thread thread : threads) thread.join();
    Set<String> wanted = new HashSet<>();
    for (Lane lane : lanes) {
      for (int number : lane.stored.keySet())
        wanted.add(String.format("lane-%d-%06d", lane.queue.getQueueId(), number));
    }
    shared.await(
        "all by the concurrent group",
        AFTER_KILL_MS,
        (list) -> shared.countsByBody().keySet().containsAll(wanted));
    Lab.until(
        "all by the ordered group",
        AFTER_KILL_MS,
        () -> {
          Set<String> got = new HashSet<>();
          for (List<String> list : ordered.values()) got.addAll(new ArrayList<>(list));
          return got.containsAll(wanted);
        });
    int again = 0;
    for (List<String> list : ordered.values()) {
      int highest = -1;
      for (String body : list) {
        int number = Integer.parseInt(body.substring("lane-0-".length()));
        Check.that("ordered: after " + highest + " came " + number, number <= highest + 1);
        if (number <= highest) again += 1;
        highest = Math.max(highest, number);
      }
    }
    lab.facts.put("acknowledged", count.get());
    lab.facts.put("deliveries", shared.size());
    lab.facts.put("orderedAgain", again);
    lab.facts.put("kills", 1);
  }
}

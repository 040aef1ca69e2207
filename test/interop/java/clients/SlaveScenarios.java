import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;

/** A master and its slave: the master is killed while a group lags; the test that runs this does it when asked. */
final class SlaveScenarios {
  private static final int QUEUES = 4;
  private static final int BACKLOG = 1500;
  private static final int LATER = 100;
  private static final int FROM_MASTER = 200;
  private static final long AFTER_KILL_MS = 180_000;

  private SlaveScenarios() {}

  static void addTo(Map<String, Suite.Scenario> known) {
    known.put("slave-read", SlaveScenarios::read);
  }

  /**
   * Fetches little ahead, and stops behind `limit` messages until the master has gone: most of the backlog is still at the brokers
   * then, however long that takes.
   */
  private static DefaultMQPushConsumer holding(
      Lab lab, String group, Inbox inbox, String topic, int limit, CountDownLatch masterGone)
      throws Exception {
    DefaultMQPushConsumer consumer = lab.consumer(group, group);
    consumer.setPollNameServerInterval(1000);
    consumer.setHeartbeatBrokerInterval(1000);
    consumer.setPullBatchSize(4);
    consumer.setPullThresholdForQueue(8);
    consumer.subscribe(topic, "*");
    consumer.registerMessageListener(
        (org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently)
            (messages, context) -> {
              for (MessageExt message : messages) inbox.add(message, group);
              try {
                if (inbox.countsByBody().size() >= limit) masterGone.await();
              } catch (InterruptedException over) {
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
              }
              return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
    consumer.start();
    return consumer;
  }

  private static void awaitBodies(Inbox inbox, String what, int count) throws Exception {
    inbox.await(
        what, AFTER_KILL_MS, (list) -> list.size() >= count && inbox.countsByBody().size() >= count);
  }

  private static void read(Lab lab) throws Exception {
    String topic = lab.topic("topic", QUEUES);
    DefaultMQProducer producer = lab.producer();
    AtomicInteger number = new AtomicInteger();
    while (number.get() < BACKLOG) send(producer, topic, number.getAndIncrement());
    Inbox running = new Inbox();
    CountDownLatch masterGone = new CountDownLatch(1);
    holding(lab, "running", running, topic, FROM_MASTER, masterGone);
    awaitBodies(running, "some from the master", FROM_MASTER);
    Suite.ask("killMaster");
    int atKill = running.countsByBody().size();
    masterGone.countDown();
    // A group that nobody has seen before, started while there is no master.
    Inbox late = new Inbox();
    holding(lab, "late", late, topic, 0, masterGone);
    awaitBodies(running, "the backlog by the group that was there", BACKLOG);
    awaitBodies(late, "the backlog by the group that came later", BACKLOG);
    Suite.ask("restartMaster");
    Lab.until(
        "sends go on",
        AFTER_KILL_MS,
        () -> {
          try {
            return send(producer, topic, number.get()) && number.incrementAndGet() > 0;
          } catch (Exception | AssertionError notYet) {
            return false;
          }
        });
    while (number.get() < BACKLOG + LATER) send(producer, topic, number.getAndIncrement());
    awaitBodies(running, "what is new by the group that was there", BACKLOG + LATER);
    awaitBodies(late, "what is new by the group that came later", BACKLOG + LATER);
    lab.facts.put("atSlave", BACKLOG - atKill);
    lab.facts.put("again", running.size() - running.countsByBody().size());
    Check.that("the backlog was read at the slave", BACKLOG - atKill > BACKLOG / 3);
    lab.facts.put("read", running.countsByBody().size());
    lab.facts.put("readLate", late.countsByBody().size());
  }

  private static boolean send(DefaultMQProducer producer, String topic, int number)
      throws Exception {
    Lab.sent(producer.send(Lab.message(topic, "t", "n" + number, "m" + number)));
    return true;
  }
}

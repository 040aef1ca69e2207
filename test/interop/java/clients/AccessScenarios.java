import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.RPCHook;

/**
 * Clients that sign with AclClientRPCHook, over TLS when the virtual machine is told so. The accounts and their rights are those
 * of access.test.ts: shop-writer sends to shop-orders, shop-reader reads it for shop-group.
 */
final class AccessScenarios {
  private static final String TOPIC = "shop-orders";
  private static final String GROUP = "shop-group";
  private static final int NO_PERMISSION = 16;
  private static final int MESSAGES = 20;

  private AccessScenarios() {}

  static void addTo(Map<String, Suite.Scenario> known) {
    known.put("access-granted", AccessScenarios::granted);
    known.put("access-wrong-key", AccessScenarios::wrongKey);
    known.put("access-no-right", AccessScenarios::noRight);
  }

  /** In rocketmq-acl of 4.9, in rocketmq-client of 5.x: by name, so that the other scenarios compile without it. */
  private static RPCHook hook(String accessKey, String secretKey) throws Exception {
    Class<?> credentials = Class.forName("org.apache.rocketmq.acl.common.SessionCredentials");
    Object pair =
        credentials.getConstructor(String.class, String.class).newInstance(accessKey, secretKey);
    return (RPCHook)
        Class.forName("org.apache.rocketmq.acl.common.AclClientRPCHook")
            .getConstructor(credentials)
            .newInstance(pair);
  }

  private static RPCHook hookOf(String account) throws Exception {
    return hook(account, "secret-of-" + account);
  }

  /** Clients that share an instance share its hook: each account has one of its own. */
  private static DefaultMQProducer producer(Lab lab, RPCHook hook, String who) throws Exception {
    DefaultMQProducer producer = new DefaultMQProducer("shop-producers", hook);
    lab.prepare(producer);
    producer.setInstanceName(lab.named("instance-" + who));
    producer.start();
    lab.atEnd(producer::shutdown);
    return producer;
  }

  /** Sends, a transaction that is committed and one that is not, and a consumer that sends one message back. */
  private static void granted(Lab lab) throws Exception {
    DefaultMQProducer producer = producer(lab, hookOf("shop-writer"), "writer");
    for (int index = 0; index < MESSAGES; index += 1)
      Lab.sent(producer.send(Lab.message(TOPIC, "t", "k-" + index, "order-" + index)));
    transactions(lab);
    Inbox inbox = new Inbox();
    DefaultMQPushConsumer consumer =
        new DefaultMQPushConsumer(
            GROUP, hookOf("shop-reader"), new AllocateMessageQueueAveragely());
    lab.prepare(consumer, "reader");
    consumer.setPollNameServerInterval(500);
    consumer.subscribe(TOPIC, "*");
    consumer.registerMessageListener(
        (MessageListenerConcurrently)
            (messages, context) -> {
              for (MessageExt message : messages) {
                inbox.add(message, "reader");
                if (Lab.text(message).equals("order-7") && message.getReconsumeTimes() == 0)
                  return ConsumeConcurrentlyStatus.RECONSUME_LATER;
              }
              return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
    consumer.start();
    inbox.awaitCount(MESSAGES + 1 + 1, Lab.WAIT_MS);
    Map<String, Integer> counts = inbox.countsByBody();
    for (int index = 0; index < MESSAGES; index += 1)
      Check.same("order-" + index, index == 7 ? 2 : 1, counts.get("order-" + index));
    Check.same("committed", 1, counts.get("commit"));
    Check.same("rolled back", null, counts.get("rollback"));
    lab.facts.put("messages", counts.size());
  }

  private static void transactions(Lab lab) throws Exception {
    TransactionMQProducer producer =
        new TransactionMQProducer("shop-deals", hookOf("shop-writer"));
    lab.prepare(producer);
    producer.setInstanceName(lab.named("instance-deals"));
    producer.setTransactionListener(
        new TransactionListener() {
          @Override
          public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
            return new String(message.getBody()).equals("commit")
                ? LocalTransactionState.COMMIT_MESSAGE
                : LocalTransactionState.ROLLBACK_MESSAGE;
          }

          @Override
          public LocalTransactionState checkLocalTransaction(MessageExt message) {
            return LocalTransactionState.UNKNOW;
          }
        });
    producer.start();
    lab.atEnd(producer::shutdown);
    for (String body : List.of("rollback", "commit"))
      producer.sendMessageInTransaction(Lab.message(TOPIC, "t", body, body), null);
  }

  /** What the user of a client is told: the broker's code and words, somewhere among the causes. */
  private static String refusal(String what, Lab.Closing attempt) {
    try {
      attempt.run();
    } catch (Exception error) {
      for (Throwable cause = error; cause != null; cause = cause.getCause()) {
        if (!(cause instanceof MQBrokerException broker)) continue;
        Check.same(what, NO_PERMISSION, broker.getResponseCode());
        return broker.getErrorMessage();
      }
      throw new AssertionError(what + " was refused by " + error, error);
    }
    throw new AssertionError(what + " was not refused");
  }

  private static void expect(String what, String words, String told) {
    if (!told.contains(words)) throw new AssertionError(what + ": told " + told);
  }

  private static void wrongKey(Lab lab) throws Exception {
    Message message = Lab.message(TOPIC, "t", "k", "never");
    DefaultMQProducer wrong = producer(lab, hook("shop-writer", "not-its-secret"), "wrong");
    String told = refusal("a wrong secret", () -> wrong.send(message));
    expect("a wrong secret", "the signature of the account shop-writer does not fit", told);
    DefaultMQProducer unknown = producer(lab, hook("unheard-of", "whatever-it-is"), "unknown");
    told = refusal("an unknown key", () -> unknown.send(message));
    expect("an unknown key", "no access key \"unheard-of\" is known here", told);
    DefaultMQProducer unsigned = producer(lab, null, "unsigned");
    told = refusal("no signature", () -> unsigned.send(message));
    expect("no signature", "the request is not signed", told);
    lab.facts.put("refused", 3);
  }

  private static void noRight(Lab lab) throws Exception {
    DefaultMQProducer reader = producer(lab, hookOf("shop-reader"), "reader");
    Message message = Lab.message(TOPIC, "t", "k", "never");
    String told = refusal("a send without right", () -> reader.send(message));
    expect("a send", "shop-reader has no right PUB on the topic \"" + TOPIC + "\"", told);
    DefaultMQPullConsumer puller = new DefaultMQPullConsumer(GROUP, hookOf("shop-writer"));
    puller.setNamesrvAddr(lab.namesrv);
    puller.setInstanceName(lab.named("instance-puller"));
    Lab.patient(puller);
    puller.start();
    lab.atEnd(puller::shutdown);
    MessageQueue queue = puller.fetchSubscribeMessageQueues(TOPIC).iterator().next();
    told = refusal("a pull without right", () -> puller.pull(queue, "*", 0, 8));
    expect("a pull", "shop-writer has no right SUB on the group \"" + GROUP + "\"", told);
    lab.facts.put("refused", 2);
  }
}

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.MessageQueueSelector;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Every way to send, and what can be read back of it. */
final class SendScenarios {
  private SendScenarios() {}

  static void addTo(Map<String, Suite.Scenario> known) {
    known.put("send-sync", SendScenarios::sync);
    known.put("send-async", SendScenarios::async);
    known.put("send-oneway", SendScenarios::oneway);
    known.put("send-batch", SendScenarios::batch);
    known.put("send-selector", SendScenarios::selector);
    known.put("send-auto-create", SendScenarios::autoCreate);
    known.put("compression", SendScenarios::compression);
  }

  private static void sync(Lab lab) throws Exception {
    String topic = lab.topic("topic", 4);
    DefaultMQProducer producer = lab.producer();
    Map<String, SendResult> results = new HashMap<>();
    Map<String, Message> sent = new HashMap<>();
    for (int index = 0; index < 60; index += 1) {
      String body = String.format("sync-%03d größe 消息 \"\\\u0001", index);
      Message message = Lab.message(topic, "tag" + index % 3, "key-" + index + " shared", body);
      message.putUserProperty("number", String.valueOf(index));
      message.putUserProperty("text", "ä 文 \"quoted\"");
      message.setFlag(index * 7);
      results.put(body, Lab.sent(producer.send(message)));
      sent.put(body, message);
    }
    Map<Integer, List<MessageExt>> found = lab.read(topic, 60);
    List<MessageExt> all = Lab.flat(found);
    Check.same("count", 60, all.size());
    Set<Integer> queues = new HashSet<>();
    for (MessageExt message : all) {
      String body = Lab.text(message);
      SendResult result = results.remove(body);
      Message original = sent.get(body);
      Check.that("an unknown or doubled body: " + body, result != null);
      Check.same("queue", result.getMessageQueue().getQueueId(), message.getQueueId());
      Check.same("queue offset", result.getQueueOffset(), message.getQueueOffset());
      Check.same("id", result.getMsgId(), message.getMsgId());
      Check.same("topic", topic, message.getTopic());
      Check.same("tag", original.getTags(), message.getTags());
      Check.same("keys", original.getKeys(), message.getKeys());
      Check.same("flag", original.getFlag(), message.getFlag());
      Check.same("number", original.getUserProperty("number"), message.getUserProperty("number"));
      Check.same("text", "ä 文 \"quoted\"", message.getUserProperty("text"));
      Check.same("reconsume times", 0, message.getReconsumeTimes());
      long bornAgoMs = System.currentTimeMillis() - message.getBornTimestamp();
      Check.that("born at " + message.getBornTimestamp(), bornAgoMs >= 0 && bornAgoMs < 3_600_000);
      Check.that("stored before born", message.getStoreTimestamp() >= message.getBornTimestamp());
      Check.that("born host", message.getBornHostString() != null);
      queues.add(message.getQueueId());
    }
    for (List<MessageExt> list : found.values()) {
      for (int index = 0; index < list.size(); index += 1)
        Check.same("offsets without a gap", (long) index, list.get(index).getQueueOffset());
      List<String> texts = Lab.texts(list);
      Check.same("order of the queue", Lab.sorted(texts), texts);
    }
    Check.same("queues used", 4, queues.size());
    lab.facts.put("messages", all.size());
  }

  private static void async(Lab lab) throws Exception {
    String topic = lab.topic("topic", 4);
    DefaultMQProducer producer = lab.producer();
    int count = 200;
    Map<String, SendResult> results = new ConcurrentHashMap<>();
    List<String> errors = new ArrayList<>();
    CountDownLatch done = new CountDownLatch(count);
    for (int index = 0; index < count; index += 1) {
      String body = String.format("async-%03d", index);
      producer.send(
          Lab.message(topic, "t", "k" + index, body),
          new SendCallback() {
            @Override
            public void onSuccess(SendResult result) {
              results.put(body, result);
              done.countDown();
            }

            @Override
            public void onException(Throwable error) {
              synchronized (errors) {
                errors.add(String.valueOf(error));
              }
              done.countDown();
            }
          });
    }
    Check.that("callbacks", done.await(Lab.WAIT_MS, TimeUnit.MILLISECONDS));
    Check.same("errors", List.of(), errors);
    List<MessageExt> all = Lab.flat(lab.read(topic, count));
    Check.same("count", count, all.size());
    for (int index = 0; index < count; index += 1) {
      MessageExt message = all.get(index);
      String body = String.format("async-%03d", index);
      Check.same("body", body, Lab.text(message));
      Check.same("offset", results.get(body).getQueueOffset(), message.getQueueOffset());
      Check.same("queue", results.get(body).getMessageQueue().getQueueId(), message.getQueueId());
      Check.same("keys", "k" + index, message.getKeys());
    }
    lab.facts.put("messages", all.size());
  }

  private static void oneway(Lab lab) throws Exception {
    String topic = lab.topic("topic", 2);
    DefaultMQProducer producer = lab.producer();
    List<String> sent = new ArrayList<>();
    for (int index = 0; index < 50; index += 1) {
      String body = String.format("oneway-%03d", index);
      producer.sendOneway(Lab.message(topic, "t", "k" + index, body));
      sent.add(body);
    }
    List<MessageExt> all = Lab.flat(lab.read(topic, 50));
    Check.same("bodies", sent, Lab.texts(all));
    lab.facts.put("messages", all.size());
  }

  private static void batch(Lab lab) throws Exception {
    String topic = lab.topic("topic", 1);
    DefaultMQProducer producer = lab.producer();
    List<String> bodies = new ArrayList<>();
    for (int round = 0; round < 3; round += 1) {
      List<Message> messages = new ArrayList<>();
      for (int index = 0; index < 20; index += 1) {
        String body = String.format("batch-%d-%03d", round, index);
        Message message = Lab.message(topic, "tag" + index % 2, "key-" + round + "-" + index, body);
        message.putUserProperty("index", String.valueOf(index));
        message.setFlag(index);
        messages.add(message);
        bodies.add(body);
      }
      SendResult result = Lab.sent(producer.send(messages));
      Check.same("ids", 20, result.getMsgId().split(",").length);
      Check.same("offset of the batch", (long) round * 20, result.getQueueOffset());
    }
    List<MessageExt> all = lab.read(topic, 60).get(0);
    Check.same("bodies in order", bodies, Lab.texts(all));
    Set<String> ids = new HashSet<>();
    for (int index = 0; index < all.size(); index += 1) {
      MessageExt message = all.get(index);
      Check.same("offset", (long) index, message.getQueueOffset());
      Check.same("tag", "tag" + index % 20 % 2, message.getTags());
      Check.same("keys", "key-" + index / 20 + "-" + index % 20, message.getKeys());
      Check.same("property", String.valueOf(index % 20), message.getUserProperty("index"));
      Check.same("flag", index % 20, message.getFlag());
      ids.add(message.getMsgId());
    }
    // A broker of 5.x gives all messages of a batch the id of the batch, one of 4.9 leaves each its own.
    Check.that("ids: " + ids, ids.size() == 60 || ids.size() == 3);
    lab.facts.put("ids", ids.size());
    lab.facts.put("messages", all.size());
  }

  private static void selector(Lab lab) throws Exception {
    String topic = lab.topic("topic", 3);
    DefaultMQProducer producer = lab.producer();
    MessageQueueSelector byOrder =
        (queues, message, order) -> queues.get((Integer) order % queues.size());
    Map<Integer, List<String>> expected = new HashMap<>();
    for (int step = 0; step < 12; step += 1) {
      for (int order = 0; order < 7; order += 1) {
        String body = "order-" + order + "-step-" + step;
        Message message = Lab.message(topic, "t", "o" + order, body);
        SendResult result = Lab.sent(producer.send(message, byOrder, order));
        Check.same("queue", order % 3, result.getMessageQueue().getQueueId());
        expected.computeIfAbsent(order % 3, (id) -> new ArrayList<>()).add(body);
      }
    }
    Map<Integer, List<MessageExt>> found = lab.read(topic, 84);
    for (Map.Entry<Integer, List<String>> entry : expected.entrySet())
      Check.same("queue " + entry.getKey(), entry.getValue(), Lab.texts(found.get(entry.getKey())));
    MessageQueue queue = producer.fetchPublishMessageQueues(topic).get(1);
    Lab.sent(producer.send(Lab.message(topic, "t", "k", "to one queue"), queue));
    List<MessageExt> after = lab.read(topic, 85).get(queue.getQueueId());
    Check.same("to one queue", "to one queue", Lab.text(after.get(after.size() - 1)));
    lab.facts.put("messages", 85);
  }

  /** A topic that nobody made: the broker makes it from TBW102, as the client asks. */
  private static void autoCreate(Lab lab) throws Exception {
    String topic = lab.named("topic");
    DefaultMQProducer producer = lab.producer();
    producer.setDefaultTopicQueueNums(3);
    Lab.sent(producer.send(Lab.message(topic, "t", "k", "first")));
    Lab.until(
        "a route with the queues that were asked for",
        () -> {
          try {
            return producer.fetchPublishMessageQueues(topic).size() == 3;
          } catch (org.apache.rocketmq.client.exception.MQClientException notYet) {
            return false;
          }
        });
    Check.same("messages", List.of("first"), Lab.texts(Lab.flat(lab.read(topic, 1))));
    lab.facts.put("queues", 3);
  }

  /** Bodies above 4 KiB are compressed by the client; a reader gets them as they were. */
  private static void compression(Lab lab) throws Exception {
    String topic = lab.topic("topic", 1);
    DefaultMQProducer producer = lab.producer();
    List<byte[]> sent = new ArrayList<>();
    for (String type : List.of("ZLIB", "LZ4", "ZSTD")) {
      if (!setCompression(producer, type)) continue;
      for (int size : List.of(100, 5_000, 200_000)) {
        byte[] body = new byte[size];
        for (int at = 0; at < size; at += 1) body[at] = (byte) ("compressible ".charAt(at % 13));
        Message message = new Message(topic, "t", "k" + sent.size(), body);
        message.putUserProperty("type", type);
        Lab.sent(producer.send(message));
        sent.add(body);
      }
    }
    List<MessageExt> found = lab.read(topic, sent.size()).get(0);
    Check.same("count", sent.size(), found.size());
    for (int index = 0; index < sent.size(); index += 1) {
      Check.that("body " + index, Arrays.equals(sent.get(index), found.get(index).getBody()));
      // What the broker stored is small where the client compressed.
      int size = sent.get(index).length;
      boolean isSmall = found.get(index).getStoreSize() < size;
      Check.same("compressed", size > 4096, isSmall);
    }
    Inbox inbox = new Inbox();
    var consumer = lab.consumer("group", "a");
    Lab.listen(consumer, topic, "*", inbox, "a");
    inbox.awaitCount(sent.size(), Lab.WAIT_MS);
    Set<String> lengths = new HashSet<>();
    for (Inbox.Got got : inbox.all()) {
      byte[] body = got.message().getBody();
      lengths.add(got.message().getUserProperty("type") + body.length);
      String start = new String(body, 0, 13, StandardCharsets.UTF_8);
      Check.same("start of the body", "compressible ", start);
    }
    Check.same("pushed", sent.size(), lengths.size());
    lab.facts.put("messages", sent.size());
  }

  /** 4.9 has ZLIB alone, without a name. */
  @SuppressWarnings({"unchecked", "rawtypes"})
  private static boolean setCompression(DefaultMQProducer producer, String type) throws Exception {
    for (var method : producer.getClass().getMethods()) {
      if (!method.getName().equals("setCompressType")) continue;
      Class kind = method.getParameterTypes()[0];
      method.invoke(producer, Enum.valueOf(kind, type));
      return true;
    }
    return type.equals("ZLIB");
  }
}

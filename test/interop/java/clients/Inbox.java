import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import org.apache.rocketmq.common.message.MessageExt;

/** What listeners received, in the order of their calls; waited for by state. */
final class Inbox {
  /** One delivery: the message, who received it, when, and as which redelivery; a client counts on in the message itself. */
  record Got(MessageExt message, String consumer, long atMs, int times) {
    String body() {
      return new String(message.getBody(), StandardCharsets.UTF_8);
    }
  }

  private final List<Got> deliveries = new ArrayList<>();

  synchronized void add(MessageExt message, String consumer) {
    deliveries.add(new Got(message, consumer, System.currentTimeMillis(), message.getReconsumeTimes()));
    notifyAll();
  }

  synchronized List<Got> all() {
    return new ArrayList<>(deliveries);
  }

  synchronized int size() {
    return deliveries.size();
  }

  /** Deliveries by the body of their message. */
  Map<String, Integer> countsByBody() {
    Map<String, Integer> counts = new HashMap<>();
    for (Got got : all()) counts.merge(got.body(), 1, Integer::sum);
    return counts;
  }

  /** Waits until `isEnough` holds, and tells what is there when it does not in time. */
  synchronized void await(String what, long timeoutMs, Predicate<List<Got>> isEnough)
      throws InterruptedException {
    long end = System.currentTimeMillis() + timeoutMs;
    while (!isEnough.test(deliveries)) {
      long left = end - System.currentTimeMillis();
      if (left <= 0) {
        List<String> seen = new ArrayList<>();
        for (Got got : deliveries) {
          if (seen.size() < 40) seen.add(got.body() + "@" + got.times());
        }
        throw new AssertionError(
            "not within " + timeoutMs + " ms: " + what + "; " + deliveries.size() + " came: " + seen);
      }
      wait(Math.min(left, 100));
    }
  }

  static Predicate<List<Got>> endsWith(String body) {
    return (list) -> !list.isEmpty() && list.get(list.size() - 1).body().equals(body);
  }

  void awaitCount(int count, long timeoutMs) throws InterruptedException {
    await(count + " deliveries", timeoutMs, (list) -> list.size() >= count);
  }
}

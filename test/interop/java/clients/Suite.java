import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Runs scenarios of RocketMQ's Java client in one virtual machine, several at a time because most of their time is
 * waiting, and prints one JSON line each: {"scenario", "ok", "ms", "facts"} and, where it failed, "error".
 *
 *   java -cp … Suite NAMESRV THREADS RUN SCENARIO…      RUN makes names of topics and groups unique
 */
public final class Suite {
  interface Scenario {
    void run(Lab lab) throws Exception;
  }

  private static final PrintStream OUT = System.out;
  private static final BufferedReader IN = new BufferedReader(new InputStreamReader(System.in));

  private Suite() {}

  public static void main(String[] words) throws Exception {
    // What the client prints is not for the reader of our lines.
    System.setOut(System.err);
    Map<String, Scenario> known = new LinkedHashMap<>();
    SendScenarios.addTo(known);
    LaterScenarios.addTo(known);
    PushScenarios.addTo(known);
    RetryScenarios.addTo(known);
    PullScenarios.addTo(known);
    LookupScenarios.addTo(known);
    KillScenarios.addTo(known);
    SlaveScenarios.addTo(known);
    AccessScenarios.addTo(known);
    List<String> names = new ArrayList<>();
    for (int index = 3; index < words.length; index += 1) names.add(words[index]);
    ExecutorService pool = Executors.newFixedThreadPool(Integer.parseInt(words[1]));
    List<Future<?>> running = new ArrayList<>();
    for (String name : names) {
      Scenario scenario = known.get(name);
      if (scenario == null) throw new IllegalArgumentException("no scenario " + name);
      running.add(pool.submit(() -> runOne(words[0], words[2], name, scenario)));
    }
    for (Future<?> future : running) future.get();
    System.exit(0);
  }

  private static void runOne(String namesrv, String run, String name, Scenario scenario) {
    long startMs = System.currentTimeMillis();
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("scenario", name);
    try (Lab lab = new Lab(namesrv, name + "-" + run)) {
      line.put("facts", lab.facts);
      scenario.run(lab);
      line.put("ok", true);
    } catch (Throwable error) {
      line.put("ok", false);
      Throwable cause = error;
      while (cause instanceof java.lang.reflect.InvocationTargetException && cause.getCause() != null)
        cause = cause.getCause();
      StringBuilder text = new StringBuilder(String.valueOf(cause));
      for (StackTraceElement element : cause.getStackTrace()) {
        if (element.getFileName() != null && element.getFileName().endsWith("Scenarios.java"))
          text.append(" at ").append(element.getFileName()).append(':').append(element.getLineNumber());
      }
      line.put("error", text.toString());
    }
    line.put("ms", System.currentTimeMillis() - startMs);
    print(line);
  }

  /** Asks the test that runs this for something, and waits until it is done. */
  static synchronized void ask(String what) throws Exception {
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("ask", what);
    print(line);
    String answer = IN.readLine();
    if (!what.equals(answer)) throw new IllegalStateException("asked for " + what + ", got " + answer);
  }

  private static void print(Map<String, Object> line) {
    StringBuilder text = new StringBuilder();
    json(text, line);
    synchronized (OUT) {
      OUT.println(text);
      OUT.flush();
    }
  }

  private static void json(StringBuilder text, Object value) {
    if (value instanceof Map<?, ?> map) {
      String between = "{";
      for (Map.Entry<?, ?> entry : map.entrySet()) {
        text.append(between);
        json(text, String.valueOf(entry.getKey()));
        text.append(':');
        json(text, entry.getValue());
        between = ",";
      }
      text.append(map.isEmpty() ? "{}" : "}");
    } else if (value instanceof Collection<?> list) {
      String between = "[";
      for (Object one : list) {
        text.append(between);
        json(text, one);
        between = ",";
      }
      text.append(list.isEmpty() ? "[]" : "]");
    } else if (value == null || value instanceof Number || value instanceof Boolean) {
      text.append(value);
    } else {
      text.append('"');
      for (char letter : value.toString().toCharArray()) {
        if (letter == '"' || letter == '\\') text.append('\\').append(letter);
        else if (letter < ' ' || letter > '~') text.append(String.format("\\u%04x", (int) letter));
        else text.append(letter);
      }
      text.append('"');
    }
  }
}

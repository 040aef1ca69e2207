import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * Runs several mqadmin commands in one virtual machine, because each start of one takes seconds. The commands stand
 * with "--" between; before the output of each stands a line "== command".
 */
public class MqAdminSession {
  /** Of a command that is not answered within the seconds that mqadmin waits; nobody can set them. */
  private static final int TRIES_MAX = 5;

  /** An answer that is too late; no connection to a NameServer within three seconds, as "null" says. */
  private static final List<String> LATE = List.of("RemotingTimeoutException", "connect to null failed");

  private static final PrintStream OUT = System.out;

  public static void main(String[] words) {
    List<String> command = new ArrayList<>();
    for (String word : words) {
      if (word.equals("--")) {
        run(command);
        command.clear();
      } else {
        command.add(word);
      }
    }
    run(command);
    System.exit(0);
  }

  private static void run(List<String> command) {
    OUT.println("== " + String.join(" ", command));
    String said = said(command);
    // A machine that does other things too may answer later. What the command asks for is the same a second time.
    for (int tries = 1; tries < TRIES_MAX && LATE.stream().anyMatch(said::contains); tries += 1)
      said = said(command);
    OUT.println(said);
    OUT.flush();
  }

  private static String said(List<String> command) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    PrintStream both = new PrintStream(bytes, true, StandardCharsets.UTF_8);
    // One stream, so that what a command prints stays with it.
    System.setOut(both);
    System.setErr(both);
    MQAdminStartup.main0(command.toArray(new String[0]), null);
    both.flush();
    return bytes.toString(StandardCharsets.UTF_8);
  }
}

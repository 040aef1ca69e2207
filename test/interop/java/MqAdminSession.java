import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * Runs several mqadmin commands in one virtual machine, because each start of one takes seconds. The commands stand
 * with "--" between; before the output of each stands a line "== command".
 */
public class MqAdminSession {
  public static void main(String[] words) {
    // One stream, so that what a command prints stays with it.
    System.setErr(System.out);
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
    System.out.println("== " + String.join(" ", command));
    MQAdminStartup.main0(command.toArray(new String[0]), null);
    System.out.println();
  }
}

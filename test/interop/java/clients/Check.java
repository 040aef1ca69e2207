import java.util.Objects;

/** What a scenario expects. */
final class Check {
  private Check() {}

  static void that(String what, boolean isSo) {
    if (!isSo) throw new AssertionError(what);
  }

  static void same(String what, Object expected, Object actual) {
    if (Objects.equals(expected, actual)) return;
    throw new AssertionError(what + ": expected " + shortened(expected) + ", got " + shortened(actual));
  }

  private static String shortened(Object value) {
    String text = String.valueOf(value);
    return text.length() <= 600 ? text : text.substring(0, 600) + "…(" + text.length() + ")";
  }
}

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.rocketmq.filter.expression.BooleanExpression;
import org.apache.rocketmq.filter.expression.EvaluationContext;
import org.apache.rocketmq.filter.parser.SelectorParser;

/**
 * Asks RocketMQ's filter: a line is an expression and, behind tabs, names and values of properties in turn; the answer to
 * each is one line: true, false, null, error or refused. A line break in an expression is written as backslash and n.
 */
public class SqlFilterSession {
    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] fields = line.split("\t", -1);
            out.println(answer(fields[0].replace("\\n", "\n"), fields));
        }
        out.flush();
    }

    private static String answer(String sql, String[] fields) {
        BooleanExpression expression;
        try {
            expression = SelectorParser.parse(sql);
        } catch (Throwable refused) {
            return "refused";
        }
        Map<String, Object> properties = new HashMap<>();
        for (int i = 1; i + 1 < fields.length; i += 2) properties.put(fields[i], fields[i + 1]);
        try {
            return String.valueOf(expression.evaluate(new EvaluationContext() {
                public Object get(String name) {
                    return properties.get(name);
                }

                public Map<String, Object> keyValues() {
                    return properties;
                }
            }));
        } catch (Throwable error) {
            return "error";
        }
    }
}

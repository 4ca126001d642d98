// The herd's protocol on Java NIO: one file, one selector, one thread, one process a server.
//
// It is there to be measured beside the node (cargo bench --bench footprint). Like the other rivals it answers IAMAT, WHATSAT
// without places and everything else, and floods; it has no limits, keys, ages, or repair of what was lost while a link was down.
//
// java NioServer serve NAME --config FILE

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public final class NioServer {
    private static final String NO_PLACES = "{\"html_attributions\":[],\"results\":[],\"status\":\"ZERO_RESULTS\"}";
    private static final Pattern POSITION =
            Pattern.compile("([+-]\\d{1,2}(?:\\.\\d+)?)([+-]\\d{1,3}(?:\\.\\d+)?)");
    private static final Pattern NUMBER = Pattern.compile("-?\\d+(?:\\.\\d+)?");
    // Milliseconds between two tries to reach a neighbour.
    private static final long PAUSE_MS = 100;

    private record Update(double seconds, String atLine) {}

    private enum Kind { CLIENT, NEIGHBOUR, OUTGOING }

    /** A connection: what it has not sent a line end for yet, and what it has not taken yet. */
    private static final class Connection {
        final Kind kind;
        final InetSocketAddress address;
        ByteBuffer input = ByteBuffer.allocate(256);
        ByteBuffer unwritten;

        Connection(Kind kind, InetSocketAddress address) {
            this.kind = kind;
            this.address = address;
        }
    }

    private final String name;
    private final Selector selector = Selector.open();
    private final ByteBuffer buffer = ByteBuffer.allocateDirect(64 * 1024);
    private final Map<String, Update> updates = new HashMap<>();
    private final List<SelectionKey> neighbours = new ArrayList<>();
    private final Map<InetSocketAddress, Long> dialAt = new HashMap<>();

    private NioServer(String name) throws IOException {
        this.name = name;
    }

    private void hear(String client, double seconds, String atLine) throws IOException {
        Update known = updates.get(client);
        if (known == null || seconds > known.seconds()) {
            updates.put(client, new Update(seconds, atLine));
            byte[] line = (atLine + "\n").getBytes(StandardCharsets.ISO_8859_1);
            for (SelectionKey neighbour : neighbours) {
                write(neighbour, line);
            }
        }
    }

    private String iamat(String client, String position, String time) throws IOException {
        Matcher parts = POSITION.matcher(position);
        if (!parts.matches() || !NUMBER.matcher(time).matches()) return null;
        if (Math.abs(Double.parseDouble(parts.group(1))) > 90) return null;
        if (Math.abs(Double.parseDouble(parts.group(2))) > 180) return null;
        double seconds = Double.parseDouble(time);
        double skew = System.currentTimeMillis() / 1e3 - seconds;
        String atLine = "AT " + name + String.format(Locale.ROOT, " %+.9f ", skew) + client + " " + position + " " + time;
        hear(client, seconds, atLine);
        return atLine + "\n";
    }

    private String whatsat(String client, String radius, String items) {
        Update known = updates.get(client);
        if (known == null || !NUMBER.matcher(radius).matches() || !items.matches("\\d{1,2}")) return null;
        double kilometres = Double.parseDouble(radius);
        if (kilometres < 0 || kilometres > 50 || Integer.parseInt(items) > 20) return null;
        return known.atLine() + "\n" + NO_PLACES + "\n\n";
    }

    private String answer(String line) throws IOException {
        String[] fields = line.trim().split("\\s+");
        String text = null;
        if (fields.length == 4 && fields[0].equals("IAMAT")) text = iamat(fields[1], fields[2], fields[3]);
        if (fields.length == 4 && fields[0].equals("WHATSAT")) text = whatsat(fields[1], fields[2], fields[3]);
        return text != null ? text : "? " + line + "\n";
    }

    private void take(SelectionKey key, Connection connection) throws IOException {
        buffer.clear();
        int read = ((SocketChannel) key.channel()).read(buffer);
        if (read < 0) throw new IOException("the other end closed it");
        buffer.flip();
        StringBuilder answers = new StringBuilder();
        while (buffer.hasRemaining()) {
            byte next = buffer.get();
            if (next != '\n') {
                if (!connection.input.hasRemaining()) {
                    connection.input = ByteBuffer.allocate(2 * connection.input.capacity()).put(connection.input.flip());
                }
                connection.input.put(next);
                continue;
            }
            ByteBuffer bytes = connection.input.flip();
            String line = new String(bytes.array(), 0, bytes.limit(), StandardCharsets.ISO_8859_1);
            connection.input.clear();
            if (connection.kind == Kind.CLIENT) {
                answers.append(answer(line));
            } else {
                String[] fields = line.split(" ");
                if (fields.length == 6 && fields[0].equals("AT")) hear(fields[3], Double.parseDouble(fields[5]), line);
            }
        }
        if (answers.length() > 0) write(key, answers.toString().getBytes(StandardCharsets.ISO_8859_1));
    }

    private void write(SelectionKey key, byte[] bytes) throws IOException {
        Connection connection = (Connection) key.attachment();
        ByteBuffer left = ByteBuffer.wrap(bytes);
        if (connection.unwritten == null) ((SocketChannel) key.channel()).write(left);
        if (!left.hasRemaining()) return;
        int before = connection.unwritten == null ? 0 : connection.unwritten.remaining();
        ByteBuffer all = ByteBuffer.allocate(before + left.remaining());
        if (before > 0) all.put(connection.unwritten);
        connection.unwritten = all.put(left).flip();
        key.interestOps(SelectionKey.OP_READ | SelectionKey.OP_WRITE);
    }

    private void writeRest(SelectionKey key, Connection connection) throws IOException {
        ((SocketChannel) key.channel()).write(connection.unwritten);
        if (!connection.unwritten.hasRemaining()) {
            connection.unwritten = null;
            key.interestOps(SelectionKey.OP_READ);
        }
    }

    private void begin(SocketChannel channel, Connection connection, int interest) throws IOException {
        channel.configureBlocking(false);
        channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
        channel.register(selector, interest, connection);
    }

    private void dial(InetSocketAddress address) throws IOException {
        SocketChannel channel = SocketChannel.open();
        channel.configureBlocking(false);
        begin(channel, new Connection(Kind.OUTGOING, address), SelectionKey.OP_CONNECT);
        channel.connect(address);
    }

    private void turn(SelectionKey key) throws IOException {
        if (key.isAcceptable()) {
            SocketChannel channel = ((ServerSocketChannel) key.channel()).accept();
            if (channel != null) begin(channel, new Connection((Kind) key.attachment(), null), SelectionKey.OP_READ);
            return;
        }
        Connection connection = (Connection) key.attachment();
        try {
            if (key.isConnectable()) {
                ((SocketChannel) key.channel()).finishConnect();
                key.interestOps(SelectionKey.OP_READ);
                neighbours.add(key);
            }
            if (key.isReadable()) take(key, connection);
            if (key.isValid() && key.isWritable()) writeRest(key, connection);
        } catch (IOException error) {
            key.channel().close();
            neighbours.remove(key);
            if (connection.kind == Kind.OUTGOING) dialAt.put(connection.address, System.currentTimeMillis() + PAUSE_MS);
        }
    }

    private void listen(InetSocketAddress address, Kind kind) throws IOException {
        ServerSocketChannel channel = ServerSocketChannel.open().bind(address, 1024);
        channel.configureBlocking(false);
        channel.register(selector, SelectionKey.OP_ACCEPT, kind);
    }

    private void run() throws IOException {
        while (true) {
            selector.select(dialAt.isEmpty() ? 0 : PAUSE_MS);
            for (SelectionKey key : selector.selectedKeys()) {
                if (key.isValid()) turn(key);
            }
            selector.selectedKeys().clear();
            long now = System.currentTimeMillis();
            for (InetSocketAddress address : List.copyOf(dialAt.keySet())) {
                if (dialAt.get(address) <= now) {
                    dialAt.remove(address);
                    dial(address);
                }
            }
        }
    }

    private static InetSocketAddress address(String map, String node, String member) {
        Matcher found = Pattern.compile("\"" + node + "\": \\{[^}]*\"" + member + "\": \"([^\"]*):(\\d+)\"").matcher(map);
        if (!found.find()) throw new IllegalArgumentException("the configuration has no " + node + " with " + member);
        return new InetSocketAddress(found.group(1), Integer.parseInt(found.group(2)));
    }

    public static void main(String[] words) throws IOException {
        if (words.length != 4 || !words[0].equals("serve") || !words[2].equals("--config")) {
            System.err.println("usage: java NioServer serve NAME --config FILE");
            System.exit(2);
        }
        // Java has no JSON of its own; the bench's maps are of one form.
        String map = Files.readString(Path.of(words[3]));
        NioServer server = new NioServer(words[1]);
        server.listen(address(map, words[1], "links"), Kind.NEIGHBOUR);
        server.listen(address(map, words[1], "clients"), Kind.CLIENT);
        Matcher edges = Pattern.compile("\\[\"(\\w+)\",\"(\\w+)\"\\]").matcher(map);
        while (edges.find()) {
            if (edges.group(1).equals(words[1])) server.dialAt.put(address(map, edges.group(2), "links"), 0L);
            if (edges.group(2).equals(words[1])) server.dialAt.put(address(map, edges.group(1), "links"), 0L);
        }
        server.run();
    }
}

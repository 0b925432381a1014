import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.HistogramIterationValue;

/**
 * Exchange decode FILE: prints "value count" for every bucket of the histogram
 * in FILE that has counts; the value is the bucket's highest. The last line is
 * "p95 value".
 *
 * Exchange encode FILE HIGHEST VALUE...: records the values and writes the
 * histogram to FILE; a HIGHEST of 0 is a range that grows.
 */
public class Exchange {
    public static void main(String[] args) throws Exception {
        Path file = Path.of(args[1]);
        if (args[0].equals("decode")) {
            Histogram histogram = Histogram.decodeFromCompressedByteBuffer(ByteBuffer.wrap(Files.readAllBytes(file)), 0);
            for (HistogramIterationValue bucket : histogram.recordedValues()) {
                System.out.println(bucket.getValueIteratedTo() + " " + bucket.getCountAtValueIteratedTo());
            }
            System.out.println("p95 " + histogram.getValueAtPercentile(95));
            return;
        }
        long highest = Long.parseLong(args[2]);
        Histogram histogram = highest == 0 ? new Histogram(3) : new Histogram(highest, 3);
        for (int i = 3; i < args.length; i++) {
            histogram.recordValue(Long.parseLong(args[i]));
        }
        ByteBuffer buffer = ByteBuffer.allocate(histogram.getNeededByteBufferCapacity());
        int length = histogram.encodeIntoCompressedByteBuffer(buffer);
        byte[] bytes = new byte[length];
        buffer.flip();
        buffer.get(bytes);
        Files.write(file, bytes);
    }
}

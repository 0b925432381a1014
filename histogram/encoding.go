package histogram

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	cookieV2           = 0x1c849303
	cookieV2Compressed = 0x1c849304
	cookieWordSize     = 0xf0 // the bits of a cookie that do not matter

	figures = 3

	// maxEncoded is the largest encoding DecodeV2 looks at; ours are a few KiB.
	maxEncoded = 4 << 20
)

// EncodeV2 is c as HdrHistogram's V2 format has it, compressed: the bytes of
// the payload, which other implementations exchange as text in base 64. The
// lowest value is 1, the highest one hour, in nanoseconds, with 3 significant
// figures; a decoder finds the same counts in the same buckets. A total of 2⁶³
// and more cannot be encoded.
func (c *Counts) EncodeV2() ([]byte, error) {
	if c.total > math.MaxInt64 {
		return nil, fmt.Errorf("encode histogram: %d values are more than the format can hold", c.total)
	}
	h := hdrhistogram.New(1, Highest, figures)
	var err error
	c.Each(func(low, _ int64, n uint64) {
		err = errors.Join(err, h.RecordValues(low, int64(n)))
	})
	if err != nil {
		return nil, fmt.Errorf("encode histogram: %w", err)
	}
	text, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, fmt.Errorf("encode histogram: %w", err)
	}
	encoded := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(encoded, text)
	if err != nil {
		return nil, fmt.Errorf("encode histogram: %w", err)
	}
	return encoded[:n], nil
}

// DecodeV2 reads HdrHistogram's compressed V2 format, the bytes and not
// their base 64. It takes what EncodeV2 writes and every histogram of integers
// with the same buckets: 3 significant figures and a lowest value of 1. Values
// above Highest are counted as Highest. The data may come from anywhere: it
// cannot make DecodeV2 allocate more than a few megabytes.
func DecodeV2(data []byte) (*Counts, error) {
	if err := checkV2(data); err != nil {
		return nil, fmt.Errorf("decode histogram: %w", err)
	}
	h, err := hdrhistogram.Decode([]byte(base64.StdEncoding.EncodeToString(data)))
	if err != nil {
		return nil, fmt.Errorf("decode histogram: %w", err)
	}
	c := new(Counts)
	for _, bar := range h.Distribution() {
		if bar.Count > 0 {
			c.Add(bar.From, uint64(bar.Count))
		}
	}
	return c, nil
}

// headerV2 is what comes before the counts, inside of the compression.
type headerV2 struct {
	Cookie, Length, Offset, Figures int32
	Lowest, Highest                 int64
	Ratio                           float64
}

// checkV2 refuses what does not fit Counts, or the memory it should take,
// before the whole of it is decompressed.
func checkV2(data []byte) error {
	if len(data) > maxEncoded {
		return fmt.Errorf("%d bytes are more than the %d allowed", len(data), maxEncoded)
	}
	if len(data) < 8 {
		return errors.New("it is cut short")
	}
	if cookie := binary.BigEndian.Uint32(data); cookie&^cookieWordSize != cookieV2Compressed {
		return fmt.Errorf("cookie %#x is not that of HdrHistogram V2, compressed", cookie)
	}
	if length := binary.BigEndian.Uint32(data[4:]); uint64(length) != uint64(len(data)-8) {
		return fmt.Errorf("%d bytes of content are announced and %d are there", length, len(data)-8)
	}
	inflated, err := zlib.NewReader(bytes.NewReader(data[8:]))
	if err != nil {
		return err
	}
	var h headerV2
	if err := binary.Read(io.LimitReader(inflated, int64(binary.Size(h))), binary.BigEndian, &h); err != nil {
		return err
	}
	switch {
	case h.Cookie&^cookieWordSize != cookieV2:
		return fmt.Errorf("cookie %#x is not that of HdrHistogram V2", h.Cookie)
	case h.Figures != figures:
		return fmt.Errorf("%d significant figures; %d are needed", h.Figures, figures)
	case h.Lowest != 1:
		return fmt.Errorf("a lowest value of %d; 1 is needed", h.Lowest)
	case h.Highest < 2 || h.Highest > math.MaxInt64/2:
		return fmt.Errorf("a highest value of %d", h.Highest)
	case h.Ratio != 1:
		return errors.New("it does not hold integers")
	case h.Offset != 0:
		return errors.New("its values are shifted")
	}
	return nil
}

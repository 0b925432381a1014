package histogram

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
)

func same(a, b *Counts) bool {
	type bucket struct {
		low, high int64
		n         uint64
	}
	var list [2][]bucket
	for i, c := range []*Counts{a, b} {
		c.Each(func(low, high int64, n uint64) { list[i] = append(list[i], bucket{low, high, n}) })
	}
	if len(list[0]) != len(list[1]) || a.Total() != b.Total() {
		return false
	}
	for i := range list[0] {
		if list[0][i] != list[1][i] {
			return false
		}
	}
	return true
}

func TestV2RoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 14))
	histograms := map[string]*Counts{"empty": {}, "edges": {}, "large counts": {}, "an hour": {}}
	histograms["an hour"].Add(Highest, 1)
	for _, v := range edges() {
		histograms["edges"].Add(v, 1)
		histograms["large counts"].Add(v, 1+random.Uint64N(1<<50))
	}
	for _, d := range distributions {
		histograms[d.name] = new(Counts)
		for range 20_000 {
			histograms[d.name].Add(d.draw(random), 1)
		}
	}
	for name, c := range histograms {
		encoded, err := c.EncodeV2()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		decoded, err := DecodeV2(encoded)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !same(c, decoded) {
			t.Errorf("%s changed", name)
		}
		theirs, err := hdrhistogram.Decode([]byte(base64.StdEncoding.EncodeToString(encoded)))
		if err != nil || uint64(theirs.TotalCount()) != c.Total() {
			t.Errorf("%s: hdrhistogram-go reads %v, %v", name, theirs, err)
		}
	}
}

func TestEncodeV2Refuses(t *testing.T) {
	var c Counts
	c.Add(1, math.MaxInt64)
	c.Add(2, 1)
	if _, err := c.EncodeV2(); err == nil {
		t.Error("more than 2⁶³ values were encoded")
	}
}

// payload is a compressed V2 histogram with a header and counts of the test's.
func payload(h headerV2, counts []byte) []byte {
	var content bytes.Buffer
	w := zlib.NewWriter(&content)
	_ = binary.Write(w, binary.BigEndian, h)
	_, _ = w.Write(counts)
	_ = w.Close()
	out := binary.BigEndian.AppendUint32(nil, cookieV2Compressed|0x10)
	out = binary.BigEndian.AppendUint32(out, uint32(content.Len()))
	return append(out, content.Bytes()...)
}

func zigzag(v int64) []byte {
	return binary.AppendUvarint(nil, uint64(v)<<1^uint64(v>>63))
}

func TestDecodeV2Refuses(t *testing.T) {
	good := headerV2{Cookie: cookieV2 | 0x10, Length: 1, Figures: 3, Lowest: 1, Highest: Highest, Ratio: 1}
	with := func(change func(*headerV2), counts []byte) []byte {
		h := good
		h.Length = int32(len(counts))
		if change != nil {
			change(&h)
		}
		return payload(h, counts)
	}
	fine := with(nil, zigzag(1))
	if _, err := DecodeV2(fine); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, "cut short"},
		{"seven bytes", fine[:7], "cut short"},
		{"half", fine[:len(fine)/2], "announced"},
		{"more behind it", append(bytes.Clone(fine), 0), "announced"},
		{"another format", append([]byte{1, 2, 3, 4}, fine[4:]...), "cookie"},
		{"not compressed", append(bytes.Clone(fine[:8]), make([]byte, len(fine)-8)...), "zlib"},
		{"a checksum that is wrong", append(bytes.Clone(fine[:len(fine)-1]), fine[len(fine)-1]^1), "checksum"},
		{"too long", make([]byte, maxEncoded+1), "allowed"},
		{"cookie inside", with(func(h *headerV2) { h.Cookie = 7 }, zigzag(1)), "cookie"},
		{"figures", with(func(h *headerV2) { h.Figures = 2 }, zigzag(1)), "significant figures"},
		{"more figures", with(func(h *headerV2) { h.Figures = 5 }, zigzag(1)), "significant figures"},
		{"lowest", with(func(h *headerV2) { h.Lowest = 1000 }, zigzag(1)), "lowest"},
		{"lowest below", with(func(h *headerV2) { h.Lowest = -1 }, zigzag(1)), "lowest"},
		{"highest", with(func(h *headerV2) { h.Highest = 1 }, zigzag(1)), "highest"},
		{"highest of all", with(func(h *headerV2) { h.Highest = math.MaxInt64 }, zigzag(1)), "highest"},
		{"doubles", with(func(h *headerV2) { h.Ratio = 0.5 }, zigzag(1)), "integers"},
		{"no number", with(func(h *headerV2) { h.Ratio = math.NaN() }, zigzag(1)), "integers"},
		{"shifted", with(func(h *headerV2) { h.Offset = 10 }, zigzag(1)), "shifted"},
		{"length below zero", with(func(h *headerV2) { h.Length = -1 }, zigzag(1)), "PayloadLength"},
		{"length beyond the end", with(func(h *headerV2) { h.Length = 100 }, zigzag(1)), "PayloadLength"},
		{"length of a bomb", with(func(h *headerV2) { h.Length = math.MaxInt32 }, zigzag(1)), "PayloadLength"},
		{"a bomb", with(nil, make([]byte, 50<<20)), "PayloadLength"},
		{"zeros beyond the end", with(nil, zigzag(-1_000_000)), "overflows"},
		{"zeros without end", with(nil, zigzag(math.MinInt64)), "overflows"},
		{"a total of 2⁶³", with(nil, append(zigzag(math.MaxInt64), zigzag(1)...)), "MaxInt64"},
		{"a count cut short", with(nil, []byte{0x80}), "truncated"},
	}
	for _, tt := range tests {
		_, err := DecodeV2(tt.data)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "decode histogram: ") {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
}

// Of ranges beyond an hour, values above it count as an hour.
func TestDecodeV2WiderRange(t *testing.T) {
	h := hdrhistogram.New(1, 1<<61, 3)
	for _, v := range []int64{1, 5_000_000, Highest * 2, 1 << 60} {
		if err := h.RecordValue(v); err != nil {
			t.Fatal(err)
		}
	}
	text, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		t.Fatal(err)
	}
	data, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeV2(data)
	if err != nil {
		t.Fatal(err)
	}
	want := new(Counts)
	want.Add(1, 1)
	want.Add(5_000_000, 1)
	want.Add(Highest, 2)
	if !same(got, want) {
		t.Error("the counts differ")
	}
}

func FuzzDecodeV2(f *testing.F) {
	c := new(Counts)
	for _, v := range edges() {
		c.Add(v, 3)
	}
	encoded, err := c.EncodeV2()
	if err != nil {
		f.Fatal(err)
	}
	h := headerV2{Cookie: cookieV2 | 0x10, Length: 2, Figures: 3, Lowest: 1, Highest: Highest, Ratio: 1}
	f.Add(encoded)
	f.Add(payload(h, append(zigzag(-5), zigzag(5)...)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, data := range [][]byte{data, payload(h, data), payload(headerV2{
			Cookie: cookieV2, Length: int32(len(data)), Figures: 3, Lowest: 1, Highest: Highest, Ratio: 1,
		}, data)} {
			decoded, err := DecodeV2(data)
			if err != nil {
				continue
			}
			again, err := decoded.EncodeV2()
			if err != nil {
				t.Fatalf("what was decoded cannot be encoded: %v", err)
			}
			back, err := DecodeV2(again)
			if err != nil || !same(decoded, back) {
				t.Fatalf("encoded again it is another: %v", err)
			}
		}
	})
}

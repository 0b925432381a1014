package ledger

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// acceptsGzip reads an Accept-Encoding header (RFC 9110, section 12.5.3).
func acceptsGzip(header []string) bool {
	accepted := false
	for _, line := range header {
		for coding := range strings.SplitSeq(line, ",") {
			name, weight, _ := strings.Cut(coding, ";")
			name = strings.ToLower(strings.TrimSpace(name))
			if name != "gzip" && name != "x-gzip" && name != "*" {
				continue
			}
			wanted := weightOf(weight) > 0
			if name != "*" {
				return wanted // what is said of gzip goes before what is said of all
			}
			accepted = wanted
		}
	}
	return accepted
}

// weightOf reads a quality value, as in "q=0.5"; 1 when there is none, 0 when it cannot be read.
func weightOf(parameter string) float64 {
	name, value, ok := strings.Cut(parameter, "=")
	if !ok {
		return 1
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || !strings.EqualFold(strings.TrimSpace(name), "q") {
		return 0
	}
	return q
}

var gzips = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant that exists
	}
	return w
}}

// compress returns data in gzip, the same for the same data.
func compress(data []byte) []byte {
	w := gzips.Get().(*gzip.Writer)
	defer gzips.Put(w)
	var out bytes.Buffer
	w.Reset(&out)
	// Writing to a buffer in memory does not fail.
	w.Write(data)
	w.Close()
	return out.Bytes()
}

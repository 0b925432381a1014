package manifest

import (
	"bytes"
	"strings"
)

// chunk is one document of a stream as it is written, with the line of
// dashes that begins it.
type chunk struct {
	text []byte
	line int // of its first line in the stream, from 1
}

// split cuts a stream of YAML before each line that begins with three dashes: YAML
// allows such a line nowhere else. The chunks joined are the stream.
func split(stream []byte) (chunks []chunk) {
	begin, line, beginLine := 0, 1, 1
	for at := 0; at < len(stream); {
		if at > begin && isMarker(stream[at:]) {
			chunks = append(chunks, chunk{stream[begin:at], beginLine})
			begin, beginLine = at, line
		}
		next := bytes.IndexByte(stream[at:], '\n')
		if next < 0 {
			break
		}
		at += next + 1
		line++
	}
	if begin < len(stream) {
		chunks = append(chunks, chunk{stream[begin:], beginLine})
	}
	return chunks
}

func isMarker(text []byte) bool {
	rest, ok := bytes.CutPrefix(text, []byte("---"))
	return ok && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0])))
}

// blank says whether a chunk has nothing but its marker, directives and comments.
func (c chunk) blank() bool {
	for line := range strings.Lines(string(c.text)) {
		line = strings.TrimSpace(line)
		if line != "" && line != "---" && line != "..." && line[0] != '#' && line[0] != '%' && !strings.HasPrefix(line, "--- #") {
			return false
		}
	}
	return true
}

package verify

import (
	"bufio"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// A frame reads one frame of a compressed stream (RFC 8878, section 3.1.1) and
// ends where that ends. A decoder by itself goes on with the next one, and passes
// over such as it is told to skip.
type frame struct {
	r        *bufio.Reader
	left     int64 // bytes of what is passed on at present
	inBlocks bool  // a block's header follows, else the frame's end
	checksum int64 // bytes of it after the last block
}

const blockHeader = 3 // bytes

// begin reads the frame's header ahead. A stream that ends within it is an
// io.ErrUnexpectedEOF.
func (f *frame) begin() error {
	ahead, err := f.r.Peek(zstd.HeaderMaxSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var h zstd.Header
	if err := h.Decode(ahead); err != nil {
		return err
	}
	f.left, f.inBlocks = int64(h.HeaderSize), true
	if h.HasCheckSum {
		f.checksum = 4
	}
	return nil
}

func (f *frame) Read(p []byte) (int, error) {
	for f.left == 0 {
		if !f.inBlocks {
			return 0, io.EOF
		}
		if err := f.block(); err != nil {
			return 0, err
		}
	}
	n, err := f.r.Read(p[:min(int64(len(p)), f.left)])
	if f.left -= int64(n); errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// block reads the next block's header ahead.
func (f *frame) block() error {
	h, err := f.r.Peek(blockHeader)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	header := int64(h[0]) | int64(h[1])<<8 | int64(h[2])<<16
	f.left = blockHeader + header>>3
	if repeated := header>>1&3 == 1; repeated {
		f.left = blockHeader + 1
	}
	if last := header&1 == 1; last {
		f.inBlocks = false
		f.left += f.checksum
	}
	return nil
}

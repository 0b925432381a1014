package ledger

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"math"
	"os"
	"strconv"
)

// The parts of Badger's write-ahead log that it takes to find its end. The
// file has a header of walHeader bytes, then records: meta, user meta, lengths
// of key and value and an expiry as varints, key, value, and a CRC-32C of all
// that. The records of a transaction have bit walTxn set and end with one that
// has walEndTxn, whose value is the transaction's timestamp in decimal; a key
// ends in 8 bytes that are MaxUint64 less the timestamp.
const (
	walHeader = 20
	walTxn    = 1 << 6
	walEndTxn = 1 << 7
	walMaxKey = 1 << 16
)

// walEnd finds where the last whole transaction of a write-ahead log ends.
// Badger reserves more for the file than it has written, and wants to cut off
// the rest before it reads a store without writing to it. An end that Badger
// would not agree with makes it refuse to read, or leaves out transactions;
// neither goes unnoticed by whoever checks the rows.
func walEnd(path string) (end int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() <= walHeader {
		return 0, nil
	}
	if _, err := f.Seek(walHeader, io.SeekStart); err != nil {
		return 0, err
	}
	r := &walReader{in: bufio.NewReader(f), crc: crc32.New(crc32.MakeTable(crc32.Castagnoli)), at: walHeader, size: info.Size()}
	end = walHeader
	for open := uint64(0); ; {
		rec, err := r.next()
		if err != nil {
			return 0, fmt.Errorf("reading %s: %w", path, err)
		}
		switch {
		case rec == nil:
			return end, nil
		case rec.meta&walTxn != 0:
			if open == 0 {
				open = rec.timestamp
			}
			if open != rec.timestamp {
				return end, nil
			}
		case rec.meta&walEndTxn != 0:
			if rec.ends != open {
				return end, nil
			}
			open, end = 0, r.at
		case open != 0:
			return end, nil
		default:
			end = r.at
		}
	}
}

// walReader reads records one after the other.
type walReader struct {
	in       *bufio.Reader
	crc      hash.Hash32
	at, size int64
	key      []byte
}

// walRecord is what matters of a record.
type walRecord struct {
	meta      byte
	timestamp uint64 // of its key
	ends      uint64 // the transaction that it ends; 0 when it does not
}

// next reads a record; nil where there is no whole one. An error is one of the disk.
func (r *walReader) next() (*walRecord, error) {
	r.crc.Reset()
	rec, err := r.record()
	if err == errNoRecord || err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, nil
	}
	return rec, err
}

// errNoRecord says that bytes are not a record.
var errNoRecord = fmt.Errorf("not a record")

func (r *walReader) record() (*walRecord, error) {
	meta, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	if _, err := r.ReadByte(); err != nil {
		return nil, err
	}
	var lengths [3]uint64 // key, value, expiry
	for i := range lengths {
		if lengths[i], err = r.varint(); err != nil {
			return nil, err
		}
	}
	keyLen, valueLen := lengths[0], lengths[1]
	if keyLen < 8 || keyLen > walMaxKey || valueLen > uint64(r.size-r.at) {
		return nil, errNoRecord
	}
	if r.key, err = r.read(r.key, int(keyLen)); err != nil {
		return nil, err
	}
	rec := &walRecord{meta: meta, timestamp: math.MaxUint64 - binary.BigEndian.Uint64(r.key[keyLen-8:])}
	if err := r.value(rec, int64(valueLen)); err != nil {
		return nil, err
	}
	sum := r.crc.Sum32()
	stored, err := r.read(nil, crc32.Size)
	if err != nil {
		return nil, err
	}
	if binary.BigEndian.Uint32(stored) != sum {
		return nil, errNoRecord
	}
	return rec, nil
}

// value reads the value of a record, which matters only at the end of a transaction.
func (r *walReader) value(rec *walRecord, length int64) error {
	const longestNumber = 20
	if rec.meta&walEndTxn == 0 || length > longestNumber {
		n, err := io.CopyN(r.crc, r.in, length)
		r.at += n
		return err
	}
	text, err := r.read(nil, int(length))
	if err != nil {
		return err
	}
	rec.ends, _ = strconv.ParseUint(string(text), 10, 64)
	return nil
}

// varint reads a varint of at most 10 bytes.
func (r *walReader) varint() (uint64, error) {
	v, err := binary.ReadUvarint(r)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return 0, errNoRecord
	}
	return v, err
}

// read reads n bytes into buf, or a longer one.
func (r *walReader) read(buf []byte, n int) ([]byte, error) {
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	got, err := io.ReadFull(r.in, buf)
	r.at += int64(got)
	r.crc.Write(buf[:got])
	return buf, err
}

// ReadByte reads one byte.
func (r *walReader) ReadByte() (byte, error) {
	b, err := r.in.ReadByte()
	if err == nil {
		r.at++
		r.crc.Write([]byte{b})
	}
	return b, err
}

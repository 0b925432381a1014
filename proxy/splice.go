package proxy

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// What is long and of known length passes from plain socket to plain socket
// through a pipe by splice(2), which hands pages over where reading and writing
// would copy every byte twice. TLS, what is to be framed in chunks, and short
// bodies go by the read buffer.

const (
	minSpliced  = 64 << 10 // bytes left of a body from which on a pipe is worth its while
	mostSpliced = 64 << 10 // bytes passed on at a time
	mostPipes   = 64       // at a time; there are two descriptors to each
	mostIdle    = 16       // pipes that are kept for the next bodies
)

// pipe is what a body passes through. It is empty but between fill and drain,
// and used by one copy at a time.
type pipe struct {
	in, out int // descriptors: written to, read from
	held    int // bytes in it

	// Of the call in progress.
	want int
	err  error

	take func(fd uintptr) bool // takeFrom, bound once
	give func(fd uintptr) bool // giveTo, bound once
}

// errUnspliced says that what comes next from this socket has to be read.
// Nothing has been taken from it.
var errUnspliced = errors.New("the socket cannot be spliced")

// newPipe returns nil when none is to be had, or none but a small one: the
// kernel makes those for a user who has many, and they cost more than copying.
func newPipe() *pipe {
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return nil
	}
	p := &pipe{out: fds[0], in: fds[1]}
	if size, err := unix.FcntlInt(uintptr(p.in), unix.F_GETPIPE_SZ, 0); err != nil || size < mostSpliced {
		p.close()
		return nil
	}
	p.take, p.give = p.takeFrom, p.giveTo
	return p
}

func (p *pipe) close() {
	_ = unix.Close(p.in)
	_ = unix.Close(p.out)
}

// fill takes at most n bytes from a socket, and waits until there are any. The
// error is io.EOF at their end.
func (p *pipe) fill(from syscall.RawConn, n int64) error {
	p.want, p.err = int(min(n, mostSpliced)), nil
	if err := from.Read(p.take); err != nil {
		return err
	}
	return p.err
}

// drain gives what the pipe holds to a socket, and waits for room.
func (p *pipe) drain(to syscall.RawConn) error {
	p.err = nil
	if err := to.Write(p.give); err != nil {
		return err
	}
	return p.err
}

func (p *pipe) takeFrom(fd uintptr) bool {
	n, err := splice(int(fd), p.in, p.want)
	switch err {
	case nil, unix.EAGAIN:
		// The pipe is empty, so it is the socket that has nothing, or has urgent
		// data next: reading leaves that out and goes on, splicing does neither.
		switch {
		case n > 0:
		case atMark(fd):
			p.err = errUnspliced
		case err != nil:
			return false
		default:
			p.err = io.EOF
		}
	case unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP, unix.EPERM, unix.EACCES, unix.ENOMEM:
		p.err = errUnspliced
	default:
		p.err = os.NewSyscallError("splice", err)
	}
	p.held = n
	return true
}

// atMark reports whether urgent data is what a TCP socket would read next (tcp(7)).
func atMark(fd uintptr) bool {
	is, err := unix.IoctlGetInt(int(fd), unix.SIOCATMARK)
	return err == nil && is != 0
}

func (p *pipe) giveTo(fd uintptr) bool {
	for p.held > 0 {
		n, err := splice(p.out, int(fd), p.held)
		if err == unix.EAGAIN {
			return false
		}
		if err == nil && n == 0 {
			err = unix.EPIPE
		}
		if err != nil {
			p.err = os.NewSyscallError("splice", err)
			return true
		}
		p.held -= n
	}
	return true
}

// splice moves at most n bytes without waiting. It returns 0 bytes with an error.
func splice(from, to, n int) (int, error) {
	for {
		moved, err := unix.Splice(from, nil, to, nil, n, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if err == nil {
			return int(moved), nil
		}
		if err != unix.EINTR {
			return 0, err
		}
	}
}

// pipes are those of a proxy. Safe for concurrent use.
type pipes struct {
	idle   chan *pipe
	made   atomic.Int32 // and not closed yet
	closed atomic.Bool
}

func newPipes() *pipes { return &pipes{idle: make(chan *pipe, mostIdle)} }

// acquire returns nil when no pipe is to be had; a body can be copied as well.
func (s *pipes) acquire() *pipe {
	select {
	case p := <-s.idle:
		return p
	default:
	}
	if s.made.Add(1) <= mostPipes {
		if p := newPipe(); p != nil {
			return p
		}
	}
	s.made.Add(-1)
	return nil
}

// release takes a pipe back. One with bytes in it cannot be used again.
func (s *pipes) release(p *pipe) {
	if p.held == 0 {
		select {
		case s.idle <- p:
			if s.closed.Load() {
				s.close()
			}
			return
		default:
		}
	}
	p.close()
	s.made.Add(-1)
}

// close closes the idle pipes; the others are when they are released.
func (s *pipes) close() {
	s.closed.Store(true)
	for {
		select {
		case p := <-s.idle:
			p.close()
			s.made.Add(-1)
		default:
			return
		}
	}
}

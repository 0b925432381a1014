package proxy

import (
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The sockets of plain connections are read and written by system calls of our
// own where one is sure not to wait: net.Conn would try a read first that finds
// nothing, as the answer to what has just been sent cannot be there yet, and
// would give the processor away around each call, which costs more than it.
//
// Both happen inside the function that syscall.RawConn's Read takes. It holds
// the socket's read side, and every event since its first call has that function
// called again; so nothing that arrives is overlooked, read or not.

// noSocket stands for the descriptor when the read side is not held.
const noSocket = -1

// errAgain says that nothing is there to read, or no room to write.
var errAgain error = unix.EAGAIN

// receive reads what is there, or returns errAgain.
func receive(fd int, p []byte) (n int, err error) {
	return received(p, fd, unix.MSG_DONTWAIT)
}

// glance returns errAgain when nothing is there to read and the peer goes on
// sending; it takes nothing.
func glance(fd int) error {
	var b [1]byte
	_, err := received(b[:], fd, unix.MSG_DONTWAIT|unix.MSG_PEEK)
	return err
}

func received(p []byte, fd, flags int) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), uintptr(flags), 0, 0)
	switch {
	case errno != 0:
		return 0, failed("recvfrom", errno)
	case n == 0:
		return 0, io.EOF
	}
	return int(n), nil
}

// send writes as much of p as there is room for. The error is errAgain when
// there is none at all.
func send(fd int, p []byte) (n int, err error) {
	r, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, failed("sendto", errno)
	}
	return int(r), nil
}

func failed(call string, errno unix.Errno) error {
	if errno == unix.EAGAIN {
		return errAgain
	}
	return os.NewSyscallError(call, errno)
}

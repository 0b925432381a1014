// Package netns runs functions in network namespaces other than the process's
// own. Linux only.
package netns

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Own is the namespace of the thread that opens it.
const Own = "/proc/thread-self/ns/net"

// Elsewhere calls f on a thread that leave has taken to another namespace, and
// returns the error of either. The thread goes back afterwards: its end would be
// that of the processes it has started (Pdeathsig).
func Elsewhere(leave, f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open(Own)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	if err := leave(); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return fmt.Errorf("a thread cannot go back to its network namespace: %w", back) // and stays locked
	}
	runtime.UnlockOSThread()
	return err
}

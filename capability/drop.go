// Package capability gives up what a process may do beyond what its user may.
// Linux only.
package capability

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lastCap is where the kernel says which capability is its last.
const lastCap = "/proc/sys/kernel/cap_last_cap"

// Drop takes every capability from every thread of the process, for good: the
// permitted, effective, inheritable and ambient sets are empty afterwards, and no
// program that it executes can have more (no_new_privs). The bounding set, which
// only bounds such programs, is emptied too when CAP_SETPCAP allows it.
//
// What is open stays open. A file of another user that only
// CAP_DAC_OVERRIDE let root read cannot be opened any more.
//
// It works in a binary without cgo, as releases are; with cgo it is an error and changes nothing.
func Drop() error {
	set, err := held()
	if err != nil {
		return err
	}
	if err := prctl(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return fmt.Errorf("cannot rule out new privileges: %w", reason(err))
	}
	if set.has(unix.CAP_SETPCAP) {
		if err := dropBounding(); err != nil {
			return err
		}
	}
	return empty()
}

// reason names what AllThreadsSyscall cannot do.
func reason(err error) error {
	if errors.Is(err, syscall.ENOTSUP) {
		return errors.New("this binary was built with cgo, whose threads Go does not reach: build it with CGO_ENABLED=0")
	}
	return err
}

// prctl sets an option of every thread.
func prctl(option, arg uintptr) error {
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, option, arg, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func dropBounding() error {
	last, err := last()
	if err != nil {
		return err
	}
	for c := range last + 1 {
		if err := prctl(unix.PR_CAPBSET_DROP, uintptr(c)); err != nil {
			return fmt.Errorf("cannot take capability %d out of the bounding set: %w", c, err)
		}
	}
	return nil
}

func last() (int, error) {
	text, err := os.ReadFile(lastCap)
	if err != nil {
		return 0, fmt.Errorf("cannot read which capabilities there are: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("%s has no number: %w", lastCap, err)
	}
	return n, nil
}

// set is the permitted, effective and inheritable capabilities of a thread, the
// lower 32 of each and then the upper ones, as capset(2) has them.
type set [2]unix.CapUserData

func (s set) has(capability int) bool {
	return s[capability/32].Effective&(1<<(capability%32)) != 0
}

func header() unix.CapUserHeader {
	return unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
}

// held is what this thread has, and so every other: they are never told apart.
func held() (s set, err error) {
	h := header()
	if err := unix.Capget(&h, &s[0]); err != nil {
		return s, fmt.Errorf("cannot read the capabilities of this process: %w", err)
	}
	return s, nil
}

// empty clears the three sets of every thread, and with the permitted and the
// inheritable ones the ambient (capabilities(7)).
func empty() error {
	h, s := header(), set{}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&h)), uintptr(unsafe.Pointer(&s)), 0)
	if errno != 0 {
		return fmt.Errorf("cannot give up the capabilities of this process: %w", errno)
	}
	return nil
}

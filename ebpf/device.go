package ebpf

import (
	"context"
	"errors"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// device is a network interface of the namespace.
type device struct {
	index int
	name  string
	kind  uint16 // ARPHRD_…
	up    bool
}

func (d device) loopback() bool { return d.kind == unix.ARPHRD_LOOPBACK }
func (d device) ethernet() bool { return d.kind == unix.ARPHRD_ETHER }

// odd reports whether arriving packets begin with something that the programs do
// not know: the outer headers of a tunnel, or InfiniBand's.
func (d device) odd() bool {
	return d.kind == unix.ARPHRD_SIT || d.kind == unix.ARPHRD_IPGRE || d.kind == unix.ARPHRD_INFINIBAND
}

// listDevices asks the kernel by rtnetlink; /sys may be another namespace's.
func listDevices() ([]device, error) {
	answer, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return nil, err
	}
	messages, err := syscall.ParseNetlinkMessage(answer)
	if err != nil {
		return nil, err
	}
	var found []device
	for i := range messages {
		m := &messages[i]
		if m.Header.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg {
			continue
		}
		info := (*unix.IfInfomsg)(unsafe.Pointer(&m.Data[0]))
		d := device{index: int(info.Index), kind: info.Type, up: info.Flags&unix.IFF_UP != 0}
		attributes, err := syscall.ParseNetlinkRouteAttr(m)
		if err != nil {
			return nil, err
		}
		for _, a := range attributes {
			if a.Attr.Type == unix.IFLA_IFNAME {
				d.name = unix.ByteSliceToString(a.Value)
			}
		}
		found = append(found, d)
	}
	return found, nil
}

// watchDevices calls changed whenever interfaces may have come or gone, once at
// the beginning, until ctx ends.
func watchDevices(ctx context.Context, changed func()) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	// As a file that the runtime polls it keeps no thread waiting.
	socket := os.NewFile(uintptr(fd), "rtnetlink")
	defer socket.Close()
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = socket.Close() })()
	changed() // since the socket was not there yet
	message := make([]byte, 4096)
	for {
		switch _, err := socket.Read(message); {
		case ctx.Err() != nil:
			return nil
		case err == nil, errors.Is(err, unix.ENOBUFS): // what it said, or that much was said
			changed()
		default:
			return err
		}
	}
}

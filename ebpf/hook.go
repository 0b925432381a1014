package ebpf

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	cebpf "github.com/cilium/ebpf"
)

// attach attaches the programs to the hook they were loaded for.
func (k *kernel) attach(a Attach, log *slog.Logger) (hook, error) {
	if a == Socket {
		return openTap(k)
	}
	t := &tcx{kernel: k, links: make(map[int]*attached)}
	if err := t.update(log, true); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// tap is a packet socket whose filter looks at every packet of the namespace
// and wants none of them.
type tap struct{ fd int }

func openTap(k *kernel) (*tap, error) {
	// Without a protocol it gets nothing until it is bound, filter and all.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket: %w", err)
	}
	t := &tap{fd}
	if err := k.maps.Taps.Put(uint32(0), k.programs[bpfProgTap]); err != nil {
		return nil, errors.Join(fmt.Errorf("putting the program behind the filter: %w", err), t.close())
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, k.programs[bpfProgFilter].FD()); err != nil {
		return nil, errors.Join(fmt.Errorf("attaching to the packet socket: %w", err), t.close())
	}
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network order
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all}); err != nil {
		return nil, errors.Join(fmt.Errorf("binding the packet socket: %w", err), t.close())
	}
	return t, nil
}

// follow has nothing to do: the socket sees interfaces that come.
func (t *tap) follow(context.Context, *slog.Logger) {}

func (t *tap) interfaces() []string { return []string{"all"} }

func (t *tap) close() error { return unix.Close(t.fd) }

// tcx is the links to the interfaces of the namespace. They are not pinned, so
// they end with the process.
type tcx struct {
	kernel *kernel
	mu     sync.Mutex
	closed bool
	links  map[int]*attached // by index
}

type attached struct {
	name  string
	links []link.Link // none of an interface that is not seen
}

func (a *attached) close() error {
	var failed []error
	for _, l := range a.links {
		failed = append(failed, l.Close())
	}
	return errors.Join(failed...)
}

// update attaches to the interfaces that came and lets go of those that went.
// Except at first, one that cannot be attached to is only worth a line.
func (t *tcx) update(log *slog.Logger, first bool) error {
	devices, err := listDevices()
	if err != nil {
		return fmt.Errorf("listing the network interfaces: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	for index, a := range t.links {
		gone := !slices.ContainsFunc(devices, func(d device) bool { return d.index == index })
		if gone {
			_ = a.close() // the kernel has let go already
			delete(t.links, index)
			log.Info("the probe's interface is gone", "interface", a.name)
		}
	}
	for _, d := range devices {
		if t.links[d.index] != nil || d.odd() && !d.up {
			continue
		}
		if d.odd() {
			t.links[d.index] = &attached{name: d.name}
			log.Warn("the probe does not see an interface: packets begin with a link header there that the tcx hook does not know; --ebpf-attach socket does", "interface", d.name)
			continue
		}
		a, err := t.attach(d)
		switch {
		case err == nil:
			t.links[d.index] = a
			if !first {
				log.Info("the probe has attached to an interface", "interface", d.name)
			}
		case errors.Is(err, unix.ENODEV): // it came and went
		case first:
			return fmt.Errorf("attaching to interface %s: %w", d.name, err)
		default:
			log.Warn("the probe does not see an interface", "interface", d.name, "error", err)
		}
	}
	return nil
}

func (t *tcx) attach(d device) (*attached, error) {
	var in, out string
	switch {
	case d.loopback():
		out = bpfProgLoopback
	case d.ethernet():
		in, out = bpfProgIngress, bpfProgEgress
	default:
		in, out = bpfProgIngressBare, bpfProgEgressBare
	}
	a := &attached{name: d.name}
	for _, to := range []struct {
		program string
		at      cebpf.AttachType
	}{{in, cebpf.AttachTCXIngress}, {out, cebpf.AttachTCXEgress}} {
		if to.program == "" {
			continue
		}
		l, err := link.AttachTCX(link.TCXOptions{
			Interface: d.index,
			Program:   t.kernel.programs[to.program],
			Attach:    to.at,
			Anchor:    link.Head(), // before anything that may change or take the packet
		})
		if err != nil {
			return nil, errors.Join(err, a.close())
		}
		a.links = append(a.links, l)
	}
	return a, nil
}

// follow attaches to interfaces as the kernel tells of them.
func (t *tcx) follow(ctx context.Context, log *slog.Logger) {
	err := watchDevices(ctx, func() {
		if err := t.update(log, false); err != nil {
			log.Warn("the probe does not see new interfaces", "error", err)
		}
	})
	if err != nil {
		log.Warn("the probe will not see new interfaces", "error", err)
	}
}

func (t *tcx) interfaces() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var names []string
	for _, a := range t.links {
		if len(a.links) > 0 {
			names = append(names, a.name)
		}
	}
	slices.Sort(names)
	return names
}

func (t *tcx) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	var failed []error
	for _, a := range t.links {
		failed = append(failed, a.close())
	}
	t.links = nil
	return errors.Join(failed...)
}

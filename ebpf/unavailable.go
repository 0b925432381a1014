package ebpf

import (
	"errors"
	"fmt"
	"os"
	"strings"

	cebpf "github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Unavailable is why the host does not allow the probe.
type Unavailable struct {
	What string // what is missing: a capability, a kernel feature, a sysctl
	Mend string // what to do about it
	err  error
}

// Error is both, as a sentence.
func (u *Unavailable) Error() string { return u.What + "; " + u.Mend }

// Unwrap is the error that the kernel gave.
func (u *Unavailable) Unwrap() error { return u.err }

// neither is why no hook can be used.
func neither(failed []*Unavailable) *Unavailable {
	u := &Unavailable{}
	var what, mend []string
	for i, f := range failed {
		what = append(what, string([]Attach{TCX, Socket}[i])+": "+f.What)
		if len(mend) == 0 || mend[len(mend)-1] != f.Mend {
			mend = append(mend, f.Mend)
		}
	}
	u.What, u.Mend = strings.Join(what, "; "), strings.Join(mend, "; or ")
	u.err = failed[len(failed)-1].err
	return u
}

const useSocket = "use the socket hook (--ebpf-attach socket), or a kernel of Linux 6.6 or later"

// unavailable says what an error means for a hook.
func unavailable(a Attach, err error) error {
	u := &Unavailable{err: err}
	var refused *cebpf.VerifierError
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES) && !errors.As(err, &refused):
		u.What, u.Mend = forbidden(a, capabilities())
	case errors.Is(err, unix.ENOSYS):
		u.What = "the kernel has no bpf system call, or a seccomp profile hides it"
		u.Mend = "use a kernel with CONFIG_BPF_SYSCALL, or a profile that allows bpf(2)"
	case errors.Is(err, unix.EAFNOSUPPORT):
		u.What, u.Mend = "the kernel has no packet sockets (CONFIG_PACKET)", "load the module af_packet, or use the tcx hook (--ebpf-attach tcx)"
	case errors.As(err, &refused), errors.Is(err, unix.E2BIG):
		u.What = fmt.Sprintf("the verifier of Linux %s refuses the program: %v", release(), err)
		u.Mend = "use a kernel of Linux 6.1 or later, and report this if it is one"
	case errors.Is(err, cebpf.ErrNotSupported), errors.Is(err, unix.EINVAL):
		if a == TCX {
			u.What, u.Mend = "Linux "+release()+" has no tcx hook, which came with 6.6", useSocket
			break
		}
		u.What, u.Mend = fmt.Sprintf("Linux %s does not have what the probe needs: %v", release(), err), "use a kernel of Linux 6.1 or later"
	case errors.Is(err, unix.ENOMEM):
		u.What, u.Mend = "there is no memory for the probe's maps", "raise the memory limit of the container"
	default:
		u.What = fmt.Sprintf("Linux %s does not attach the probe by %s: %v", release(), a, err)
		u.Mend = "report this if it happens again"
	}
	return u
}

// capability is one that a hook may need, by its number in the kernel.
type capability struct {
	name   string
	number uint
}

var (
	capBPF      = capability{"CAP_BPF", unix.CAP_BPF}
	capNetAdmin = capability{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN}
	capNetRaw   = capability{"CAP_NET_RAW", unix.CAP_NET_RAW}
)

// needs are the capabilities of a hook.
func needs(a Attach) []capability {
	if a == TCX {
		return []capability{capBPF, capNetAdmin}
	}
	return []capability{capBPF, capNetRaw}
}

// missing are the capabilities of a hook that are not in the effective set.
// CAP_SYS_ADMIN includes CAP_BPF.
func missing(a Attach, effective uint64) []string {
	var names []string
	for _, c := range needs(a) {
		has := effective>>c.number&1 != 0
		if c == capBPF {
			has = has || effective>>unix.CAP_SYS_ADMIN&1 != 0
		}
		if !has {
			names = append(names, c.name)
		}
	}
	return names
}

// forbidden says why the kernel refuses what it could do.
func forbidden(a Attach, effective uint64) (what, mend string) {
	if names := missing(a, effective); len(names) > 0 {
		add := "add it"
		if len(names) > 1 {
			add = "add them"
		}
		return "the process lacks " + strings.Join(names, " and "),
			"run it as root, or " + add + " to the container (cap_add, securityContext.capabilities.add) or the file (setcap), without the prefix CAP_ where Docker and Kubernetes ask for it"
	}
	if how, err := os.ReadFile("/sys/kernel/security/lockdown"); err == nil && strings.Contains(string(how), "[confidentiality]") {
		return "the kernel is locked down (confidentiality)", "boot with lockdown=integrity or none"
	}
	return "the kernel refuses although the capabilities are there: a seccomp profile, a security module, or a user namespace that is not the first (kernel.unprivileged_bpf_disabled does not matter to it)",
		"allow bpf(2) in the profile, and give the capabilities in the host's user namespace"
}

// capabilities is the effective set of the process, 0 when it cannot be read.
func capabilities() uint64 {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective)
}

// release is the kernel's, as uname -r prints it.
func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "of unknown version"
	}
	return unix.ByteSliceToString(u.Release[:])
}

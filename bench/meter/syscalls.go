package meter

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Counter counts the system calls of the processes that it is told, by a program
// in the kernel. While it is open every system call of the machine is dearer by
// some 50 ns: it is for a run of its own, whose times nobody uses. Safe for
// concurrent use.
type Counter struct {
	counts *ebpf.Map // process → calls, on each processor
	link   link.Link
}

// mostProcesses is how many can be counted at once.
const mostProcesses = 1024

// CountSyscalls begins. It needs CAP_BPF and CAP_PERFMON, and processes that are
// not in a PID namespace of their own; the error says what is missing.
func CountSyscalls() (c *Counter, err error) {
	c = &Counter{}
	defer func() {
		if err != nil {
			c.Close()
			c, err = nil, fmt.Errorf("system calls cannot be counted: %w", err)
		}
	}()
	if c.counts, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.PerCPUHash, KeySize: 4, ValueSize: 8, MaxEntries: mostProcesses}); err != nil {
		return c, err
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.RawTracepoint, License: "MIT", Instructions: count(c.counts)})
	if err != nil {
		return c, err
	}
	defer program.Close()
	if c.link, err = link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sys_enter", Program: program}); err != nil {
		return c, err
	}
	return c, c.try()
}

// count is the program: it looks the calling process up among those that are
// counted, and adds one. No other program of its kind interrupts it on its
// processor, so plain addition does.
func count(counts *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.FnGetCurrentPidTgid.Call(),
		asm.RSh.Imm(asm.R0, 32), // the process; the thread is in the lower half
		asm.StoreMem(asm.RFP, -4, asm.R0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, counts.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "end"),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("end"),
		asm.Return(),
	}
}

// try counts calls of its own, which are missing where the kernel knows this
// process by another number.
func (c *Counter) try() error {
	own := Of(os.Getpid())
	if err := c.Watch(own); err != nil {
		return err
	}
	const calls = 10
	for range calls {
		unix.Getppid()
	}
	n, err := c.Read(own)
	if err == nil && n < calls {
		err = errors.New("the kernel numbers this process otherwise than its PID namespace does: run it in the machine's own")
	}
	if err != nil {
		return err
	}
	return c.counts.Delete(uint32(os.Getpid()))
}

// Watch counts a set from now on; one that is counted already begins at nothing again.
func (c *Counter) Watch(s Set) error {
	nothing := make([]uint64, ebpf.MustPossibleCPU())
	for _, pid := range s.pids {
		if err := c.counts.Put(uint32(pid), nothing); err != nil {
			return fmt.Errorf("cannot count the system calls of process %d: %w", pid, err)
		}
	}
	return nil
}

// Read is the system calls of a set that is watched, so far.
func (c *Counter) Read(s Set) (sum uint64, err error) {
	for _, pid := range s.pids {
		var each []uint64
		if err := c.counts.Lookup(uint32(pid), &each); err != nil {
			return 0, fmt.Errorf("the system calls of process %d are not being counted: %w", pid, err)
		}
		for _, n := range each {
			sum += n
		}
	}
	return sum, nil
}

// Close ends the counting.
func (c *Counter) Close() {
	if c.link != nil {
		_ = c.link.Close() // nothing is left to be done about it
	}
	if c.counts != nil {
		_ = c.counts.Close()
	}
}

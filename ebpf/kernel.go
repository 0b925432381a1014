package ebpf

import (
	"crypto/rand"
	"encoding/binary"
	"errors"

	cebpf "github.com/cilium/ebpf"
)

// kernel is what was loaded: the programs of one kind of hook, and the maps.
type kernel struct {
	kind     Attach
	programs map[string]*cebpf.Program
	maps     bpfMaps
	vars     bpfVariables
	memory   uint64
}

// programsOf are the entry points of each hook.
var programsOf = map[Attach][]string{
	TCX:    {bpfProgIngress, bpfProgEgress, bpfProgLoopback, bpfProgIngressBare, bpfProgEgressBare},
	Socket: {bpfProgTap, bpfProgFilter},
}

// load brings the programs for cfg.Attach and the maps into the kernel.
func load(cfg Config) (*kernel, error) {
	spec, err := loadBpf()
	if err != nil {
		return nil, err
	}
	for name := range spec.Programs {
		wanted := false
		for _, p := range programsOf[cfg.Attach] {
			wanted = wanted || p == name
		}
		if !wanted {
			delete(spec.Programs, name)
		}
	}
	var seed [8]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, err
	}
	err = errors.Join(
		spec.Variables[bpfVarPort].Set(cfg.Port<<8|cfg.Port>>8), // in network order
		spec.Variables[bpfVarSeed].Set(binary.NativeEndian.Uint64(seed[:])),
		spec.Variables[bpfVarClasses].Set(classes()),
	)
	if err != nil {
		return nil, err
	}
	spec.Maps[bpfMapConnections].MaxEntries = uint32(cfg.MaxConnections)
	coll, err := cebpf.NewCollection(spec)
	if err != nil {
		return nil, err
	}
	defer coll.Close()
	k := &kernel{kind: cfg.Attach, programs: make(map[string]*cebpf.Program)}
	if err := coll.Assign(&k.maps); err != nil {
		return nil, err
	}
	if err := coll.Assign(&k.vars); err != nil {
		return nil, errors.Join(err, k.close())
	}
	for _, name := range programsOf[cfg.Attach] {
		k.programs[name] = coll.DetachProgram(name)
	}
	k.memory = memoryOf(spec)
	return k, nil
}

func (k *kernel) close() error {
	var failed []error
	for _, p := range k.programs {
		failed = append(failed, p.Close())
	}
	return errors.Join(append(failed, k.maps.Close())...)
}

// memoryOf is what the maps take at most, in bytes: entries, what the kernel
// puts before each, and the table of buckets.
func memoryOf(spec *cebpf.CollectionSpec) uint64 {
	const header, bucket = 72, 16
	cpus := uint64(cebpf.MustPossibleCPU())
	var sum uint64
	for _, m := range spec.Maps {
		entries, key, value := uint64(m.MaxEntries), uint64(m.KeySize+7)&^7, uint64(m.ValueSize+7)&^7
		switch m.Type {
		case cebpf.Hash, cebpf.LRUHash:
			buckets := uint64(1)
			for buckets < entries {
				buckets *= 2
			}
			sum += entries*(header+key+value) + buckets*bucket
		case cebpf.PerCPUArray:
			sum += cpus * value * entries
		default:
			sum += value * entries
		}
	}
	return sum
}

// The classes of bytes, as route.h has them.
const (
	classDecimal = 1 << iota
	classHex
	classLetter
	classSeparator
	classOther
	classSlash
	classEnd
	classCapital
)

// classes is the table by which the kernel tells identifiers from words: the
// one of package histogram, as far as it needs to be the same.
func classes() (table [256]uint8) {
	for c := range table {
		switch {
		case c >= '0' && c <= '9':
			table[c] = classDecimal
		case c >= 'a' && c <= 'f':
			table[c] = classHex
		case c >= 'A' && c <= 'F':
			table[c] = classHex | classCapital
		case c >= 'g' && c <= 'z':
			table[c] = classLetter
		case c >= 'G' && c <= 'Z':
			table[c] = classLetter | classCapital
		case c == '-' || c == '_':
			table[c] = classSeparator
		case c == '/':
			table[c] = classSlash
		case c <= ' ' || c == '?' || c == '#':
			table[c] = classEnd
		default:
			table[c] = classOther
		}
	}
	return table
}

package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/strictyaml"
)

// Size is a number of bytes. It is written as a plain number or with a unit:
// B, KiB, MiB, GiB (powers of 1024) or KB, MB, GB (powers of 1000).
type Size int64

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
}

var errSize = errors.New("must be a size such as 512KiB, 1MiB or a number of bytes")

// ParseSize reads a size as a user writes it. Fractions and negative sizes
// are errors.
func ParseSize(s string) (Size, error) {
	digits, unit := strings.TrimSpace(s), int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(digits, u.suffix); ok {
			digits, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > uint64(math.MaxInt64/unit) {
		return 0, errSize
	}
	return Size(int64(n) * unit), nil
}

// String writes the size with the largest unit that needs no fraction.
func (s Size) String() string {
	for _, u := range sizeUnits[:3] {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// parse reads s into the setting p points to. The error completes the
// sentence "KEY …".
func parse(p any, s string) error {
	switch p := p.(type) {
	case *string:
		*p = s
	case *bool:
		v, err := strconv.ParseBool(s)
		if err != nil {
			return errors.New("must be true or false")
		}
		*p = v
	case *int:
		v, err := strconv.Atoi(s)
		if err != nil {
			return errors.New("must be a whole number, such as 128")
		}
		*p = v
	case *time.Duration:
		v, err := time.ParseDuration(s)
		if err != nil {
			return errors.New("must be a duration with its unit, such as 5s, 250ms or 1m30s")
		}
		*p = v
	case *Size:
		v, err := ParseSize(s)
		if err != nil {
			return err
		}
		*p = v
	case *[]string:
		*p = nil
		for item := range strings.SplitSeq(s, ",") {
			if item = strings.TrimSpace(item); item != "" {
				*p = append(*p, item)
			}
		}
	default:
		panic(fmt.Sprintf("config: no setting is a %T", p))
	}
	return nil
}

// format writes the setting p points to as parse reads it.
func format(p any) string {
	switch p := p.(type) {
	case *string:
		return *p
	case *time.Duration:
		return strictyaml.Duration(*p)
	case *[]string:
		return strings.Join(*p, ",")
	case *bool:
		return strconv.FormatBool(*p)
	case *int:
		return strconv.Itoa(*p)
	case *Size:
		return p.String()
	default:
		panic(fmt.Sprintf("config: no setting is a %T", p))
	}
}

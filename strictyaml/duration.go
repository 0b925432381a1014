package strictyaml

import (
	"strings"
	"time"
)

// Duration writes d as a person does, without the zero units that
// time.Duration prints: 1m, not 1m0s. time.ParseDuration reads it back.
func Duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

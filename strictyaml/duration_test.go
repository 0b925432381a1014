package strictyaml

import (
	"testing"
	"time"
)

func TestDurationsAreWrittenShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Minute: "1m", time.Hour: "1h", 90 * time.Second: "1m30s", 0: "0s", 10 * time.Second: "10s",
		time.Hour + time.Second: "1h0m1s", 100 * time.Minute: "1h40m", 250 * time.Millisecond: "250ms",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%v is written %q, want %q", d, got, want)
		}
	}
}

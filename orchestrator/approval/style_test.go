package approval

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestColoursCanBeRead computes the contrast of all that is written on anything,
// as WCAG 2.2 does: 4.5 is what text needs, 3 what the edge of a button needs.
func TestColoursCanBeRead(t *testing.T) {
	lines := strings.SplitN(style, "\n", 4)
	for i, name := range []string{"by day", "by night"} {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--(\w+):#([0-9a-f]{3,6})`).FindAllStringSubmatch(lines[i+1], -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		if len(colours) != 10 {
			t.Fatalf("%s: %v", name, colours)
		}
		for _, pair := range [][2]string{
			{"ink", "paper"}, {"ink", "tint"}, {"faint", "paper"}, {"faint", "tint"}, {"stop", "paper"}, {"link", "paper"}, {"on", "go"}, {"wait", "paper"}, {"go", "paper"},
		} {
			a, b := colours[pair[0]], colours[pair[1]]
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < 4.5 {
				t.Errorf("%s: %s on %s has a contrast of %.2f", name, pair[0], pair[1], ratio)
			}
		}
	}
}

func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	rgb, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	part := func(shift int) float64 {
		c := float64(rgb>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*part(16) + 0.7152*part(8) + 0.0722*part(0)
}

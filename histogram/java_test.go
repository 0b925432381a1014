//go:build slow

package histogram

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// exchange compiles the Java program that speaks V2 through HdrHistogram's own
// implementation, and returns a way to run it.
func exchange(t *testing.T) func(args ...string) string {
	t.Helper()
	jars, err := filepath.Glob("/usr/share/java/[Hh]dr[Hh]istogram*.jar")
	if err != nil || len(jars) == 0 {
		t.Fatal("HdrHistogram's jar is not in /usr/share/java: install libhdrhistogram-java")
	}
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return string(out)
	}
	classes := t.TempDir()
	run("javac", "-cp", jars[0], "-d", classes, filepath.Join("testdata", "java", "Exchange.java"))
	return func(args ...string) string {
		t.Helper()
		return run("java", append([]string{"-cp", jars[0] + ":" + classes, "Exchange"}, args...)...)
	}
}

// listing is c as the Java program prints a histogram.
func listing(c *Counts) string {
	var b strings.Builder
	c.Each(func(_, high int64, n uint64) { fmt.Fprintf(&b, "%d %d\n", high, n) })
	return b.String()
}

func TestJavaDecodes(t *testing.T) {
	run := exchange(t)
	random := rand.New(rand.NewPCG(9, 10))
	histograms := map[string]*Counts{"edges": new(Counts), "large counts": new(Counts)}
	for _, v := range edges() {
		histograms["edges"].Add(v, 1)
		histograms["large counts"].Add(v, 1+random.Uint64N(1<<40))
	}
	for _, d := range distributions {
		c := new(Counts)
		for range 100_000 {
			c.Add(d.draw(random), 1)
		}
		histograms[d.name] = c
	}
	for name, c := range histograms {
		encoded, err := c.EncodeV2()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "histogram")
		if err := os.WriteFile(file, encoded, 0o600); err != nil {
			t.Fatal(err)
		}
		got, p95, _ := strings.Cut(run("decode", file), "p95 ")
		if want := listing(c); got != want {
			t.Errorf("%s: Java decodes\n%.500s\nwant\n%.500s", name, got, want)
		}
		// Java's rank is that of the rounded product, a neighbour at most.
		value, err := strconv.ParseInt(strings.TrimSpace(p95), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if at := rank(0.95, c.Total()); value != c.at(at).Value && value != c.at(max(at, 2)-1).Value {
			t.Errorf("%s: Java's P95 is %d, ours %d", name, value, c.at(at).Value)
		}
	}
}

func TestJavaEncodes(t *testing.T) {
	run := exchange(t)
	random := rand.New(rand.NewPCG(11, 12))
	for _, highest := range []string{"3600000000000", "7200000000000", "0"} {
		for _, d := range distributions {
			c := new(Counts)
			file := filepath.Join(t.TempDir(), "histogram")
			args := []string{"encode", file, highest}
			for range 2000 {
				v := max(d.draw(random), 0)
				c.Add(v, 1)
				args = append(args, strconv.FormatInt(v, 10))
			}
			run(args...)
			encoded, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			decoded, err := DecodeV2(encoded)
			if err != nil {
				t.Fatalf("%s up to %s: %v", d.name, highest, err)
			}
			if got, want := listing(decoded), listing(c); got != want {
				t.Errorf("%s up to %s: decoded\n%.500s\nwant\n%.500s", d.name, highest, got, want)
			}
		}
	}
}

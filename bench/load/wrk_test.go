//go:build linux

package load

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/countersign-dev/countersign/bench/stats"
)

// serverVariable has the test's binary be a server, in a process of its own.
const serverVariable = "LOAD_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) == "" {
		os.Exit(m.Run())
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ln.Addr())
	log.Fatal(fasthttp.Serve(ln, func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("hello\n") }))
}

var wrkThroughput = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)

// BenchmarkBesideWrk is a round for each iteration: a second of wrk's closed loop and one of this, in turn first, by one
// and by two threads. -benchtime 10x makes ten rounds.
func BenchmarkBesideWrk(b *testing.B) {
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		b.Skip("wrk is not installed")
	}
	server := exec.CommandContext(b.Context(), os.Args[0])
	server.Env = append(os.Environ(), serverVariable+"=1")
	out, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait() // it was killed
	}()
	lines := bufio.NewScanner(out)
	lines.Scan()
	addr := lines.Text()
	for threads := 1; threads <= 2; threads++ {
		b.Run(fmt.Sprintf("%d thread", threads), func(b *testing.B) {
			plan := Plan{Addr: addr, Requests: []Request{{}}, Connections: 32, For: time.Second, Threads: threads}
			ours := func() float64 {
				r, err := Run(b.Context(), plan)
				if err != nil || r.Failed > 0 {
					b.Fatalf("%v, %+v", err, r)
				}
				return r.Throughput()
			}
			theirs := func() float64 {
				said, err := exec.CommandContext(b.Context(), wrk, "-t", strconv.Itoa(threads), "-c32", "-d1s", "http://"+addr+"/").Output()
				if err != nil {
					b.Fatal(err)
				}
				n, err := strconv.ParseFloat(string(wrkThroughput.FindSubmatch(said)[1]), 64)
				if err != nil {
					b.Fatal(err)
				}
				return n
			}
			var mine, wrks []float64
			for i := range b.N {
				if i%2 == 0 {
					mine = append(mine, ours())
					wrks = append(wrks, theirs())
				} else {
					wrks = append(wrks, theirs())
					mine = append(mine, ours())
				}
			}
			if ratio, err := stats.Ratio(mine, wrks); err == nil {
				b.ReportMetric(ratio.Value, "ratio")
				b.ReportMetric(ratio.Low, "ratio-low")
				b.ReportMetric(ratio.High, "ratio-high")
			}
			b.ReportMetric(stats.Median(mine), "req/s")
		})
	}
}

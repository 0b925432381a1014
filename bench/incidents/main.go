// Command incidents records real incidents: it runs the sidecar's binary before a
// small real service, with real connections, customers and faults, and writes the
// evidence that the sidecar recorded in its ledger as recordings, one when the
// incident opens and one when it is validated.
//
//	go build -o /tmp/countersign ./cmd/countersign
//	go run ./bench/incidents -binary /tmp/countersign -out DIR [-only slow-dependency] [-parallel 4] [-rounds 2]
//
// A fault takes about four minutes: the service has to be well for long enough to
// know what is usual. All listen on 127.0.0.1.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
)

func main() {
	binary := flag.String("binary", "", "the sidecar's binary")
	out := flag.String("out", "", "the directory that recordings are written to")
	only := flag.String("only", "", "the faults to record, with commas between them; all when empty")
	parallel := flag.Int("parallel", 4, "how many are recorded at once")
	rounds := flag.Int("rounds", 1, "how often each is recorded, each time with other parameters")
	seed := flag.Uint64("seed", 1, "what the parameters of the first round are drawn from")
	flag.Parse()
	if *binary == "" || *out == "" {
		fmt.Fprintln(os.Stderr, "incidents: -binary and -out are required")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if failed := recordAll(ctx, *binary, *out, *only, *parallel, *rounds, *seed); failed > 0 {
		fmt.Fprintf(os.Stderr, "incidents: %d recordings failed\n", failed)
		os.Exit(1)
	}
}

func recordAll(ctx context.Context, binary, out, only string, parallel, rounds int, seed uint64) int {
	if err := os.MkdirAll(out, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, "incidents:", err)
		return 1
	}
	places := make(chan struct{}, max(1, parallel))
	var group sync.WaitGroup
	var mu sync.Mutex
	failed := 0
	for round := range rounds {
		for _, f := range faults {
			if only != "" && !strings.Contains(","+only+",", ","+f.name+",") {
				continue
			}
			places <- struct{}{}
			group.Go(func() {
				defer func() { <-places }()
				err := record(ctx, binary, out, f, seed+uint64(round))
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					failed++
					fmt.Fprintf(os.Stderr, "%s, seed %d: %v\n", f.name, seed+uint64(round), err)
				} else {
					fmt.Printf("%s, seed %d: recorded\n", f.name, seed+uint64(round))
				}
			})
		}
	}
	group.Wait()
	return failed
}

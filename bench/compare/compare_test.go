package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/countersign-dev/countersign/bench/load"
	"github.com/countersign-dev/countersign/bench/machine"
	"github.com/countersign-dev/countersign/bench/meter"
	"github.com/countersign-dev/countersign/bench/peer"
	"github.com/countersign-dev/countersign/bench/stats"
)

// TestMain is also the process that carries a round out.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == roundWord {
		if err := carryOutRound(context.Background(), os.Stdin, os.Stdout); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestOrder(t *testing.T) {
	const peers = 5
	first, before := map[int]int{}, map[[2]int]int{}
	for round := range 2 * peers {
		turns := order(peers, round)
		if sorted := slices.Sorted(slices.Values(turns)); !slices.Equal(sorted, []int{0, 1, 2, 3, 4}) {
			t.Fatalf("round %d measures %v", round, turns)
		}
		first[turns[0]]++
		for i := 1; i < peers; i++ {
			before[[2]int{turns[i-1], turns[i]}]++
		}
	}
	for p := range peers {
		if first[p] != 2 {
			t.Errorf("%d begins %d rounds of %d", p, first[p], 2*peers)
		}
		// Each neighbour is before it as often as it is before the neighbour.
		next := (p + 1) % peers
		if before[[2]int{p, next}] != before[[2]int{next, p}] {
			t.Errorf("%d comes before %d %d times, and after it %d times", p, next, before[[2]int{p, next}], before[[2]int{next, p}])
		}
	}
}

func TestScenarios(t *testing.T) {
	names := map[string]bool{}
	for _, s := range scenarios() {
		if names[s.Name] || s.About == "" || len(s.Peers) < 2 {
			t.Errorf("%q is there twice, or without words or peers", s.Name)
		}
		names[s.Name] = true
		for _, name := range s.Peers {
			if peer.About[name] == "" {
				t.Errorf("%s has a peer %q that there is not", s.Name, name)
			}
		}
	}
	for _, w := range allWanted {
		i := slices.IndexFunc(scenarios(), func(s Scenario) bool { return s.Name == w.scenario })
		if i < 0 {
			t.Errorf("%q is of the scenario %q, which there is not", w.text, w.scenario)
			continue
		}
		s := scenarios()[i]
		if !slices.Contains(s.Peers, w.a) || !slices.Contains(s.Peers, w.b) {
			t.Errorf("%q compares %s and %s, which are not both in %s", w.text, w.a, w.b, s.Name)
		}
		if _, isAdded := added[w.figure]; isAdded && !slices.Contains(s.Peers, peer.Direct) {
			t.Errorf("%q is about what is added to direct, which is not in %s", w.text, s.Name)
		}
	}
	for _, want := range []string{saturated, steadyRate} {
		if !slices.ContainsFunc(shortScenarios(), func(s Scenario) bool { return s.Name == want }) {
			t.Errorf("a short run leaves out %s", want)
		}
	}
}

func TestPlan(t *testing.T) {
	p := Scenario{Body: medium, Connections: 32, Rate: 3000}.plan("a:1", time.Second, time.Millisecond)
	if p.Threads != 1 || p.Rate != 3000 || len(p.Requests) != 1 || p.Requests[0].Path != "/bytes/16384" {
		t.Errorf("the plan of an open loop is %+v", p)
	}
	p = Scenario{Routes: true, Connections: 32}.plan("a:1", time.Second, 0)
	routes, paths := map[string]bool{}, map[string]bool{}
	for _, r := range p.Requests {
		routes[strings.Split(r.Path, "/")[1]], paths[r.Path] = true, true
	}
	if p.Threads != 2 || len(routes) != 10 || len(paths) != len(p.Requests) || len(paths) < 1000 {
		t.Errorf("there are %d routes and %d paths, sent by %d threads", len(routes), len(paths), p.Threads)
	}
}

// made is the result of a scenario with given figures.
func made(s Scenario, figures map[string]map[string][]float64) ScenarioResult {
	r := ScenarioResult{Scenario: s, Rounds: 3}
	for _, name := range s.Peers {
		h := hdrhistogram.New(1, int64(time.Hour), 3)
		for i := range int64(1000) {
			if err := h.RecordValue(i * 1000); err != nil {
				panic(err)
			}
		}
		p := PeerResult{Name: name, Figures: map[string][]float64{}, all: h, Done: 1000, Syscalls: 7.5}
		for key, values := range figures[name] {
			p.Figures[key] = values
		}
		r.Peers = append(r.Peers, p)
	}
	r.finish()
	return r
}

var threeRounds = Scenario{Name: saturated, About: "A scenario.", Body: small, Connections: 32,
	Peers: []string{peer.Direct, peer.Countersign, peer.NginxLog, peer.HAProxyLog}}

func TestAdded(t *testing.T) {
	r := made(threeRounds, map[string]map[string][]float64{
		peer.Direct:      {p50: {100, 200, 300}},
		peer.Countersign: {p50: {150, 230, 290}},
	})
	if got := r.find(peer.Countersign).Figures[addedP50]; !slices.Equal(got, []float64{50, 30, -10}) {
		t.Errorf("what is added to 100, 200, 300 by 150, 230, 290 is %v", got)
	}
	if got := r.find(peer.Direct).Figures[addedP50]; got != nil {
		t.Errorf("direct adds %v to itself", got)
	}
	if got := r.find(peer.Direct).Latencies; len(got) != len(curve) || math.Abs(got[0]-499) > 1 {
		t.Errorf("the curve of 0 to 999 µs begins with %v", got)
	}
}

func TestHalf(t *testing.T) {
	s := threeRounds
	s.Peers = append(slices.Clone(s.Peers), peer.HTTPUtil, peer.Fasthttp)
	rate := func(v float64) map[string][]float64 { return map[string][]float64{answersPerSecond: {v, v, v}} }
	r := made(s, map[string]map[string][]float64{
		peer.Direct: rate(90000), peer.Countersign: rate(40000), peer.NginxLog: rate(30000), peer.HAProxyLog: rate(35000),
		peer.HTTPUtil: rate(18000), peer.Fasthttp: rate(19000),
	})
	// 18,000 are not a quarter more than 15,000.
	if rate, slow := halfOf(&r); rate != 15000 || !slices.Equal(slow, []string{peer.HTTPUtil}) {
		t.Errorf("half is %v, and %v carry too little", rate, slow)
	}
}

func TestJudge(t *testing.T) {
	r := &Report{
		Scenarios: []ScenarioResult{made(threeRounds, map[string]map[string][]float64{
			peer.Countersign: {answersPerSecond: {110, 111, 112}, cpu: {20, 20, 20}},
			peer.NginxLog:    {answersPerSecond: {100, 100, 100}, cpu: {10, 10, 10}},
			peer.HAProxyLog:  {answersPerSecond: {50, 92, 200}},
		})},
		Memory: []MemoryResult{{"nothing", meter.Memory{Peak: 20e6}}, {"much", meter.Memory{Peak: 31e6}}},
		Binary: 25e6,
	}
	want := map[string]stats.Verdict{
		allWanted[0].text: stats.Holds, allWanted[1].text: stats.TooWide, allWanted[2].text: stats.Fails, allWanted[3].text: notMeasured,
		"memory of the sidecar with ledger and orchestrator: at most 30 MB": stats.Fails,
		"size of the binary: at most 30 MB":                                 stats.Holds,
	}
	got := map[string]Claim{}
	for _, c := range judge(r) {
		got[c.Text] = c
	}
	for text, verdict := range want {
		if got[text].Verdict != verdict {
			t.Errorf("%q: %+v, want %s", text, got[text], verdict)
		}
	}
	if says := got[allWanted[1].text].Says; strings.Contains(says, "1.207") || !strings.Contains(says, "no claim") {
		t.Errorf("a ratio that is too wide is told: %q", says)
	}
	if says := got[allWanted[0].text].Says; !strings.HasPrefix(says, "1.110 (") {
		t.Errorf("a claim that holds says %q", says)
	}
}

func TestWorse(t *testing.T) {
	r := &Report{Scenarios: []ScenarioResult{made(threeRounds, map[string]map[string][]float64{
		peer.Direct:      {p50: {1, 1, 1}},
		peer.Countersign: {answersPerSecond: {100, 101, 102}, cpu: {20, 21, 22}, p50: {5, 10, 20}},
		peer.NginxLog:    {answersPerSecond: {90, 91, 92}, cpu: {10, 10, 10}, p50: {10, 10, 10}},
		peer.HAProxyLog:  {answersPerSecond: {120, 121, 122}, cpu: {30, 30, 30}},
	})}}
	var got []string
	for _, c := range compare(r) {
		if c.worse() {
			got = append(got, c.peer+" "+c.figure.key)
		}
	}
	if want := []string{peer.NginxLog + " " + cpu, peer.HAProxyLog + " " + answersPerSecond}; !slices.Equal(got, want) {
		t.Errorf("others are better in %v, want %v", got, want)
	}
}

func TestShow(t *testing.T) {
	for _, c := range []struct {
		i    stats.Interval
		want string
	}{
		{stats.Interval{Value: 1, Low: 0.98, High: 1.02}, "1.00 (0.98–1.02)"},
		{stats.Interval{Value: 1, Low: 0.9, High: 1.1}, "between 0.90 and 1.10"},
		{stats.Interval{Value: 1, Low: 0.9, High: math.Inf(1)}, "above 0.90"},
	} {
		if got := show(c.i); got != c.want {
			t.Errorf("%v is shown as %q, want %q", c.i, got, c.want)
		}
	}
}

// TestReport writes one, with a scenario that was given up, and reads it again.
func TestReport(t *testing.T) {
	steadily := threeRounds
	steadily.Name, steadily.Rate = steadyRate, steady
	figures := map[string]map[string][]float64{
		peer.Direct:      {answersPerSecond: {90000, 90000, 90000}, p50: {90, 90, 90}},
		peer.Countersign: {answersPerSecond: {30000, 30000, 30000}, p50: {190, 190, 190}},
		peer.NginxLog:    {answersPerSecond: {40000, 40000, 40000}, p50: {140, 140, 140}},
	}
	broken := ScenarioResult{Scenario: Scenario{Name: "broken", About: "One more.", Peers: threeRounds.Peers}, Broken: "nginx | ended"}
	setting := machine.Setting{Began: time.Unix(1e9, 0), Versions: []machine.Version{{Name: "go", Version: "go1"}}}
	r := &Report{Setting: setting, Short: true, Rounds: 3, Each: time.Second,
		LeftOut:   []LeftOut{{"Caddy", "it was not built"}},
		Scenarios: []ScenarioResult{made(threeRounds, figures), made(steadily, figures), broken},
		Starts:    []Start{{"nginx", []float64{10, 30, 20}}}, Memory: []MemoryResult{{"nothing", meter.Memory{Peak: 20 << 20}}}, Binary: 25e6}
	r.Claims = judge(r)
	dir := filepath.Join(t.TempDir(), "results")
	if err := write(dir, r); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"A short run", "| versions | go: go1 |", "Caddy: it was not built.", "Given up: nginx \\| ended.", "![" + saturated + "](" + saturated + ".svg)",
		"| nginx+log | 40000 |", "| " + saturated + " | nginx+log | answers | 40000 1/s | 30000 1/s | 0.75 (0.75–0.75) |",
		"| " + steadyRate + " | nginx+log | added P50 | 50 µs | 100 µs | 2.00 (2.00–2.00) |", "| nginx | 20 | 10–30 | 3 |", "25.0 MB",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
	var read Report
	text, err = os.ReadFile(filepath.Join(dir, "LATEST.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if !read.Began.Equal(r.Began) || len(read.Versions) != 1 {
		t.Errorf("read again, it began %v with %v", read.Began, read.Versions)
	}
	if p := read.find(steadyRate).find(peer.Countersign); !slices.Equal(p.Figures[addedP50], []float64{100, 100, 100}) {
		t.Errorf("read again, %v is added", p.Figures[addedP50])
	}
	for _, chart := range []string{saturated, steadyRate} {
		if svg, err := os.ReadFile(filepath.Join(dir, chart+".svg")); err != nil || !bytes.Contains(svg, []byte(peer.NginxLog)) {
			t.Errorf("the chart of %s: %v\n%s", chart, err, svg)
		}
	}
}

func TestParse(t *testing.T) {
	o, err := parse(nil)
	if err != nil || o.rounds != 10 || o.out != filepath.Join("bench", "results") || !o.only.MatchString(saturated) {
		t.Errorf("without anything: %+v, %v", o, err)
	}
	if o, err = parse([]string{"-short"}); err != nil || o.rounds != 3 || o.out == filepath.Join("bench", "results") {
		t.Errorf("a short run: %+v, %v", o, err)
	}
	for _, bad := range [][]string{{"-rounds", "2"}, {"-for", "1ms"}, {"-only", "("}, {"extra"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}

// TestRound has a round carried out by another process.
func TestRound(t *testing.T) {
	server := newServer(t)
	p := load.Plan{Addr: server, Requests: []load.Request{{Path: "/"}}, Connections: 2, For: 50 * time.Millisecond, Warm: 10 * time.Millisecond}
	o, err := send(context.Background(), nil, p)
	if err != nil {
		t.Fatal(err)
	}
	latency, err := decode(o.Latency)
	if err != nil {
		t.Fatal(err)
	}
	if o.Failed > 0 || o.Requests <= o.Done || latency.TotalCount() != int64(o.Done) || o.generator <= 0 {
		t.Errorf("of %d requests %d were answered and %d failed, %d have a latency; the generator used %v", o.Requests, o.Done, o.Failed, latency.TotalCount(), o.generator)
	}
	lag, err := decode(o.Lag)
	if err != nil {
		t.Fatal(err)
	}
	f := figuresOf(o, latency, lag, spent{peer: meter.Usage{CPU: time.Duration(o.Requests) * 3 * time.Microsecond}, generator: o.generator})
	if math.Abs(f[cpu]-3) > 1e-9 || f[p50] <= 0 || f[p99] < f[p50] || f[answersPerSecond] <= 0 {
		t.Errorf("the figures are %v", f)
	}
	p.Addr = "127.0.0.1:1"
	if _, err := send(context.Background(), nil, p); err == nil {
		t.Error("a round against nobody went well")
	}
}

func TestSound(t *testing.T) {
	three := []float64{1, 1, 1}
	whole := func() *Report {
		figures := map[string]map[string][]float64{}
		for _, name := range threeRounds.Peers {
			figures[name] = map[string][]float64{answersPerSecond: three, cpu: three, p50: three}
		}
		r := made(threeRounds, figures)
		for i := range r.Peers {
			r.Peers[i].Memory.Proportional = 1
		}
		return &Report{Scenarios: []ScenarioResult{r}}
	}
	if err := sound(whole()); err != nil {
		t.Errorf("a report without a fault: %v", err)
	}
	for want, spoil := range map[string]func(*ScenarioResult){
		"given up: it ended":     func(s *ScenarioResult) { s.Broken, s.Peers = "it ended", nil },
		"2 of 1002 requests":     func(s *ScenarioResult) { s.Peers[1].Failed = 2 },
		"figures of 2 rounds":    func(s *ScenarioResult) { s.Peers[1].Figures[answersPerSecond] = three[:2] },
		"used no processor":      func(s *ScenarioResult) { s.Peers[1].Figures[cpu] = []float64{0, 0, 0} },
		"1.5 system calls a":     func(s *ScenarioResult) { s.Peers[1].Syscalls = 1.5 },
		"no memory, so it was n": func(s *ScenarioResult) { s.Peers[1].Memory.Proportional = 0 },
	} {
		r := whole()
		spoil(&r.Scenarios[0])
		if err := sound(r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is found to be %v", want, err)
		}
	}
	r := whole()
	r.Scenarios[0].Peers[1].Failed = 1 // of 1001
	if err := sound(r); err != nil {
		t.Errorf("one request of a thousand: %v", err)
	}
}

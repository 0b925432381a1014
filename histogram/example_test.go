package histogram_test

import (
	"encoding/base64"
	"fmt"
	"log"
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

func Example() {
	var now int64 // a made-up clock; leave Config.Now out for the real one
	recorder, err := histogram.NewRecorder(histogram.Config{Now: func() int64 { return now }})
	if err != nil {
		log.Fatal(err)
	}
	lane := recorder.Lane() // one for each connection
	defer lane.Close()
	for i := range 100 {
		lane.Start(recorder.Route([]byte("GET"), fmt.Appendf(nil, "/users/%d", i)), now)
		now += int64(i+1) * int64(time.Millisecond)
		lane.Finish(histogram.Success, now, now)
	}
	recorder.Seal(now) // what Run does each second

	snapshot := recorder.Snapshot()
	for _, route := range snapshot.Routes {
		p95, _ := route.Durations.Quantile(0.95)
		fmt.Printf("%s: %d requests, P95 %v (%v to %v)\n", route.Name, route.Requests(),
			time.Duration(p95.Value).Round(10*time.Microsecond), time.Duration(p95.Low), time.Duration(p95.High))
	}
	// Output:
	// GET /users/{id}: 100 requests, P95 95.03ms (94.961664ms to 95.027199ms)
}

func ExampleNewTemplates() {
	templates, err := histogram.NewTemplates([]string{"GET /users/{user}", "/files/{path...}"})
	if err != nil {
		log.Fatal(err)
	}
	recorder, err := histogram.NewRecorder(histogram.Config{Templates: templates})
	if err != nil {
		log.Fatal(err)
	}
	for _, target := range []string{"/users/alice?full=1", "/files/a/b.txt", "/orders/42"} {
		fmt.Println(recorder.RouteName(recorder.Route([]byte("GET"), []byte(target))))
	}
	// Output:
	// GET /users/{user}
	// GET /files/{path...}
	// GET /orders/{id}
}

func ExampleCollapse() {
	fmt.Println(string(histogram.Collapse(nil, []byte("/users/42/orders/550e8400-e29b-41d4-a716-446655440000.pdf"))))
	// Output:
	// /users/{id}/orders/{id}.pdf
}

func ExampleCounts_EncodeV2() {
	var counts histogram.Counts
	counts.Add(int64(3*time.Millisecond), 10)
	encoded, err := counts.EncodeV2()
	if err != nil {
		log.Fatal(err)
	}
	// Other implementations exchange the text.
	fmt.Println(base64.StdEncoding.EncodeToString(encoded)[:8])
	decoded, err := histogram.DecodeV2(encoded)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(decoded.Total(), "requests")
	// Output:
	// HISTFAAA
	// 10 requests
}

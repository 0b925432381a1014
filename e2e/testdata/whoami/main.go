// Command whoami stands in for the image traefik/whoami of the Compose examples, which no
// registry gives the tests. It has of it what the examples and the documentation use:
//
//	--port N              the port, 80 if not given
//	GET /?wait=DURATION   answers after that time
//	GET /health           answers with the status that was last set, at first 200
//	POST /health          sets it: the body is the number
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

func main() {
	port := flag.Uint("port", 80, "the port")
	flag.Parse()
	var status atomic.Int64
	status.Store(http.StatusOK)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if wait, err := time.ParseDuration(r.URL.Query().Get("wait")); err == nil {
			time.Sleep(wait)
		}
		host, _ := os.Hostname()
		_, _ = fmt.Fprintln(w, "Hostname:", host)
	})
	http.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) })
	http.HandleFunc("POST /health", func(w http.ResponseWriter, r *http.Request) {
		var n int64
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil || n < 100 || n > 999 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		status.Store(n)
	})
	log.Fatal(http.ListenAndServe(fmt.Sprintf(":%d", *port), nil))
}

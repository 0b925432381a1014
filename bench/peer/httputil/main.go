// Command httputil is the standard library's reverse proxy, with its transport
// set up as people do who have measured it: the benchmark has it as a peer.
package main

import (
	"flag"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

func main() {
	listen := flag.String("listen", "", "`HOST:PORT` to serve on")
	upstream := flag.String("upstream", "", "`HOST:PORT` to forward to")
	flag.Parse()
	to := &url.URL{Scheme: "http", Host: *upstream}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// By default two idle connections are kept, and under load most requests open one of their own.
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost, transport.MaxConnsPerHost = 1024, 1024, 1024
	transport.DisableCompression = true
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.SetXForwarded()
			r.Out.Host = r.In.Host
		},
	}
	server := &http.Server{Addr: *listen, Handler: proxy, IdleTimeout: 75 * time.Second, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// Command fasthttp is the proxy that one writes with fasthttp in twenty lines:
// the benchmark has it as a peer, for what the library costs by itself. It holds
// every body in memory, and forwards what it should not.
package main

import (
	"flag"
	"log"
	"time"

	"github.com/valyala/fasthttp"
)

func main() {
	listen := flag.String("listen", "", "`HOST:PORT` to serve on")
	upstream := flag.String("upstream", "", "`HOST:PORT` to forward to")
	flag.Parse()
	client := &fasthttp.HostClient{
		Addr:                *upstream,
		MaxConns:            1024,
		MaxConnWaitTimeout:  5 * time.Second,
		MaxIdleConnDuration: time.Minute,

		DisablePathNormalizing:        true,
		DisableHeaderNamesNormalizing: true,
	}
	server := &fasthttp.Server{
		IdleTimeout:                   75 * time.Second,
		NoDefaultServerHeader:         true,
		DisableHeaderNamesNormalizing: true,
		Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.Request.Header.Del("Connection")
			if err := client.Do(&ctx.Request, &ctx.Response); err != nil {
				ctx.Error(err.Error(), fasthttp.StatusBadGateway)
				return
			}
			ctx.Response.Header.Del("Connection")
		},
	}
	log.Fatal(server.ListenAndServe(*listen))
}

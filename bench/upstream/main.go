// Command upstream is the cheapest API worth standing in front of: it answers
// every GET at once with a few bytes, GET /bytes/N with N bytes that stand
// ready, GET /zeros?bytes=N with any number that do not, and swallows what is
// sent to it. It prints its address.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"strconv"

	"github.com/valyala/fasthttp"
)

// bodies are the answers to GET /bytes/N, by path.
var bodies = func() map[string][]byte {
	all := map[string][]byte{}
	for _, n := range []int{128, 16 << 10, 1 << 20} {
		all["/bytes/"+strconv.Itoa(n)] = bytes.Repeat([]byte{'x'}, n)
	}
	return all
}()

func main() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ln.Addr())
	server := &fasthttp.Server{Handler: handle, StreamRequestBody: true, MaxRequestBodySize: 1 << 20}
	log.Fatal(server.Serve(ln))
}

func handle(ctx *fasthttp.RequestCtx) {
	if body := ctx.RequestBodyStream(); body != nil {
		n, err := io.Copy(io.Discard, body)
		if err != nil {
			ctx.Error(err.Error(), fasthttp.StatusBadRequest)
			return
		}
		_, _ = fmt.Fprintln(ctx, n)
		return
	}
	if body, ok := bodies[string(ctx.Path())]; ok {
		ctx.Response.SetBodyRaw(body)
		return
	}
	if string(ctx.Path()) != "/zeros" {
		ctx.SetBodyString("hello\n")
		return
	}
	left := ctx.QueryArgs().GetUintOrZero("bytes")
	ctx.SetBodyStreamWriter(func(w *bufio.Writer) {
		zeros := make([]byte, 64<<10)
		for left > 0 {
			n, err := w.Write(zeros[:min(left, len(zeros))])
			if err != nil {
				return
			}
			left -= n
		}
	})
}

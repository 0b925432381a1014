package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"
)

func TestAnswers(t *testing.T) {
	ln := fasthttputil.NewInmemoryListener()
	server := &fasthttp.Server{Handler: handle, StreamRequestBody: true, MaxRequestBodySize: 1 << 20}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	defer func() {
		ln.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	client := &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return ln.Dial() }},
	}
	for _, c := range []struct {
		method, path, body, want string
	}{
		{"GET", "/bytes/128", "", strings.Repeat("x", 128)},
		{"GET", "/bytes/16384", "", strings.Repeat("x", 16384)},
		{"GET", "/bytes/1048576", "", strings.Repeat("x", 1<<20)},
		{"GET", "/bytes/129", "", "hello\n"},
		{"GET", "/route3/17", "", "hello\n"},
		{"GET", "/zeros?bytes=100000", "", strings.Repeat("\x00", 100000)},
		{"PUT", "/up", strings.Repeat("y", 3<<20), "3145728\n"},
	} {
		req, err := http.NewRequest(c.method, "http://upstream"+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s %s: %v", c.method, c.path, err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || !bytes.Equal(got, []byte(c.want)) {
			t.Errorf("%s %s: status %d, %d bytes, want %d: %v", c.method, c.path, res.StatusCode, len(got), len(c.want), err)
		}
	}
}

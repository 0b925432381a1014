// Command host is what the tests have on a host that has nothing else: an API, a
// client of it, and the first process of a machine. It is static.
//
//	host serve HOST:PORT        answer every request after two milliseconds
//	host ask URL N              send N requests over one connection
//	host read URL               print what is answered
//	host init                   be the first process: measure, say what came of it, switch off
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"
)

// delay is how long the API takes.
const delay = 2 * time.Millisecond

func main() {
	log.SetFlags(0)
	if len(os.Args) == 1 || os.Args[1] == "init" { // the kernel gives its first process no words
		beFirst()
		return
	}
	if err := do(os.Args[1], os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

func do(what string, args []string) error {
	switch {
	case what == "serve" && len(args) == 1:
		return serve(args[0])
	case what == "ask" && len(args) == 2:
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		return ask(args[0], n)
	case what == "read" && len(args) == 1:
		body, err := read(args[0])
		fmt.Print(body)
		return err
	default:
		return errors.New("usage: host serve HOST:PORT | ask URL N | read URL | init")
	}
}

func serve(address string) error {
	server := &http.Server{Addr: address, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(delay)
		_, _ = io.WriteString(w, "hello\n")
	})}
	return server.ListenAndServe()
}

func ask(url string, n int) error {
	for range n {
		if _, err := read(url); err != nil {
			return err
		}
	}
	return nil
}

func read(url string) (string, error) {
	resp, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	return string(body), err
}

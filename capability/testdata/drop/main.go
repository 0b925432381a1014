// Command drop starts threads, gives up its capabilities, starts more threads,
// and prints what /proc says of each, with what it can do no more. It runs apart from the test,
// which would lose its own.
package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/countersign-dev/countersign/capability"
)

func main() {
	var started sync.WaitGroup
	thread := func() {
		started.Add(1)
		go func() {
			runtime.LockOSThread()
			started.Done()
			select {}
		}()
	}
	for range 20 {
		thread()
	}
	started.Wait()
	if err := capability.Drop(); err != nil {
		log.Fatal(err)
	}
	for range 5 {
		thread()
	}
	started.Wait()
	files, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		log.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			log.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "Cap") || strings.HasPrefix(line, "NoNewPrivs") || strings.HasPrefix(line, "Pid:") {
				fmt.Print(line)
			}
		}
	}
	_, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	fmt.Println("packet socket:", err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listens:", ln.Addr().Network())
	fmt.Println("again:", capability.Drop())
}

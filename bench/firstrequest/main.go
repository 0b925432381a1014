// Command firstrequest starts the command line it is given, which must serve
// on 127.0.0.1:PORT, and prints how many milliseconds after exec the first
// GET is answered with 200. It ends the command again.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"os/exec"
	"time"
)

func main() { os.Exit(run()) }

func run() int {
	if len(os.Args) < 3 {
		log.Print("usage: firstrequest URL COMMAND [ARGS…]")
		return 2
	}
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stderr = os.Stderr
	client := &http.Client{Timeout: 5 * time.Second}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		log.Print(err)
		return 1
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	for time.Since(begin) < 10*time.Second {
		res, err := client.Get(os.Args[1])
		if err != nil {
			time.Sleep(200 * time.Microsecond) // not listening yet
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			fmt.Printf("%.1f\n", float64(time.Since(begin).Microseconds())/1000)
			return 0
		}
	}
	log.Print("no answer within 10 s")
	return 1
}

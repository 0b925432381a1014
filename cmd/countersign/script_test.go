package main

import (
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"countersign": main,
	})
}

// TestScripts runs the built command line by the scripts in testdata/script.
// Besides testscript's own commands they have:
//
//	api VAR                    start an API; VAR becomes its URL. GET /held answers after "release"
//	occupy VAR                 take a port; VAR becomes its address
//	unused VAR                 VAR becomes an address where nothing listens
//	serve NAME ARGS…           start countersign in the background, its output in NAME.log
//	await NAME REGEXP [VAR]    wait until the output matches; VAR becomes the first group
//	signal NAME TERM|HUP|INT   send a signal to it
//	ended NAME CODE            wait for its end and compare the exit code
//	get URL STATUS [REGEXP]    one GET; the answer's status and body must match
//	poll URL REGEXP            GET until the body matches
//	hold URL                   send a GET and leave it waiting, which the API confirms
//	release STATUS             let the held request be answered, and compare its status
//	certificate NAME           write NAME.pem and NAME.key, self-signed
//	grow DIR N                 append N entries to the ledger in a data directory, made if absent
//	flip FILE OFFSET           invert a bit of a file; a negative offset is from its end
//	deadletter DATA VAR        VAR becomes the id of the first dead letter of the sidecar at COUNTERSIGN_ADMIN, once there is one
//	documented PAGE HEADING OUT    write the commands below a heading of a page in docs to a file
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:      "testdata/script",
		Deadline: time.Now().Add(8 * time.Minute),
		Setup: func(env *testscript.Env) error {
			env.Values[stageKey{}] = newStage(env)
			// Built with the race detector each command would sleep for a second at its end.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: stageCommands,
	})
}

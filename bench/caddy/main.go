// Command caddy is Caddy with the modules of its own distribution, built from
// its module: the benchmark has it as a peer.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() { caddycmd.Main() }

// Command runtime stands before runc, for a Docker that does not know CAP_BPF, as Debian 12's
// (20.10) does not. A container that was given CAP_CHOWN gets CAP_BPF in its
// place, and may call bpf(2), as Docker itself has it from version 23 on.
package main

import (
	"encoding/json"
	"log"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

const standIn, wanted = "CAP_CHOWN", "CAP_BPF"

func main() {
	log.SetFlags(0)
	if i := slices.Index(os.Args, "--bundle"); i > 0 && i+1 < len(os.Args) {
		if err := rewrite(filepath.Join(os.Args[i+1], "config.json")); err != nil {
			log.Fatal(err)
		}
	}
	log.Fatal(syscall.Exec("/usr/sbin/runc", append([]string{"runc"}, os.Args[1:]...), os.Environ()))
}

// rewrite changes the OCI runtime configuration in file
// (https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md).
func rewrite(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	if !replace(all["process"].(map[string]any)["capabilities"].(map[string]any)) {
		return nil
	}
	seccomp := all["linux"].(map[string]any)["seccomp"].(map[string]any)
	seccomp["syscalls"] = append(seccomp["syscalls"].([]any), map[string]any{"names": []string{"bpf"}, "action": "SCMP_ACT_ALLOW"})
	if text, err = json.Marshal(all); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

func replace(sets map[string]any) (replaced bool) {
	for _, of := range sets {
		list, _ := of.([]any)
		if i := slices.Index(list, any(standIn)); i >= 0 {
			list[i], replaced = wanted, true
		}
	}
	return replaced
}

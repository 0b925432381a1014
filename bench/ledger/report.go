package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/countersign-dev/countersign/bench/machine"
	"github.com/countersign-dev/countersign/bench/stats"
)

// Report is what came out.
type Report struct {
	machine.Setting
	Short      bool          `json:"short"` // shows that everything works, and nothing else
	Rounds     int           `json:"rounds"`
	Span       time.Duration `json:"each_ns"`
	FileSystem string        `json:"file_system"`
	EntryBytes int           `json:"entry_bytes"`
	Appends    []Appends     `json:"appends"`
	Lengths    []Length      `json:"lengths"`
}

// onDisk is what the blocks of a file take; Badger's files are longer than that.
func onDisk(info os.FileInfo) float64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return float64(s.Blocks) * 512
	}
	return float64(info.Size())
}

// markdown is the report for people.
func (r Report) markdown() (string, error) {
	var b strings.Builder
	b.WriteString(r.Head("The ledger", r.Short))
	fmt.Fprintf(&b, "Durable appends of entries of %d bytes on %s, medians over %d rounds of %v; the last column has the ledger's rate as a share of it:\n\n",
		r.EntryBytes, r.FileSystem, r.Rounds, r.Span)
	b.WriteString("| Store | writers | appends/s | P50 | P99 | the ledger's share |\n|---|---:|---:|---:|---:|---|\n")
	for i, a := range r.Appends {
		share := ""
		if own := r.Appends[i-i%len(stores)]; i%len(stores) > 0 {
			ratio, err := stats.Ratio(own.Rates, a.Rates)
			if err != nil {
				return "", err
			}
			share = fmt.Sprintf("%.2f (%.2f to %.2f)", ratio.Value, ratio.Low, ratio.High)
		}
		fmt.Fprintf(&b, "| %s | %d | %.0f | %.2f ms | %.2f ms | %s |\n",
			a.Store, a.Writers, stats.Median(a.Rates), stats.Median(a.P50MS), stats.Median(a.P99MS), share)
	}
	b.WriteString("\nBy length:\n\n| Entries | start | Badger's start | reading a file | verified a second | proof | with entry and checkpoint | on disk | exported |\n")
	b.WriteString("|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, l := range r.Lengths {
		fmt.Fprintf(&b, "| %d | %.0f ms | %.0f ms | %.1f ms | %.0f | %d hashes | %d B | %.0f B an entry | %.0f B an entry |\n",
			l.Entries, l.OpenMS, l.BadgerMS, l.ReadMS, l.VerifyPerSecond, l.ProofHashes, l.ProofBytes, l.DiskBytes, l.BundleBytes)
	}
	return b.String(), nil
}

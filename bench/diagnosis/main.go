// Command diagnosis prints the confusion table of the rules: over directories of
// recordings, and over incidents of a model of a service.
//
//	go run ./bench/diagnosis -seeds 10            240 incidents of the model, seeds from 100000 on
//	go run ./bench/diagnosis -v DIR               recordings of real servers, as bench/incidents makes them
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis/corpus"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis/corpus/synthetic"
)

func main() {
	seeds := flag.Int("seeds", 0, "how many incidents of the model there are of each kind")
	from := flag.Uint64("from", 100_000, "the first seed")
	verbose := flag.Bool("v", false, "explain what is not right")
	flag.Parse()
	if err := run(*seeds, *from, *verbose, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "diagnosis:", err)
		os.Exit(1)
	}
}

func run(seeds int, from uint64, verbose bool, dirs []string) error {
	for _, dir := range dirs {
		recordings, err := corpus.Read(dir)
		if err != nil {
			return err
		}
		if err := show(dir, recordings, verbose); err != nil {
			return err
		}
	}
	var opened, validated []corpus.Recording
	for _, name := range synthetic.Names() {
		for seed := from; seed < from+uint64(max(0, seeds)); seed++ {
			p, err := synthetic.Generate(name, seed)
			if err != nil {
				fmt.Println(err)
				continue
			}
			opened, validated = append(opened, p.Opened), append(validated, p.Validated)
		}
	}
	if seeds <= 0 {
		return nil
	}
	if err := show("model, when the incident has just opened", opened, verbose); err != nil {
		return err
	}
	return show("model, when it is validated", validated, verbose)
}

func show(what string, recordings []corpus.Recording, verbose bool) error {
	results, err := corpus.Evaluate(context.Background(), recordings, diagnosis.Rules{})
	if err != nil {
		return err
	}
	fmt.Printf("%s\n\n%s\n", what, corpus.Table(results))
	for i := range results {
		if !verbose || results[i].Right() {
			continue
		}
		e, err := recordings[i].Evidence()
		if err != nil {
			return err
		}
		fmt.Printf("%s: expected %s, named %s\n", results[i].Name, results[i].Expected, results[i].Named)
		for _, f := range e.Facts {
			fmt.Printf("  %-4s %s\n", f.ID, f.String())
		}
		fmt.Println("  " + diagnosis.Judge(&e).Hypothesis)
	}
	return nil
}

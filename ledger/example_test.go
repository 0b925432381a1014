package ledger_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/countersign-dev/countersign/ledger"
)

// exampleOptions are those of a log in a new directory.
func exampleOptions() (o ledger.Options, remove func()) {
	dir, err := os.MkdirTemp("", "ledger")
	if err != nil {
		log.Fatal(err)
	}
	o = ledger.Options{Dir: dir, Origin: "example.com/orders", Log: slog.New(slog.DiscardHandler)}
	return o, func() { os.RemoveAll(dir) }
}

func Example() {
	options, remove := exampleOptions()
	defer remove()
	ctx := context.Background()
	l, err := ledger.Open(ctx, options)
	if err != nil {
		log.Fatal(err)
	}
	indices, err := l.Append(ctx, []ledger.Entry{
		{Leaf: []byte(`{"kind":"order.placed","order":17}`)},
		{Leaf: []byte(`{"kind":"order.paid","order":17}`)},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("appended", indices, "of", l.Checkpoint().Size)
	for record, err := range l.Entries(1, 0) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d %s\n", record.Index, record.Leaf)
	}
	if err := l.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// appended [1 2] of 3
	// 1 {"kind":"order.placed","order":17}
	// 2 {"kind":"order.paid","order":17}
}

// A token that may be used once is burnt by the entry that says so.
func ExampleLog_AppendOnce() {
	options, remove := exampleOptions()
	defer remove()
	ctx := context.Background()
	l, err := ledger.Open(ctx, options)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	for _, who := range []string{"alice", "bob"} {
		leaf := fmt.Appendf(nil, `{"kind":"link.used","once":"token/4711","by":%q}`, who)
		index, appended, err := l.AppendOnce(ctx, ledger.Entry{Leaf: leaf})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(who, index, appended)
	}
	// Output:
	// alice 1 true
	// bob 1 false
}

// A blob is kept beside the entry that names it.
func ExampleLog_Append_evidence() {
	options, remove := exampleOptions()
	defer remove()
	ctx := context.Background()
	l, err := ledger.Open(ctx, options)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	blob := []byte("what was measured")
	sum := sha256.Sum256(blob)
	leaf := fmt.Appendf(nil, `{"kind":"measured","evidence":[{"name":"raw","sha256":"%x","len":%d}]}`, sum, len(blob))
	if _, err := l.Append(ctx, []ledger.Entry{{Leaf: leaf, Blobs: [][]byte{blob}}}); err != nil {
		log.Fatal(err)
	}
	kept, err := l.Blob(sum)
	fmt.Printf("%s %v\n", kept, err)
	// Output: what was measured <nil>
}

// Somebody puts yesterday's copy of the store in the place of today's.
func ExampleIntegrityError() {
	options, remove := exampleOptions()
	defer remove()
	ctx := context.Background()
	for day, leaf := range []string{`{"kind":"yesterday"}`, `{"kind":"today"}`} {
		l, err := ledger.Open(ctx, options)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := l.Append(ctx, []ledger.Entry{{Leaf: []byte(leaf)}}); err != nil {
			log.Fatal(err)
		}
		if err := l.Close(); err != nil {
			log.Fatal(err)
		}
		if day == 0 {
			if err := os.CopyFS(options.Dir+"/yesterday", os.DirFS(options.Dir+"/store")); err != nil {
				log.Fatal(err)
			}
		}
	}
	if err := os.RemoveAll(options.Dir + "/store"); err != nil {
		log.Fatal(err)
	}
	if err := os.Rename(options.Dir+"/yesterday", options.Dir+"/store"); err != nil {
		log.Fatal(err)
	}
	_, err := ledger.Open(ctx, options)
	if damage, ok := errors.AsType[*ledger.IntegrityError](err); ok {
		fmt.Println(damage.Rollback, damage.Index)
		fmt.Println(err)
	}
	// Output:
	// true 2
	// the ledger has been rolled back at entry 2: the anchor acknowledges 3 entries and the store has 2
}

func ExampleRotateKey() {
	options, remove := exampleOptions()
	defer remove()
	ctx := context.Background()
	l, err := ledger.Open(ctx, options)
	if err != nil {
		log.Fatal(err)
	}
	before := l.VerifierKey()
	if err := l.Close(); err != nil {
		log.Fatal(err)
	}
	after, err := ledger.RotateKey(ctx, options, "")
	fmt.Println(after != before, err)
	// Output: true <nil>
}

package ledger

import (
	"context"
	"path/filepath"
	"sync"

	"github.com/countersign-dev/countersign/ledger/witness"
)

// cosigning brings the log's checkpoints to its witnesses, beside everything
// else: an append tells it of a checkpoint and goes on.
type cosigning struct {
	client  *witness.Client
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// newClient makes the client of a policy's witnesses.
func (l *Log) newClient() (*witness.Client, error) {
	return witness.NewClient(witness.Config{Policy: l.options.Witnesses, Prover: l, Cosigned: l.keepCosigned, Log: l.options.Log})
}

// startCosigning begins with the present checkpoint.
func (l *Log) startCosigning() error {
	if l.options.Witnesses == nil {
		return nil
	}
	client, err := l.newClient()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.cosigning = &cosigning{client: client, cancel: cancel}
	l.cosigning.running.Go(func() { client.Run(ctx) })
	l.cosigning.tell(l.published.Load())
	return nil
}

// tell passes on a checkpoint that has been published. It never blocks.
func (c *cosigning) tell(head *Checkpoint) {
	if c != nil {
		c.client.Update(head.Size, head.Note)
	}
}

// stop ends the requests under way.
func (c *cosigning) stop() {
	if c != nil {
		c.cancel()
		c.running.Wait()
	}
}

// keepCosigned keeps and shows a checkpoint with its cosignatures. The client
// calls it from one goroutine. That the file cannot be written costs no more
// than asking the witnesses again after a restart.
func (l *Log) keepCosigned(size uint64, signed []byte) {
	c, err := parseCheckpoint(signed)
	if err != nil {
		l.options.Log.Error("the ledger's witnesses made an unusable checkpoint", "error", err)
		return
	}
	if before := l.witnessed.Load(); before != nil && before.Size > size {
		return
	}
	if err := replaceFile(filepath.Join(l.options.AnchorDir, witnessedName), signed); err != nil {
		l.options.Log.Warn("the ledger's cosigned checkpoint could not be written", "error", err)
	}
	l.witnessed.Store(c)
}

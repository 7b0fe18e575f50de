package journal

import (
	"sync"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/deploy"
)

// gathering is how long the entry of a step waits for entries of other steps, to be saved together
// with them. The engine saves each of its writes too, and often on the same disk.
const gathering = 25 * time.Millisecond

// Book writes the steps of an apply to the log while the apply runs. Steps that end within a short
// time are saved together, so that they do not wait for the disk one by one. All are saved before
// a step of another wave, or of another kind of object, begins.
type Book struct {
	journal *Journal
	uses    SecretNames
	writer  sync.WaitGroup
	begun   deploy.Step // the last one; for the goroutine that calls Note

	mu      sync.Mutex
	entries []audit.Entry // to write
	settled chan struct{} // closed when the writer is not to wait for further entries; nil without a writer
	err     error
}

// Open makes a book. uses lists the new secrets of each service.
func (j *Journal) Open(uses SecretNames) *Book { return &Book{journal: j, uses: uses} }

// write writes until nothing is left, or an entry could not be written.
func (b *Book) write(settled <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.err == nil && len(b.entries) > 0 {
		b.mu.Unlock()
		select {
		case <-settled:
		case <-time.After(gathering):
		}
		b.mu.Lock()
		together := b.entries
		b.entries = nil
		b.mu.Unlock()
		err := b.journal.write(together...)
		b.mu.Lock()
		b.err = err
	}
	b.settled = nil
}

// settle waits until all that was noted is written.
func (b *Book) settle() error {
	b.mu.Lock()
	if b.settled != nil {
		close(b.settled)
	}
	b.mu.Unlock()
	b.writer.Wait()
	return b.err
}

// Note records that a step begins or has ended, one after the other. It stops the apply if an earlier
// entry could not be written. It does not wait, unless another wave or kind of object begins.
func (b *Book) Note(event deploy.Event) error {
	if !event.Done {
		return b.begin(event.Step)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	entries := b.journal.stepEntries(event.Step, b.uses[event.Step.Name])
	if event.Err != nil {
		entries = entries[:1]
		entries[0].Ended(event.Err)
	}
	b.entries = append(b.entries, entries...)
	if b.settled == nil {
		settled := make(chan struct{})
		b.settled = settled
		b.writer.Go(func() { b.write(settled) })
	}
	return nil
}

// begin lets a step begin.
func (b *Book) begin(step deploy.Step) error {
	before := b.begun
	b.begun = step
	if step.Wave != before.Wave || step.Kind != before.Kind {
		return b.settle()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// Close waits until all is written. The apply's outcome is err.
func (b *Book) Close(err error) error {
	if failed := b.settle(); failed != nil {
		return failed
	}
	return err
}

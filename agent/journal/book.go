package journal

import (
	"sync"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/deploy"
)

// Book writes the steps of an apply to the log while the apply runs. Steps that end at
// the same time are saved together, so that they do not wait for the disk one by one.
type Book struct {
	journal *Journal
	uses    SecretNames
	writer  sync.WaitGroup

	mu      sync.Mutex
	entries []audit.Entry // to write
	writing bool
	err     error
}

// Open makes a book. uses lists the new secrets of each service.
func (j *Journal) Open(uses SecretNames) *Book { return &Book{journal: j, uses: uses} }

// write writes until nothing is left, or an entry could not be written.
func (b *Book) write() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.err == nil && len(b.entries) > 0 {
		together := b.entries
		b.entries = nil
		b.mu.Unlock()
		err := b.journal.write(together...)
		b.mu.Lock()
		b.err = err
	}
	b.writing = false
}

// Note records a step that has ended, and does not wait. It stops the apply if an earlier
// entry could not be written.
func (b *Book) Note(event deploy.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil || !event.Done {
		return b.err
	}
	entries := b.journal.stepEntries(event.Step, b.uses[event.Step.Name])
	if event.Err != nil {
		entries = entries[:1]
		entries[0].Outcome, entries[0].Error = audit.Failed, event.Err.Error()
	}
	b.entries = append(b.entries, entries...)
	if !b.writing {
		b.writing = true
		b.writer.Go(b.write)
	}
	return nil
}

// Close waits until all is written. The apply's outcome is err.
func (b *Book) Close(err error) error {
	b.writer.Wait()
	if b.err != nil {
		return b.err
	}
	return err
}

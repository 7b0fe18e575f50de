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
	uses    map[string][]string
	entries chan audit.Entry
	ended   chan struct{}

	mu  sync.Mutex
	err error
}

// Open makes a book for a number of steps, so that Note never waits. uses lists the new
// secrets of each service.
func (j *Journal) Open(steps int, uses map[string][]string) *Book {
	room := steps
	for _, secrets := range uses {
		room += len(secrets)
	}
	b := &Book{journal: j, uses: uses, entries: make(chan audit.Entry, room), ended: make(chan struct{})}
	go b.run()
	return b
}

func (b *Book) run() {
	defer close(b.ended)
	for entry := range b.entries {
		together := []audit.Entry{entry}
		for more := len(b.entries); more > 0; more-- {
			together = append(together, <-b.entries)
		}
		if err := b.journal.write(together...); err != nil {
			b.mu.Lock()
			b.err = err
			b.mu.Unlock()
			return
		}
	}
}

// Note records a step that has ended. It stops the apply if an earlier entry could not be
// written.
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
	for _, entry := range entries {
		b.entries <- entry
	}
	return nil
}

// Close waits until all is written. The apply's outcome is err.
func (b *Book) Close(err error) error {
	close(b.entries)
	<-b.ended
	if b.err != nil {
		return b.err
	}
	return err
}

package deploy

import (
	"context"
	"sync"
	"time"
)

// knownFor is how long an answer of a registry counts within a context of AskOnce.
const knownFor = 10 * time.Second

// AskOnce gives a context in which the registries are asked once for an image that they have: while
// several stacks are brought to one commit in a row, each of ten rollouts would ask for the same.
// An answer counts for ten seconds.
func AskOnce(ctx context.Context) context.Context {
	return context.WithValue(ctx, foundKey{}, &found{answers: map[string]foundAt{}})
}

type foundKey struct{}

// found are the images that registries have.
type found struct {
	mu      sync.Mutex
	answers map[string]foundAt
}

type foundAt struct {
	answer Pushed
	at     time.Time
}

// foundIn gives what is known in a context; nil if it is not one of AskOnce.
func foundIn(ctx context.Context) *found {
	known, _ := ctx.Value(foundKey{}).(*found)
	return known
}

// of gives the answer about an image that still counts.
func (f *found) of(image string) (Pushed, bool) {
	if f == nil {
		return Pushed{}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	one, there := f.answers[image]
	return one.answer, there && time.Since(one.at) < knownFor
}

// keep takes an answer. One without the image does not count: it may be pushed now.
func (f *found) keep(answer Pushed) {
	if f == nil || answer.Problem != "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[answer.Image] = foundAt{answer, time.Now()}
}

package agent_test

import (
	"context"
	"io/fs"
	"slices"
	"time"

	gitsync "coin.internal/coin-agent/sync"
)

// Select is the remote's listing.
func (w *world) Select(context.Context, gitsync.Rule) (gitsync.Revision, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks = append(w.looks, time.Now())
	return w.revision, w.selectErr
}

// listings counts the remote's listings.
func (w *world) listings() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.looks)
}

// Tags has none.
func (w *world) Tags(context.Context, string) ([]gitsync.Tag, error) {
	return nil, gitsync.ErrNotFound
}

// Fetch is the remote's files.
func (w *world) Fetch(_ context.Context, revision gitsync.Revision, _ []string) (*gitsync.Checkout, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fetches++
	if w.fetchErr != nil {
		return nil, w.fetchErr
	}
	var files fs.FS = w.files
	return &gitsync.Checkout{Revision: revision, FS: files}, nil
}

// Descends is the remote's history.
func (w *world) Descends(_ context.Context, old, revision string) (bool, error) {
	w.mu.Lock()
	older, descends, gone := w.older, w.descends, w.gone == revision
	w.mu.Unlock()
	if gone {
		return false, gitsync.ErrNotFound
	}
	if older != nil {
		return older(old, revision), nil // meanwhile the commit is fetched
	}
	return descends, nil
}

// Between is the remote's history, in which each commit changes something here.
func (w *world) Between(_ context.Context, older, newer string, _ gitsync.Inputs) ([]gitsync.Commit, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := slices.IndexFunc(w.history, func(c gitsync.Commit) bool { return c.Hash == newer })
	to := slices.IndexFunc(w.history, func(c gitsync.Commit) bool { return c.Hash == older })
	if from < 0 || to < 0 {
		return nil, gitsync.ErrNotFound
	}
	return slices.Clone(w.history[from:max(from, to)]), w.historyErr
}

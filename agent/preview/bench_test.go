package preview_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/preview"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/store"
)

// listing has many open merge requests, and says when they were listed.
type listing struct {
	preview.Requests
	open   []gitlab.Request
	listed func()
}

func (l *listing) Open(context.Context, string) ([]gitlab.Request, error) {
	l.listed()
	return l.open, nil
}

// BenchmarkOpen starts the plans of a node on a state file that has a plan of 20 kB for each open
// merge request, and lists them: what a start and a push of another branch take.
func BenchmarkOpen(b *testing.B) {
	state, err := store.Open(b.TempDir(), "sandbox/node3", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = state.Close() }()
	kept, all := state.Previews(record.OnlyStack), &listing{}
	text := preview.Text{Page: report.PlanPage{Cells: []string{"plan", "", ""}, Details: strings.Repeat("x", 20_000)}, Lines: []string{strings.Repeat("y", 20_000)}}
	for i := range manyOpen {
		one := gitlab.Request{Number: int64(i + 1), State: gitlab.Opened, Source: fmt.Sprint("feature", i), Target: "master", Head: fmt.Sprintf("%040d", i)}
		all.open = append(all.open, one)
		if err := kept.SavePreview(preview.Shown{Number: one.Number, Head: one.Head, Of: one.Head, Plan: "digest", Told: true, Updated: time.Now()}, &text); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		all.listed = cancel
		worker := preview.New(preview.Options{
			Branch: "master", Heads: func() uint64 { return 1 }, Requests: all, Last: func() *record.Sync { return nil }, Store: kept, Log: slog.New(slog.DiscardHandler),
		})
		_ = worker.Run(ctx)
	}
}

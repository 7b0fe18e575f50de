package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/store"
)

func TestLastRun(t *testing.T) {
	dir := t.TempDir()
	if ran := lastRun(dir); !ran.IsZero() {
		t.Errorf("a new node ran at %s", ran)
	}
	want := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	file := filepath.Join(dir, store.FileName)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, want, want); err != nil {
		t.Fatal(err)
	}
	if ran := lastRun(dir); !ran.Equal(want) {
		t.Errorf("it ran at %s, want %s", ran, want)
	}
}

func TestLater(t *testing.T) {
	for name, test := range map[string]struct {
		wait, ends time.Duration
		want       bool
	}{
		"at once":        {0, time.Second, true},
		"later":          {20 * time.Second, time.Minute, true},
		"stopped before": {20 * time.Second, 10 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), test.ends)
				defer cancel()
				began, ran := time.Now(), time.Duration(-1)
				services := later(test.wait, []func(context.Context) error{func(ctx context.Context) error {
					ran = time.Since(began)
					<-ctx.Done()
					return nil
				}})
				if err := services[0](ctx); err != nil || (ran == test.wait) != test.want || time.Since(began) != test.ends {
					t.Errorf("ran after %s, ended after %s: %v", ran, time.Since(began), err)
				}
			})
		})
	}
}

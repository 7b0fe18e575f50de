package main

import (
	"bytes"
	"context"
	"testing"
)

// TestRelease brings a release through two environments and back, as `make demo
// DEMO_FLAGS=-full` shows it: five agents, one engine, one GitLab.
func TestRelease(t *testing.T) {
	var told bytes.Buffer
	w := &world{say: newNarrator(&told)}
	chapters := append([]chapter{{"Required programs", w.prepare}, {"A private Docker engine and Swarm", w.engineChapter}}, w.releaseChapters()...)
	for _, one := range chapters {
		told.WriteString("\n" + one.title + "\n")
		if err := one.tell(t.Context()); err != nil {
			t.Errorf("%s: %v\n%s", one.title, err, told.String())
			break
		}
	}
	if err := w.close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	t.Log(told.String())
}

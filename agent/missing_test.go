package agent_test

import (
	"errors"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
)

// TestMissingImagesStopASync has an image that is nowhere: the sync stops at its plan, and
// nothing is written. If only the registry could not be asked, it is tried again.
func TestMissingImagesStopASync(t *testing.T) {
	for name, refusal := range map[string]error{
		"the registry does not have it": fault.New(fault.Place{}, "push it", "image app:2 is nowhere"),
		"the registry does not answer":  fault.Transient(errors.New("image app:2 cannot be asked for")),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				first := w.commit("1", nodeDir+"node.env", "TAG=1\n", nodeDir+"docker-compose.yml", "services: {web: {image: \"app:$TAG\"}}\n")
				w.start()
				w.wantLast(first, record.Succeeded)
				w.set(func() { w.lacks = map[string]error{"app:2": refusal} })
				commit := w.commit("2", nodeDir+"node.env", "TAG=2\n")
				w.poll()
				sync := w.wantLast(commit, record.Failed)
				if sync.Stage != record.StagePlan || sync.Wrote || w.plans() != 1 || sync.Transient != fault.IsTransient(refusal) || sync.Error != refusal.Error() {
					w.t.Errorf("%d plans, %+v", w.plans(), sync)
				}
				w.set(func() { w.lacks = nil })
				w.pass(time.Hour)
				want := record.Failed // held
				if sync.Transient {
					want = record.Succeeded
				}
				w.wantLast(commit, want)
			})
		})
	}
}

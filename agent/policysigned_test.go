package agent_test

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/cosign/cosigntest"
	"coin.internal/coin-agent/policy"
)

// idWeb runs an image by its ID, which no registry has a signature of.
var idWeb = "services: {web: {image: " + strings.Repeat("ab", 32) + "}}\n"

// signedOnly demands a signature of each image.
func signedOnly(t *testing.T) *policy.Policy {
	t.Helper()
	return &policy.Policy{Images: &policy.Images{Signatures: []policy.ImageSignature{
		{Images: policy.Patterns{"*"}, Keys: []string{cosigntest.NewKey(t, "ecdsa").File}, Required: true},
	}}}
}

// TestUnsignedLeavesDrift has the policy refuse the image of what runs by its signature alone,
// and changes a service by hand: no sync begins, so that the good commit stays good, and the
// status says why. With another policy the drift is corrected.
func TestUnsignedLeavesDrift(t *testing.T) {
	for name, rolledBack := range map[string]bool{"after a sync": false, "after a rollback": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				current := w.under(nil)
				w.release("1", configFile, automatic+"drift: correct\n", nodeDir+"docker-compose.yml", idWeb)
				w.start()
				if rolledBack {
					w.breaks("2")
					w.release("2", nodeDir+"docker-compose.yml", plainWeb)
					w.poll()
					w.wantLast(w.revision.Commit, record.RolledBack)
				}
				last, told, applied := w.last(), len(w.states(w.revision.Commit)), w.plans()
				current.Reload(signedOnly(t), nil)
				w.set(func() { w.live = map[string]swarm.ServiceSpec{} })
				for range 3 {
					w.poll()
					status := w.desk.Status()
					if len(status.Drift) != 1 || len(status.Forbidden) != 1 || !strings.Contains(status.Forbidden[0].Error, "policy.images.signatures does not allow it") || status.PollError != "" {
						t.Fatalf("drift %v, refused %v, poll error %q", status.Drift, status.Forbidden, status.PollError)
					}
				}
				if now := w.last(); now.ID != last.ID || len(w.states(w.revision.Commit)) != told || w.plans() != applied {
					t.Errorf("sync #%d after #%d; %d statuses, %d plans more", now.ID, last.ID, len(w.states(w.revision.Commit))-told, w.plans()-applied)
				}
				current.Reload(nil, nil)
				w.poll()
				if status := w.desk.Status(); len(status.Drift) != 0 || len(status.Forbidden) != 0 || w.plans() != applied+1 {
					t.Errorf("drift %v, refused %v, %d plans more", status.Drift, status.Forbidden, w.plans()-applied)
				}
			})
		})
	}
}

package agent_test

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/record"
)

const requiring = `environment: {name: sandbox, type: non-production}
nodes:
  - name: node3
    context: c
    stack: s
    required_secrets: [node_key]
secrets:
  required:
    - db_access
    - card_iv.txt
    - absent
`

// A sync without a required secret stops before anything is touched.
func TestRequiredSecretStopsTheSync(t *testing.T) {
	inWorld(t, func(w *world) {
		commit := w.commit("2", configFile, requiring)
		w.start()
		last := w.wantLast(commit, record.Failed)
		if w.plans() != 0 || last.Stage != "decrypt" || len(last.Faults) != 4 || !strings.Contains(last.Error, "a required secret is missing") {
			t.Errorf("applied %d, sync %+v", w.plans(), last)
		}
	})
}

package metrics_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/metrics"
	"coin.internal/coin-agent/agent/record"
)

// TestDeploymentStatus is 0 only after a failure: a user who rolls back gets what was asked for.
func TestDeploymentStatus(t *testing.T) {
	no := func() bool { return false }
	m := metrics.New("sandbox", "node3", "1")
	stack := m.Stack("", metrics.Source{
		InSync: no, Soaking: no, Contested: func() int { return 0 },
		Gates: func() (bool, []record.Gate) { return false, nil }, Ages: func() []inventory.Age { return nil },
		Totals: func() (record.Totals, error) { return record.Totals{}, nil }, Started: func() (time.Time, bool) { return time.Time{}, false },
		Rotations: func() []inventory.Rotation { return nil }, Services: func() metrics.Services { return metrics.Services{} },
	})
	for name, test := range map[string]struct {
		sync record.Sync
		want string
	}{
		"succeeded":            {record.Sync{State: record.Succeeded}, "1"},
		"failed":               {record.Sync{State: record.Failed}, "0"},
		"rolled back":          {record.Sync{State: record.RolledBack, Rollback: &record.Rollback{Auto: true}}, "0"},
		"automatic rollback":   {record.Sync{State: record.RolledBack, Trigger: record.OnRollback, Rollback: &record.Rollback{Auto: true}}, "0"},
		"rollback by a user":   {record.Sync{State: record.RolledBack, Trigger: record.OnRollback, Rollback: &record.Rollback{}}, "1"},
		"its drift, corrected": {record.Sync{State: record.RolledBack, Rollback: &record.Rollback{}}, "1"},
		"it failed":            {record.Sync{State: record.Failed, Trigger: record.OnRollback, Rollback: &record.Rollback{}}, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			stack.Ended(nil, &test.sync)
			answer := httptest.NewRecorder()
			m.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
			if line := `deployment_status{environment="sandbox",node="node3"} ` + test.want + "\n"; !strings.Contains(answer.Body.String(), line) {
				t.Errorf("no %s", line)
			}
		})
	}
}

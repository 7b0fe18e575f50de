package metrics_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/metrics"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/freeaddress"
	"coin.internal/coin-agent/internal/waitfor"
)

// dashboard is what the tests read of a dashboard.
type dashboard struct {
	UID           string
	SchemaVersion int
	Templating    struct {
		List []struct{ Name, Type, Definition string }
	}
	Annotations struct{ List []struct{ Name, Expr string } }
	Panels      []struct {
		ID      int
		Title   string
		Type    string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ RefID, Expr string }
	}
}

func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	all := map[string]dashboard{}
	for _, name := range glob(t, "dashboards/*.json") {
		var one dashboard
		if err := json.Unmarshal([]byte(read(t, name)), &one); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if one.UID+".json" != filepath.Base(name) || one.SchemaVersion < 39 || len(one.Panels) == 0 {
			t.Errorf("%s: uid %q, schema %d, %d panels", name, one.UID, one.SchemaVersion, len(one.Panels))
		}
		all[one.UID] = one
	}
	return all
}

// Panels do not overlap, and each has queries with references of their own.
func TestDashboardLayout(t *testing.T) {
	for uid, one := range dashboards(t) {
		taken := map[[2]int]string{}
		for _, panel := range one.Panels {
			at := panel.GridPos
			if at.X < 0 || at.W <= 0 || at.H <= 0 || at.X+at.W > 24 || len(panel.Targets) == 0 {
				t.Errorf("%s: %s is at %+v with %d queries", uid, panel.Title, at, len(panel.Targets))
			}
			for x := at.X; x < at.X+at.W; x++ {
				for y := at.Y; y < at.Y+at.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" {
						t.Fatalf("%s: %s covers %s", uid, panel.Title, other)
					}
					taken[[2]int{x, y}] = panel.Title
				}
			}
			seen := map[string]bool{}
			for _, target := range panel.Targets {
				if seen[target.RefID] || target.RefID == "" {
					t.Errorf("%s: %s has the reference %q twice", uid, panel.Title, target.RefID)
				}
				seen[target.RefID] = true
			}
		}
	}
}

// node fills the metrics of a node with a state file, as an agent does, and gives their handler.
func node(t *testing.T) (handler http.Handler, deploys func(release string)) {
	t.Helper()
	state, err := store.Open(t.TempDir(), "sandbox/node3", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = state.Close() })
	records, now := state.Stack(record.OnlyStack), time.Now()
	m := metrics.New("sandbox", "node3", "1.0.0")
	m.Reports(func() int { return 1 })
	m.Audit(func() uint64 { return 17 }, func() map[string]int { return map[string]int{"issue 17": 2} })
	m.Notified(notify.KindSlack, "failed")
	m.PollFailed()
	services := metrics.Services{Observed: now, Of: []deploy.ServiceStatus{{Name: "coin_api", Running: 1, Desired: 2}}, Verdict: health.Verdict{State: health.Degraded}}
	stack := m.Stack("", metrics.Source{
		InSync: func() bool { return true }, Contested: func() int { return 0 }, Soaking: func() bool { return false },
		Gates:     func() (bool, []record.Gate) { return false, []record.Gate{{Name: record.GateApproval, Since: now}} },
		Rotations: func() []inventory.Rotation { return []inventory.Rotation{{Secret: "db_access", Due: now}} },
		Ages:      func() []inventory.Age { return []inventory.Age{{Secret: "db_access", Created: now}} },
		Totals:    func() (record.Totals, error) { return store.TotalsOf(records) },
		Started:   func() (time.Time, bool) { return now, true },
		Services:  func() metrics.Services { return services },
	})
	stack.Phase("apply", 3)
	stack.Checked([]checks.Result{{Name: "api", OK: true, Attempts: 1, Seconds: .2}})
	return m.Handler(), func(release string) {
		at := time.Now()
		good := record.Sync{Commit: release, Trigger: record.OnCommit, State: record.Succeeded, Wrote: true, Committed: at.Add(-time.Hour), Started: at.Add(-time.Minute), Finished: at}
		bad := good
		bad.State, bad.Rollback = record.RolledBack, &record.Rollback{Started: at.Add(-time.Second), Finished: at}
		for _, sync := range []*record.Sync{&bad, &good} {
			if err := records.SaveOutcome(sync, nil); err != nil {
				t.Error(err)
			}
		}
		stack.Ended(&record.GoodState{Release: release, At: at}, &good)
	}
}

// neighbours are metrics of the application, its containers, the machine and the engine, in the
// form that their exporters give.
func neighbours(grown int) string {
	const service = `container_label_com_docker_swarm_service_name="coin_admin_api",id="/a"`
	return fmt.Sprintf(`http_requests_total{service="admin_api",status="200"} %[1]d
http_requests_total{service="admin_api",status="500"} %[1]d
http_request_duration_seconds_bucket{service="admin_api",le="0.1"} %[1]d
http_request_duration_seconds_bucket{service="admin_api",le="+Inf"} %[1]d
container_cpu_usage_seconds_total{%[2]s} %[1]d
container_memory_working_set_bytes{%[2]s} 80
container_spec_memory_limit_bytes{%[2]s} 100
container_network_receive_bytes_total{%[2]s} %[1]d
container_network_transmit_bytes_total{%[2]s} %[1]d
container_start_time_seconds{%[2]s} 1
node_filesystem_avail_bytes{fstype="ext4",mountpoint="/"} 1
node_filesystem_size_bytes{fstype="ext4",mountpoint="/"} 2
node_memory_MemAvailable_bytes 1
node_memory_MemTotal_bytes 2
node_load5 1
engine_daemon_container_states_containers{state="running"} 7
`, grown, service)
}

// prometheus runs a Prometheus that scrapes addresses by the names of their jobs, and gives its
// own address.
func prometheus(t *testing.T, jobs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	config := "global: {scrape_interval: 250ms, scrape_timeout: 250ms}\nscrape_configs:\n"
	for name, address := range jobs {
		config += fmt.Sprintf("  - {job_name: %s, honor_labels: true, static_configs: [{targets: [%q], labels: {environment: sandbox, node: node3}}]}\n", name, address)
	}
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freeaddress.New(t)
	var said strings.Builder
	command := exec.Command("prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	command.Stdout, command.Stderr = io.Discard, &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	return "http://" + address
}

// asked gives how many series a query gives, or why it fails.
func asked(base, query string) (int, error) {
	response, err := http.Get(base + "/api/v1/query?query=" + url.QueryEscape(query)) //nolint:noctx // of this test's process
	if err != nil {
		return 0, err
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	var answer struct {
		Error string
		Data  struct{ Result []json.RawMessage }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Error != "" {
		return 0, fmt.Errorf("%s %w", answer.Error, cmp.Or(err, io.ErrUnexpectedEOF))
	}
	return len(answer.Data.Result), nil
}

// Each query of each dashboard gives data from a Prometheus that scrapes the agent's metrics
// and those of the exporters.
func TestDashboardsHaveData(t *testing.T) {
	handler, deploys := node(t)
	deploys("1")
	agent := httptest.NewServer(handler)
	defer agent.Close()
	grown := 0
	others := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		grown++
		_, _ = io.WriteString(w, neighbours(grown))
	}))
	defer others.Close()
	at := func(server *httptest.Server) string { return server.Listener.Addr().String() }
	base := prometheus(t, map[string]string{"coin-agent": at(agent), "coin-api": at(others)})
	data := func(query string) {
		t.Helper()
		waitfor.NoError(t, 5*time.Minute, func() error {
			n, err := asked(base, query)
			if err == nil && n == 0 {
				err = fmt.Errorf("%s gives nothing", query)
			}
			return err
		})
	}
	data("coin_agent_syncs_total")
	deploys("2")
	replace := strings.NewReplacer("$__range:1m", "30s:1s", "$__rate_interval", "1m", "$__range_s", "60", "$__range", "1m", "$environment", ".*", "$node", ".*")
	for _, one := range dashboards(t) {
		for _, panel := range one.Panels {
			for _, target := range panel.Targets {
				data(replace.Replace(target.Expr))
			}
		}
		for _, annotation := range one.Annotations.List {
			if annotation.Expr != "" {
				data(replace.Replace(annotation.Expr))
			}
		}
	}
}

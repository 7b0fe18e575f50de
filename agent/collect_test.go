package agent_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
)

const day = 24 * time.Hour

// Stock is what the world's engine has.
func (e engine) Inventory(context.Context) (*deploy.Inventory, error) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.w.surveys++
	stock := &deploy.Inventory{Secrets: maps.Clone(e.w.secrets), Services: deploy.LiveServices{}}
	for name, spec := range e.w.live {
		stock.Services[name] = swarm.Service{ID: name, Spec: spec}
	}
	return stock, e.w.stockErr
}

// Collect removes what it is told to, as the real one does when nothing changes
// in between.
func (e engine) Collect(_ context.Context, due []deploy.Version, _ deploy.Retention, note func(deploy.Event) error) (removed, used []deploy.Version, err error) {
	for _, version := range due {
		event := deploy.Event{Step: deploy.Step{Action: deploy.Remove, Kind: version.Kind, Name: version.Name}}
		if err := note(event); err != nil {
			return removed, nil, err
		}
		e.w.set(func() { delete(e.w.secrets, version.Name) })
		removed = append(removed, version)
		event.Done = true
		if err := note(event); err != nil {
			return removed, nil, err
		}
	}
	return removed, nil, nil
}

// config adds lines to config.yml with the next commit.
func (w *world) config(lines string) {
	w.set(func() {
		w.files = maps.Clone(w.files)
		w.files[configFile] = file(lines + string(w.files[configFile].Data))
	})
}

// raise commits a version of the secret and has it rolled out.
func (w *world) raise(version int) {
	w.t.Helper()
	commit := w.useSecret("raise to "+string(rune('0'+version)), version, "web")
	w.poll()
	w.wantLast(commit, record.Succeeded)
}

// sleep has the daemon stopped for a time, which costs no looks.
func (w *world) sleep(d time.Duration) {
	w.t.Helper()
	w.halt()
	time.Sleep(d)
	w.start()
}

func (w *world) wantSecrets(want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(w.secrets))); diff != "" {
		w.t.Errorf("what is there: %s", diff)
	}
}

// Where the count alone decides, each sync collects what it made superfluous, and
// the log says so.
func TestCollectAfterASync(t *testing.T) {
	inWorld(t, func(w *world) {
		w.config("secrets: {retention: {days: 0, versions: 1}}\n")
		w.useSecret("raise to 1", 1, "web")
		w.start()
		w.raise(2)
		w.wantSecrets("s_db.1", "s_db.2")
		after := len(w.audited())
		w.raise(3)
		w.wantSecrets("s_db.2", "s_db.3")
		told := strings.Join(w.audited()[after:], "\n")
		if !strings.HasSuffix(told, "agent: remove s_db.1 started\nagent: remove s_db.1 succeeded") {
			t.Errorf("the audit log:\n%s", told)
		}
		good, err := w.records.Good(10)
		if err != nil || len(good) != 2 || good[0].Secrets[0].Name != "s_db.3" || good[1].Secrets[0].Name != "s_db.2" {
			t.Errorf("good states: %+v, %v", good, err)
		}
		w.wantMetrics(`coin_agent_removed_versions_total{environment="sandbox",kind="secret",node="node3"} 1`,
			`coin_agent_kept_versions{environment="sandbox",kind="secret",node="node3"} 1`)
	})
}

// An idle agent looks once an hour, and removes what was unused for its time: over
// restarts too.
func TestCollectWhileIdle(t *testing.T) {
	inWorld(t, func(w *world) {
		w.config("secrets: {retention: {days: 1, versions: 1}}\n")
		w.useSecret("raise to 1", 1, "web")
		w.start()
		w.raise(2)
		w.raise(3)
		w.set(func() { w.surveys = 0 })
		w.pass(12 * time.Hour)
		w.mu.Lock()
		if w.surveys < 11 || w.surveys > 12 {
			t.Errorf("%d surveys in half a day", w.surveys)
		}
		w.mu.Unlock()
		w.sleep(10 * time.Hour)
		w.pass(time.Hour)
		w.wantSecrets("s_db.1", "s_db.2", "s_db.3")
		w.pass(2 * time.Hour)
		w.wantSecrets("s_db.2", "s_db.3")
		w.sleep(100 * day)
		w.poll()
		w.wantSecrets("s_db.2", "s_db.3") // the count
	})
}

// While it is uncertain what is in use nothing goes, whoever asks for it.
func TestCollectNothingWhileUncertain(t *testing.T) {
	for name, test := range map[string]struct {
		upset func(*world)
		says  string
	}{
		"a failed sync": {func(w *world) {
			w.set(func() {
				w.result = deploy.Result{Services: []deploy.ServiceResult{{Name: "s_web", State: deploy.Failed}}}
			})
			w.useSecret("raise to 4", 4, "web")
		}, "the state of the last sync, #4, is failed"},
		"a waiting sync": {func(w *world) {
			w.config("deployment: {auto_deploy: false}\n")
			w.useSecret("raise to 4", 4, "web")
		}, "the state of the last sync, #4, is waiting"},
		"drift": {func(w *world) {
			w.set(func() { w.live = map[string]swarm.ServiceSpec{} })
		}, "live services drifted: s_web, s_worker"},
		"an engine that fails": {func(w *world) { w.set(func() { w.engineErr = errors.New("no leader") }) }, "the last look failed: look at the services: no leader"},
		"an engine that fails in the survey": {func(w *world) {
			w.set(func() { w.stockErr = errors.New("no leader") })
		}, "list the versions: no leader"},
		"a log that cannot be written": {func(w *world) { w.obstruct() }, "audit log"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.config("secrets: {retention: {days: 1, versions: 1}}\n")
				w.useSecret("raise to 1", 1, "web")
				w.start()
				w.raise(2)
				w.raise(3)
				w.set(func() { w.stockErr = errors.New("not yet") })
				w.sleep(26 * time.Hour)
				w.set(func() { w.stockErr = nil })
				test.upset(w)
				w.poll()
				w.pass(2 * time.Hour)
				_, err := w.desk.Collect(w.t.Context(), person)
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("asked for a collection: %v", err)
				}
				w.mu.Lock()
				defer w.mu.Unlock()
				for _, name := range []string{"s_db.1", "s_db.2", "s_db.3"} {
					if _, there := w.secrets[name]; !there {
						t.Errorf("%s is gone", name)
					}
				}
			})
		})
	}
}

// A person may have collected what the hour would, and sees it before.
func TestCollectOnRequest(t *testing.T) {
	inWorld(t, func(w *world) {
		w.config("secrets: {retention: {days: 1, versions: 1}}\n")
		w.useSecret("raise to 1", 1, "web")
		w.start()
		w.raise(2)
		w.raise(3)
		w.sleep(23*time.Hour + 59*time.Minute)
		survey, err := w.desk.Survey(w.t.Context())
		if err != nil || survey.Uncertain != "" || len(deploy.Collectable(survey.Versions)) != 0 || len(survey.Versions) != 3 {
			t.Fatalf("%+v, %v", survey, err)
		}
		w.pass(90 * time.Second)
		if survey, err = w.desk.Survey(w.t.Context()); err != nil || len(deploy.Collectable(survey.Versions)) != 1 {
			t.Errorf("%+v, %v", survey, err)
		}
		w.wantSecrets("s_db.1", "s_db.2", "s_db.3")
		if survey, err = w.desk.Collect(w.t.Context(), person); err != nil || len(survey.Removed) != 1 || len(survey.Versions) != 2 {
			t.Errorf("%+v, %v", survey, err)
		}
		w.wantSecrets("s_db.2", "s_db.3")
		told := w.audited()
		if last := told[len(told)-1]; last != person.String()+": remove s_db.1 succeeded" {
			t.Errorf("the audit log ends with %s", last)
		}
	})
}

// An overdue rotation is a warning and a metric, and no reason to be out of sync.
func TestOverdueRotation(t *testing.T) {
	inWorld(t, func(w *world) {
		w.config("secrets: {rotation_days: 2, rotation_exceptions: {other: 0}}\n")
		w.useSecret("raise to 1", 1, "web")
		w.start()
		w.pass(time.Hour)
		metric := `coin_agent_secret_rotation_overdue_seconds{environment="sandbox",node="node3",secret="db"} `
		if status := w.desk.Status(); len(status.Overdue) > 0 {
			t.Errorf("after an hour: %+v", status.Overdue)
		}
		w.wantMetrics(metric + "0")
		w.sleep(71 * time.Hour)
		status := w.desk.Status()
		if len(status.Overdue) != 1 || status.Overdue[0].Name != "s_db.1" || !status.InSync {
			t.Errorf("after 3 days: %+v", status)
		}
		w.wantMetrics(metric + "86400")
		survey, err := w.desk.Survey(w.t.Context())
		if err != nil || len(survey.Secrets) != 1 || !survey.Secrets[0].Overdue || survey.Secrets[0].Live.Uses[0].Target != "/run/secrets/db" {
			t.Errorf("%+v, %v", survey, err)
		}
		w.raise(2)
		if status := w.desk.Status(); len(status.Overdue) > 0 {
			t.Errorf("rotated: %+v", status.Overdue)
		}
		w.wantMetrics(metric + "0")
	})
}

// Before a newer agent has recorded what is applied, nothing is judged by it.
func TestSurveyOfNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(func() { w.selectErr = errors.New("no network") })
		w.start()
		if _, err := w.desk.Survey(w.t.Context()); control.StatusOf(err) != http.StatusConflict || !strings.Contains(err.Error(), "no revision is applied") {
			t.Errorf("got %v", err)
		}
	})
}

// wantMetrics checks lines of the metrics.
func (w *world) wantMetrics(lines ...string) {
	w.t.Helper()
	body := w.scrape()
	for _, line := range lines {
		if !strings.Contains(body, "\n"+line+"\n") {
			w.t.Errorf("no metric %s in\n%s", line, strings.Join(slices.DeleteFunc(strings.Split(body, "\n"), func(line string) bool {
				return !strings.Contains(line, "version") && !strings.Contains(line, "secret")
			}), "\n"))
		}
	}
}

// scrape gives the metrics as /metrics has them.
func (w *world) scrape() string {
	answer := httptest.NewRecorder()
	w.metrics.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return answer.Body.String()
}

// A version to which a rollback of another stack returns is not collected.
func TestCollectNotWhatAnotherStackNeeds(t *testing.T) {
	inWorld(t, func(w *world) {
		db := func(version string) string {
			return "services: {db: {image: \"db:1\", secrets: [key]}}\nsecrets: {key: {name: \"platform_key." + version + "\", file: secrets/key}}\n"
		}
		web := func(version string) string {
			return "services: {web: {image: \"app:1\", secrets: [key]}}\nsecrets: {key: {name: \"platform_key." + version + "\", external: true}}\n"
		}
		rules := layers("{name: platform}", "{name: business, waits_for: []}") +
			"allow_plaintext_secrets: true\nsecrets: {retention: {days: 0, versions: 1}}\n"
		w.commit("1", configFile, rules, nodeDir+"node.env", "TAG=1\n", platformDir+"secrets/key", "a canary",
			platformDir+"docker-compose.yml", db("1"), businessDir+"docker-compose.yml", web("1"))
		w.start()
		for _, version := range []string{"2", "3", "4"} {
			next := w.commit(version, platformDir+"docker-compose.yml", db(version), businessDir+"docker-compose.yml", web("2"))
			w.poll()
			w.lastOf("platform", next, record.Succeeded)
			w.lastOf("business", next, record.Succeeded)
		}
		w.wantSecrets("platform_key.1", "platform_key.2", "platform_key.3", "platform_key.4")
	})
}

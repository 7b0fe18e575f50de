package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/internal/postgrestest"
	"coin.internal/coin-agent/internal/sopstest"
)

const checkToken = "canary-check-token-9e1d7740"

// checkedApp is what an application answers; it takes only who has the token.
type checkedApp struct {
	status atomic.Int32
	asked  atomic.Int32
}

func (h *checkedApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.asked.Add(1)
	if r.Header.Get("Authorization") != "Bearer "+checkToken {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.WriteHeader(int(h.status.Load()))
	_, _ = io.WriteString(w, `{"status":"ok","you sent":"`+r.Header.Get("Authorization")+`"}`)
}

// checkedRepo is the small repository with checks, and secrets for them.
func (l *lab) checkedRepo(lines string) map[string]string {
	l.t.Helper()
	files := l.smallRepo()
	files[composeFile] = inBridge + "services:\n  web:\n    image: coin-test/app:$TAG\n    environment: {RELEASE_OF: $TAG}\n    " + quickly + "\n"
	files[node3+"secrets.enc"] = sopstest.YAML(l.t, l.key, map[string]string{"api_token": checkToken, "db_password": postgrestest.Password})
	delete(files, node3+"secrets.override.enc")
	files[configFile] += lines
	return files
}

const configFile = "environments/sandbox/config.yml"

// results gives the checks of a sync.
func results(t *testing.T, sync *record.Sync) []checks.Result {
	t.Helper()
	if len(sync.Checks) == 0 {
		return nil
	}
	return decode[[]checks.Result](t, string(sync.Checks))
}

// TestChecks rolls out with a check of each kind: one that fails fails the sync,
// with its reason everywhere; when the server is well, a person's sync passes.
func TestChecks(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	database := postgrestest.New(t)
	database.Exec(t, "CREATE TABLE schema_migrations (id bigint); INSERT INTO schema_migrations VALUES (565)")
	app := &checkedApp{}
	app.status.Store(http.StatusServiceUnavailable)
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	l.settings["check_dir"] = l.dir + "/checks"
	if err := os.Mkdir(l.settings["check_dir"], 0o700); err != nil {
		t.Fatal(err)
	}
	l.file("checks/token", checkToken+"\n")
	l.mappings = "policy: {checks: {credentials: {token: [127.0.0.1]}}}\n"
	files := l.checkedRepo(fmt.Sprintf(`  checks:
    - {name: health, retries: 1, interval: 50ms, http: {url: '%[1]s/health?node={{node}}', token_secret: api_token, json_path: status, json_equals: ok}}
    - {name: by file, retries: 0, http: {url: '%[1]s/health', token_file: token, status: [200, 503]}}
    - {name: port, tcp: {address: '127.0.0.1:%[2]d'}}
    - {name: migrations, sql: {query: SELECT max(id) FROM schema_migrations, equals: '{{env.EXPECTED_MIGRATION_ID}}', password_secret: db_password}}
    - {name: command, exec: {service: web, command: [/app, health]}}
    - {name: elsewhere, nodes: [node4], tcp: {address: '127.0.0.1:1'}}
database: {host: 127.0.0.1, port: %[2]d, name: coin, user: coin}
`, server.URL, database.Port))
	files[configFile] = strings.Replace(files[configFile], "name: by file", "name: by_file", 1)
	files[node3+"node.env"] += "EXPECTED_MIGRATION_ID=565\n"
	first := l.commit("first", files)
	l.start()

	status := l.await(first, record.Failed)
	want := "check health (GET " + server.URL + "/health?node=node3): got status 503, want 200 (2 attempts)"
	if status.Sync.Error != want || !strings.Contains(status.Sync.Hint, configFile+":8:") || status.Sync.Stage != "verify" || status.Sync.Transient {
		t.Errorf("got %s: %q (%s)", status.Sync.Stage, status.Sync.Error, status.Sync.Hint)
	}
	for _, result := range results(t, status.Sync) {
		if result.OK != (result.Name != "health") {
			t.Errorf("got %+v", result)
		}
	}
	l.posts(first, "failed")
	if text := l.described(first); !strings.Contains(text, want[:60]) {
		t.Errorf("described as %q", text)
	}
	_, out, _ := l.command("status")
	told(t, "status", out, []said{{want, "the check is at"}}, "verify: ", "hint: ")
	if !strings.Contains(out, "checks: 4 of 5 passed") {
		t.Errorf("status: %s", out)
	}
	l.metric(`coin_agent_check_ok{check="health",environment="sandbox",node="node3"} 0`)
	l.metric(`coin_agent_check_ok{check="command",environment="sandbox",node="node3"} 1`)

	app.status.Store(http.StatusOK)
	l.mustRun(exitDone, []string{"nothing to change"}, "sync", "--wait")
	status = l.await(first, record.Succeeded)
	l.posts(first, "success")
	if got := results(t, status.Sync); len(got) != 5 || !got[0].OK || got[0].Seconds <= 0 || got[4].Target != l.stack+"_web: /app health" {
		t.Errorf("got %+v", got)
	}
	seen := witness{}
	seen.everything(l, "checked")
	l.stop()
	hunted := needlesOf(checkToken, postgrestest.Password)
	for place, text := range seen {
		if strings.HasSuffix(place, filepath.Join("checks", "token")) {
			continue
		}
		if found := hunted.in(text); len(found) > 0 {
			t.Errorf("%s shows %q", place, found)
		}
	}
}

// TestChecksDue asks the checks after each rollout, when they change and when a
// person asks; not when a commit changes nothing. The times are compared.
func TestChecksDue(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	app := &checkedApp{}
	app.status.Store(http.StatusOK)
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	files := l.checkedRepo("  checks:\n    - {name: health, http: {url: '" + server.URL + "', token_secret: api_token}}\n")
	l.start()
	want := int32(0)
	after := func(commit string, more int32, what string) {
		t.Helper()
		l.await(commit, record.Succeeded)
		if want += more; app.asked.Load() != want {
			t.Errorf("%s: asked %d times, want %d", what, app.asked.Load(), want)
		}
		want = app.asked.Load()
	}
	after(l.commit("first", files), 1, "first rollout")
	same := l.commit("a comment", map[string]string{node3 + "node.env": files[node3+"node.env"] + "# nothing\n"})
	after(same, 0, "nothing changes")
	if code, _, errs := l.command("sync", "--wait"); code != exitDone {
		t.Errorf("sync: %s", errs)
	}
	after(same, 1, "a person asks")
	changed := strings.Replace(files[configFile], "name: health,", "name: health, retries: 2,", 1)
	after(l.commit("another check", map[string]string{configFile: changed}), 1, "the check changes")
	for tag := range 2 {
		after(l.commit("rollout", map[string]string{node3 + "node.env": l.nodeEnv("1", "export RELEASE="+strconv.Itoa(tag)), composeFile: files[composeFile] + "    hostname: h" + strconv.Itoa(tag) + "\n"}), 1, "a rollout")
	}
	status, err := l.status()
	if err != nil {
		t.Fatal(err)
	}
	if got := results(t, status.Sync); len(got) != 1 || got[0].Baseline <= 0 {
		t.Errorf("nothing to compare with: %+v", got)
	}
	history := decode[[]record.Sync](t, l.mustRun(exitDone, nil, "history", "-o", "json"))
	asked := 0
	for _, sync := range history {
		if len(results(t, &sync)) > 0 {
			asked++
		}
	}
	if asked != 5 {
		t.Errorf("%d syncs of %d have checks, want 5", asked, len(history))
	}
}

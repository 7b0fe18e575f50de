package main

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/postgrestest"
	"coin.internal/coin-agent/internal/sopstest"
)

// collector is a server of a commit's author: it keeps what it is sent.
type collector struct {
	address string // https://, at all addresses of this machine

	mu  sync.Mutex
	got []string
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	listener, err := net.Listen("tcp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.got = append(c.got, r.Header.Get("Authorization")+r.Header.Get("X-Key")+" to "+r.Host)
	}))
	_ = server.Listener.Close()
	server.Listener, server.TLS = listener, &tls.Config{MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	c.address = fmt.Sprintf("https://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	return c
}

func (c *collector) took() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}

// TestCommitCollectsNoCredential has commits name servers of their author for a token and a
// password of the node: each is refused before anything is written, with the line that
// would allow it, nothing is sent, and what ran still runs. After the operator has bound the
// token to the host, the same check gets it there.
func TestCommitCollectsNoCredential(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	author, impostor := newCollector(t), postgrestest.NewImpostor(t)
	l.settings["check_dir"] = l.dir + "/checks"
	if err := os.Mkdir(l.settings["check_dir"], 0o700); err != nil {
		t.Fatal(err)
	}
	l.file("checks/harbor.token", "canary-harbor-token\n")
	l.file("checks/db.password", "canary-database-password\n")
	files := l.checkedRepo("database: {host: 127.0.0.1, name: coin, user: coin}\n")
	files[node3+"secrets.enc"] = sopstest.YAML(t, l.key, map[string]string{"api_token": checkToken})
	good := l.commit("good", files)
	l.start()
	l.await(good, record.Succeeded)
	before := l.versions()

	token := "  checks:\n    - {name: collect, retries: 0, http: {url: '" + author.address + "/x', token_file: harbor.token, tls: {insecure_skip_verify: true}}}\n"
	for i, attack := range []struct{ was, is, want, line string }{
		{"database:", token + "database:", "check collect: the file harbor.token of check_dir must not go to localhost", "{harbor.token: [localhost]}"},
		{
			"database:", fmt.Sprintf("  checks:\n    - {name: collect, retries: 0, sql: {query: SELECT 1, host: localhost, port: %d, password_file: db.password}}\ndatabase:", impostor.Port),
			"check collect: the file db.password of check_dir must not go to localhost", "{db.password: [localhost]}",
		},
		{
			"database: {host: 127.0.0.1", fmt.Sprintf("  migration_check: {enabled: true, password_file: db.password}\ndatabase: {host: localhost, port: %d", impostor.Port),
			"migration_check: the file db.password of check_dir must not go to localhost: this commit names it as database.host", "{db.password: [localhost]}",
		},
		{
			"database:", strings.NewReplacer("token_file: harbor.token", "headers: {X-Key: '{{secret.api_token}}'}", "localhost", "0.0.0.0").Replace(token) + "database:",
			"check collect: the secret api_token must not go to 0.0.0.0", "{secret.api_token: [0.0.0.0]}",
		},
		{
			"database:", strings.NewReplacer("token_file: harbor.token", "token_secret: api_token", "https://localhost", "http://0.0.0.0", ", tls: {insecure_skip_verify: true}", "").Replace(token) + "database:",
			"check collect: the secret api_token must not go to 0.0.0.0", "{secret.api_token: [0.0.0.0]}",
		},
	} {
		changed := maps.Clone(files)
		changed[configFile] = strings.Replace(files[configFile], attack.was, attack.is, 1)
		changed[node3+"node.env"] = l.nodeEnv("2", fmt.Sprintf("ATTACK=%d", i))
		bad := l.commit("attack", changed)
		sync := l.await(bad, record.Failed).Sync
		if !strings.Contains(sync.Error, attack.want) || !strings.Contains(sync.Error, configFile+":") || !strings.Contains(sync.Hint, attack.line) || sync.Transient || sync.Wrote {
			t.Errorf("attack %d: transient %t, wrote %t: %q (%s)", i, sync.Transient, sync.Wrote, sync.Error, sync.Hint)
		}
		if got := l.versions(); !maps.Equal(got, before) {
			t.Errorf("attack %d: the services changed: %v, then %v", i, before, got)
		}
		l.posts(bad, "failed")
		if code, out, errs := l.command("check", "--repo", l.repo.Dir); i != 2 && (code != exitDifferent || !strings.Contains(out, attack.want)) {
			t.Errorf("attack %d: agent check exits with %d: %s%s", i, code, out, errs)
		}
	}
	if got, passwords := author.took(), impostor.Took(); len(got) > 0 || len(passwords) > 0 {
		t.Errorf("the author's servers took %q and %q", got, passwords)
	}

	l.stop()
	l.mappings = "policy: {checks: {credentials: {harbor.token: [localhost]}}}\n"
	l.start()
	files[configFile] = strings.Replace(files[configFile], "database:", token+"database:", 1)
	l.await(l.commit("bound", files), record.Succeeded)
	if got := author.took(); len(got) == 0 || !strings.HasPrefix(got[0], "Bearer canary-harbor-token to localhost:") {
		t.Errorf("by the policy's word the server got %q", got)
	}
}

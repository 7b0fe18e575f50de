package agent_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/cosign/cosigntest"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/policy"
	"coin.internal/coin-agent/secrets"
)

// traces gives the forms in which a secret could be found in a text, with its digests.
func traces(secret string) []string {
	forms := []string{secret, secret[:len(secret)/2], secret[len(secret)/2:], hex.EncodeToString([]byte(secret))}
	for shift := range 3 { // where in a longer text it may be
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + secret))
		forms = append(forms, encoded[(shift*8+5)/6:len(encoded)-2])
	}
	for _, content := range []string{secret, secret + "\n"} {
		data := []byte(content)
		sum5, sum1, sum2, sum3 := md5.Sum(data), sha1.Sum(data), sha256.Sum256(data), sha512.Sum512(data) //nolint:gosec // what must not be found
		for _, sum := range [][]byte{sum5[:], sum1[:], sum2[:], sum3[:]} {
			forms = append(forms, hex.EncodeToString(sum)[:10], base64.RawStdEncoding.EncodeToString(sum)[:10])
		}
	}
	return forms
}

// TestPlansCanary has branches bring secrets in all ways, good and bad ones, and a registry that
// repeats the login it got. No secret, digest of one or password may be in a note, a status, the
// log, the state file or the audit log.
func TestPlansCanary(t *testing.T) {
	const password = "canary-registry-5d1e60b7a2"
	values := []string{"canary-first-a4c81f93d0", "canary-second-7be2604c1f", "canary-misplaced-91ad3c50", "canary-not-encrypted-c2f7", password}
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, word, _ := r.BasicAuth()
		w.Header().Set("WWW-Authenticate", `Basic realm="`+word+`"`)
		http.Error(w, fmt.Sprintf(`{"errors":[{"code":"DENIED","message":"%s %s %s"}]}`, word, r.Header.Get("Authorization"), r.URL), http.StatusUnauthorized)
	}))
	t.Cleanup(registry.Close)
	host := strings.TrimPrefix(registry.URL, "http://")
	key, signer := sopstest.NewKey(t), cosigntest.NewKey(t, "ed25519")
	keys := key.Keyring(t)
	encrypted := func(values map[string]string) *fstest.MapFile { return file(sopstest.WholeYAML(t, key, values)) }
	const withSecret = "secrets: {db: {name: \"s_db.$SV_db\", file: secrets/db}}\n"
	branches := map[string]fstest.MapFS{
		"a new version":        {nodeDir + "node.env": file("TAG=1\nSV_db=2\n"), nodeDir + "secrets.enc": encrypted(map[string]string{"db": values[1]})},
		"a value in a mapping": {nodeDir + "secrets.override.enc": encrypted(map[string]string{"SV_db": values[2] + " !"})},
		"not encrypted":        {nodeDir + "secrets.override.enc": file("db: " + values[3] + "\n")},
		"in the environment":   {nodeDir + "docker-compose.yml": file("services: {web: {image: \"app:$TAG\", secrets: [db], environment: {DB_PASSWORD: $db, db: \"${db:?not set}\"}}}\n" + withSecret)},
		"a spiteful registry":  {nodeDir + "docker-compose.yml": file("services: {web: {image: \"" + host + "/app:1@sha256:" + strings.Repeat("1", 64) + "\", secrets: [db]}}\n" + withSecret)},
	}
	inWorld(t, func(w *world) {
		w.files[nodeDir+"docker-compose.yml"] = file("services: {web: {image: \"app:$TAG\", secrets: [db]}}\n" + withSecret)
		w.files[nodeDir+"node.env"] = file("TAG=1\nSV_db=1\n")
		w.files[nodeDir+"secrets.enc"] = encrypted(map[string]string{"db": values[0]})
		w.commit("2")
		p := w.showing(&policy.Policy{Registries: policy.Patterns{"docker.io", host}, Images: &policy.Images{Signatures: []policy.ImageSignature{
			{Images: policy.Patterns{host + "/*"}, Keys: []string{signer.File}, Required: true},
		}}})
		var log bytes.Buffer
		shows, around := w.change, &around{user: "robot", word: password}
		w.change = func(parts *agent.Parts) {
			shows(parts)
			parts.Keys, parts.Release = func() (*secrets.Keyring, error) { return keys, nil }, around
			parts.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		w.start()
		w.wantLast(w.revision.Commit, record.Succeeded)
		for i, name := range slices.Sorted(maps.Keys(branches)) {
			files := maps.Clone(w.files)
			maps.Copy(files, branches[name])
			head := strings.Repeat(fmt.Sprint(i+1), 40)
			w.set(func() { p.source.files[head] = files })
			p.gitlab.AddOpen(gitlabtest.Open{Source: name, Head: head})
		}
		w.set(func() { p.heads++ })
		for range 30 {
			w.poll()
		}
		notes := ""
		for number := range int64(len(branches)) {
			all := p.gitlab.RequestNotes(number + 1)
			if len(all) != 1 {
				t.Fatalf("!%d: %+v", number+1, all)
			}
			notes += all[0].Body
		}
		for _, want := range []string{"no plan: ", "db 1→2", "cannot be rendered"} {
			if !strings.Contains(notes, want) {
				t.Errorf("the notes lack %q:\n%s", want, notes)
			}
		}
		if !slices.Contains(around.hosts, host) {
			t.Errorf("the registry got no login: %q", around.hosts)
		}
		w.halt()
		w.wantNoTrace(values, map[string]string{"the notes": notes, "the log": log.String()})
	})
}

// wantNoTrace looks for secrets in texts, the statuses and the node's files.
func (w *world) wantNoTrace(secrets []string, texts map[string]string) {
	w.t.Helper()
	statuses, err := json.Marshal(w.reported)
	if err != nil {
		w.t.Fatal(err)
	}
	texts["the statuses"] = string(statuses)
	for _, name := range []string{"state.db", "audit.log"} {
		content, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil {
			w.t.Fatal(err)
		}
		texts[name] = string(content)
	}
	for _, secret := range secrets {
		for _, form := range traces(secret) {
			for _, name := range slices.Sorted(maps.Keys(texts)) {
				if at := strings.Index(texts[name], form); at >= 0 {
					w.t.Errorf("%s: %q of %q: %q", name, form, secret, texts[name][max(0, at-200):min(len(texts[name]), at+len(form)+50)])
				}
			}
		}
	}
}

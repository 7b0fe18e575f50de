package agent_test

import (
	"maps"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/secrets"
)

// TestPlansDeriveNoVersion has branches choose the key of SV_x=auto, and guess a value. The
// note must not depend on the value that the node has.
func TestPlansDeriveNoVersion(t *testing.T) {
	key := sopstest.NewKey(t)
	keys := key.Keyring(t)
	encrypted := func(values map[string]string) *fstest.MapFile { return file(sopstest.WholeYAML(t, key, values)) }
	const value = "the-value"
	own := encrypted(map[string]string{"db": value, "auto_version_key": strings.Repeat("k", 32)})
	chosen := encrypted(map[string]string{"auto_version_key": strings.Repeat("x", 32)})
	right, wrong := encrypted(map[string]string{"db": value}), encrypted(map[string]string{"db": "a-guess"})
	inWorld(t, func(w *world) {
		server, client := newGitLab(t)
		w.files[nodeDir+"docker-compose.yml"] = file("services: {web: {image: \"app:$TAG\", secrets: [db]}}\nsecrets: {db: {name: db_$SV_db, file: secrets/db}}\n")
		w.files[nodeDir+"node.env"] = file("TAG=1\nSV_db=auto\n")
		w.files[nodeDir+"secrets.enc"] = own
		w.commit("2")
		source, heads := branches{w, map[string]fstest.MapFS{}}, uint64(1)
		w.change = func(parts *agent.Parts) {
			requests := gitlab.NewRequests(client)
			parts.Source, parts.Keys = source, func() (*secrets.Keyring, error) { return keys, nil }
			parts.Previews = &agent.Previews{Branch: "master", Heads: func() uint64 { w.mu.Lock(); defer w.mu.Unlock(); return heads }, Requests: requests, Approvals: client, Notes: requests}
		}
		w.start()
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.set(func() { heads++ })
		open := func(number string, more fstest.MapFS) {
			files := maps.Clone(w.files)
			maps.Copy(files, more)
			head := strings.Repeat(number, 40)
			source.files[head] = files
			server.AddOpen(gitlabtest.Open{Source: "b" + number, Head: head})
		}
		tag := file("TAG=2\nSV_db=auto\n")
		open("1", fstest.MapFS{nodeDir + "node.env": tag})
		open("2", fstest.MapFS{nodeDir + "secrets.override.enc": chosen})
		open("3", fstest.MapFS{nodeDir + "secrets.override.enc": right})
		open("4", fstest.MapFS{nodeDir + "secrets.override.enc": wrong})
		for range 20 {
			w.poll()
		}
		note := func(number int64) string {
			all := server.RequestNotes(number)
			if len(all) != 1 {
				t.Fatalf("!%d: %+v", number, all)
			}
			return all[0].Body
		}
		if text := note(1); !strings.Contains(text, "| node3 | 1 service to update (1 task of 1 service restarts) |  |") || strings.Contains(text, "db_auto") {
			t.Errorf("the version that runs is not kept:\n%s", text)
		}
		own := regexp.MustCompile(`at \d{4}-\S+ \S+|begin node3 \w+|\d{10} of branch b\d`) // the time, the head, and the sum of the text
		first := ""
		for number := int64(2); number <= 4; number++ {
			text := note(number)
			if !strings.Contains(text, "db_auto") {
				t.Errorf("!%d:\n%s", number, text)
			}
			for _, name := range regexp.MustCompile(`db_[0-9a-f]{12}`).FindAllString(text, -1) {
				if w.secrets[name].ID == "" {
					t.Errorf("!%d shows a derived version %s:\n%s", number, name, text)
				}
			}
			if text = own.ReplaceAllString(text, ""); first == "" {
				first = text
			}
			if text != first {
				t.Errorf("the note depends on what was guessed:\n%s\n%s", first, text)
			}
		}
	})
}

package agent_test

import (
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/secrets"
)

// TestPlansAnnounceVersions merges branches that change a secret with SV_x=auto. The note has
// announced `auto`: the version that the rollout derives is as shown, and nothing else is.
func TestPlansAnnounceVersions(t *testing.T) {
	key := sopstest.NewKey(t)
	keys := key.Keyring(t)
	sealed := func(db, mail string) *fstest.MapFile {
		return file(sopstest.WholeYAML(t, key, map[string]string{"db": db, "mail": mail, "auto_version_key": strings.Repeat("k", 32)}))
	}
	const env = "SV_db=auto\nSV_mail=auto\n"
	files := []*fstest.MapFile{sealed("1", "1"), sealed("2", "2"), sealed("3", "2")}
	for name, test := range map[string]struct {
		branch, merged fstest.MapFS // the second besides the first
		differs        string       // a line of the comparison; "" for none
	}{
		"new values":              {fstest.MapFS{nodeDir + "secrets.enc": files[1]}, nil, ""},
		"new values and a change": {fstest.MapFS{nodeDir + "secrets.enc": files[1]}, fstest.MapFS{nodeDir + "node.env": file("TAG=3\n" + env)}, "image: "},
		"another tag":             {fstest.MapFS{nodeDir + "node.env": file("TAG=2\n" + env)}, nil, ""},
		"values of another":       {fstest.MapFS{nodeDir + "node.env": file("TAG=2\n" + env)}, fstest.MapFS{nodeDir + "secrets.enc": files[2]}, "secret at db: a_db_"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.files[nodeDir+"docker-compose.yml"] = file("services: {web: {image: \"app:$TAG\", secrets: [db, fixed, mail], environment: {V: \"v-$SV_db\"}}}\n" +
					"secrets: {db: {name: \"a_db_$SV_db\", file: secrets/db}, fixed: {name: a_db_b, external: true}, mail: {name: \"mail_${SV_mail}_x\", file: secrets/mail}}\n")
				w.files[nodeDir+"node.env"], w.files[nodeDir+"secrets.enc"] = file("TAG=1\n"+env), files[0]
				w.secrets["a_db_b"] = swarm.Secret{ID: "fixed", Spec: swarm.SecretSpec{Annotations: swarm.Annotations{Name: "a_db_b"}}}
				w.commit("2")
				p := w.showing(nil)
				shows := w.change
				w.change = func(parts *agent.Parts) {
					shows(parts)
					parts.Keys = func() (*secrets.Keyring, error) { return keys, nil }
				}
				w.start()
				w.wantLast(w.revision.Commit, record.Succeeded)
				changed, head := maps.Clone(w.files), strings.Repeat("a", 40)
				maps.Copy(changed, test.branch)
				number := p.gitlab.AddOpen(gitlabtest.Open{Source: "feature", Head: head})
				w.set(func() { p.source.files[head], p.heads = changed, p.heads+1 })
				for range 3 {
					w.poll()
				}
				before := p.gitlab.RequestNotes(number)[0].Body
				w.set(func() { w.files = maps.Clone(changed); maps.Copy(w.files, test.merged) })
				commit := w.commit("3")
				p.gitlab.AddCommit(commit, "master")
				p.gitlab.Merge(number, commit)
				for range 3 {
					w.poll()
				}
				w.wantLast(commit, record.Succeeded)
				after := p.gitlab.RequestNotes(number)[0].Body
				if test.differs == "" && after != before {
					t.Errorf("the note was\n%s\nand is\n%s", before, after)
				}
				if test.differs != "" && (!strings.Contains(after, "not as shown: the plan of sync") || !strings.Contains(after, test.differs)) {
					t.Errorf("the note lacks %q:\n%s", test.differs, after)
				}
			})
		})
	}
}

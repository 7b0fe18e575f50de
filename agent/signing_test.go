package agent_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/signtest"
	"coin.internal/coin-agent/policy"
	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// signedWorld is a world whose remote is a real repository, and whose policy lists ada's
// key.
type signedWorld struct {
	*world
	git      *gittest.Repo
	ada, eve signtest.Key
	listed   string // the file of keys
	tags     bool   // tags are followed
}

// inSignedWorld runs a test in a world with a signed commit.
func inSignedWorld(t *testing.T, config string, test func(w *signedWorld)) {
	t.Helper()
	ada, eve := signtest.SSH(t, "ed25519"), signtest.SSH(t, "ed25519")
	inWorld(t, func(w *world) {
		s := &signedWorld{world: w, git: gittest.New(w.t), ada: ada, eve: eve, listed: signtest.File(w.t, "ada@coin.example "+ada.Public)}
		source, err := gitsync.Open(gitsync.Remote{URL: s.git.Dir})
		if err != nil {
			w.t.Fatal(err)
		}
		w.change = func(p *agent.Parts) {
			p.Source, p.Settings.Policy = source, &policy.Policy{Signers: &policy.Signers{SSH: []string{s.listed}}}
			if s.tags {
				p.Settings.Branch, p.Settings.TagPattern = "", "^v"
			}
		}
		s.push(&ada, "1", configFile, config)
		test(s)
	})
}

const signedConfig = "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s}]\n"

// push commits with a key, or without a signature: a value of TAG, and files.
func (w *signedWorld) push(key *signtest.Key, tag string, files ...string) string {
	w.t.Helper()
	signtest.Stop(w.git.Git)
	if key != nil {
		key.Use(w.git.Git)
	}
	changed := map[string]string{nodeDir + "node.env": "TAG=" + tag + "\n", nodeDir + "docker-compose.yml": "services: {web: {image: \"app:$TAG\"}}\n"}
	for i := 0; i+1 < len(files); i += 2 {
		changed[files[i]] = files[i+1]
	}
	return w.git.Commit("Deploy "+tag, changed)
}

// held checks that a commit is held for its signature, and that image runs.
func (w *signedWorld) held(commit, words, image string) {
	w.t.Helper()
	sync := w.wantLast(commit, record.Failed)
	if !sync.Held() || sync.Stage != record.StageSigners || !strings.Contains(sync.Error, words) || sync.Wrote || len(sync.Inputs) > 0 || sync.Signer != "" {
		w.t.Errorf("%s: %s (%s), read %d files, signed by %q", sync.Stage, sync.Error, sync.Hint, len(sync.Inputs), sync.Signer)
	}
	if !strings.Contains(sync.Hint, "ada@coin.example ("+w.ada.ID+")") {
		w.t.Errorf("the hint does not say who may sign: %s", sync.Hint)
	}
	w.wantImage(image)
}

// An unsigned commit, and one of a key that is not listed, are held before a file is read;
// what runs stays, and the next signed one rolls out.
func TestSigners(t *testing.T) {
	inSignedWorld(t, signedConfig+"drift: correct\n", func(w *signedWorld) {
		first := w.git.Head()
		w.start()
		if done := w.wantLast(first, record.Succeeded); done.Signer != "ada@coin.example ("+w.ada.ID+")" {
			w.t.Errorf("signed by %q", done.Signer)
		}
		unsigned := w.push(nil, "2")
		w.poll()
		w.held(unsigned, "commit "+unsigned[:10]+" is not signed", "app:1")
		w.toldInOrder(unsigned, gitlab.Failed)
		plans := w.plans()
		for range 3 {
			w.poll()
		}
		w.halt()
		w.start() // a restart tries nothing again
		w.poll()
		if sync := w.last(); sync.Commit != unsigned || w.plans() != plans {
			w.t.Errorf("after a restart: %+v, %d plans", sync, w.plans())
		}
		w.set(func() { w.live = nil })
		w.poll() // a drift returns to the recorded state
		w.wantImage("app:1")
		listed := w.push(&w.eve, "3")
		w.poll()
		w.held(listed, "is signed by the SSH key "+w.eve.ID+", which policy.signers does not list", "app:1")
		good := w.push(&w.ada, "4")
		w.poll()
		w.wantLast(good, record.Succeeded)
		w.wantImage("app:4")
		if _, err := w.desk.Rollback(w.t.Context(), person, request.Rollback{Reason: "as before"}, func(string) {}); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Second)
		w.wantImage("app:1") // a recorded state needs no signature
	})
}

// A user who lists a key has the held commit tried again.
func TestSignersAreRead(t *testing.T) {
	inSignedWorld(t, signedConfig, func(w *signedWorld) {
		w.start()
		second := w.push(&w.eve, "2")
		w.poll()
		w.held(second, "does not list", "app:1")
		w.list("ada@coin.example "+w.ada.Public, "ada@coin.example "+w.eve.Public)
		w.poll()
		w.held(second, "does not list", "app:1")
		if _, err := w.desk.Retry(w.t.Context(), person, request.Retry{Reason: "eve may sign"}, func(string) {}); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Second)
		w.wantLast(second, record.Succeeded)
		w.wantImage("app:2")
		w.list("# nobody")
		third := w.push(&w.ada, "3")
		w.poll()
		if status := w.desk.Status(); !strings.Contains(status.PollError, "the file has no SSH key") || w.last().Commit == third {
			w.t.Errorf("without keys: %q, %s", status.PollError, w.last().Commit)
		}
		w.list("ada@coin.example " + w.ada.Public)
		w.pass(5 * time.Minute)
		w.wantLast(third, record.Succeeded)
	})
}

// list writes the file of keys.
func (w *signedWorld) list(lines ...string) {
	w.t.Helper()
	if err := os.WriteFile(w.listed, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// A key that is removed while the commit waits signs nothing any more.
func TestSignerRemovedWhileWaiting(t *testing.T) {
	inSignedWorld(t, signedConfig, func(w *signedWorld) {
		w.start()
		w.list("ada@coin.example "+w.ada.Public, "ada@coin.example "+w.eve.Public)
		second := w.push(&w.eve, "2", configFile, signedConfig+"approval: {required: true}\n")
		w.poll()
		w.wantLast(second, record.Waiting)
		w.list("ada@coin.example " + w.ada.Public)
		w.poll()
		sync := w.wantLast(second, record.Failed)
		if sync.Stage != record.StageSigners || sync.Signer != "" || w.plans() != 1 {
			w.t.Errorf("%s: %s, signed by %q, %d plans", sync.Stage, sync.Error, sync.Signer, w.plans())
		}
		w.wantImage("app:1")
	})
}

// In tag mode the tag and its commit are signed, and the tag is the one that was signed.
func TestSignedTag(t *testing.T) {
	tests := map[string]struct {
		commit, tag func(w *signedWorld) *signtest.Key
		make        func(w *signedWorld)
		want        string
	}{
		"unsigned commit":  {noKey, adasKey, annotate, "commit "},
		"unsigned tag":     {adasKey, noKey, annotate, "tag v2 is not signed"},
		"another's tag":    {adasKey, evesKey, annotate, "tag v2 is signed by the SSH key"},
		"another's commit": {evesKey, adasKey, annotate, "is signed by the SSH key"},
		"lightweight tag":  {adasKey, noKey, func(w *signedWorld) { w.git.Tag("v2") }, "tag v2 is not signed: it is a lightweight tag"},
		"a renamed old tag": {adasKey, adasKey, func(w *signedWorld) {
			w.git.Annotate("x")
			w.git.Git("update-ref", "refs/tags/v2", w.git.Git("rev-parse", "x"))
		}, `was made for the tag "x"`},
		"both signed by ada": {adasKey, adasKey, annotate, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inSignedWorld(t, signedConfig, func(w *signedWorld) {
				w.tags = true
				w.git.Annotate("v1")
				w.start()
				w.wantLast(w.git.Head(), record.Succeeded)
				second := w.push(test.commit(w), "2")
				signtest.Stop(w.git.Git)
				if key := test.tag(w); key != nil {
					key.Use(w.git.Git)
				}
				test.make(w)
				w.poll()
				if test.want == "" {
					w.wantLast(second, record.Succeeded)
					w.wantImage("app:2")
					return
				}
				if sync := w.wantLast(second, record.Failed); sync.Stage != record.StageSigners || !strings.Contains(sync.Error, test.want) {
					w.t.Errorf("%s: %s", sync.Stage, sync.Error)
				}
				w.wantImage("app:1")
			})
		})
	}
}

func noKey(*signedWorld) *signtest.Key     { return nil }
func adasKey(w *signedWorld) *signtest.Key { return &w.ada }
func evesKey(w *signedWorld) *signtest.Key { return &w.eve }

func annotate(w *signedWorld) { w.git.Annotate("v2") }

// While a rollout waits for its services, a newer commit that is not signed does not end it.
func TestUnsignedCommitDuringARollout(t *testing.T) {
	inSignedWorld(t, signedConfig, func(w *signedWorld) {
		first := w.git.Head()
		var unsigned string
		w.verify = func(ctx context.Context) error {
			if unsigned == "" {
				unsigned = w.push(nil, "2")
				time.Sleep(3 * interval)
			}
			return ctx.Err()
		}
		w.start()
		w.pass(5 * interval)
		w.wantImage("app:1")
		if syncs, err := w.records.Syncs(10); err != nil || len(syncs) < 2 || syncs[len(syncs)-1].Commit != first || syncs[len(syncs)-1].State != record.Succeeded {
			w.t.Errorf("%+v, %v", syncs, err)
		}
		w.held(unsigned, "is not signed", "app:1")
	})
}

package agent_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry/remote/auth"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/cosign/cosigntest"
	"coin.internal/coin-agent/policy"
)

// imageWorld is a world whose images are in a real registry that counts requests. Ada signed
// the image with tag 1, eve the one with tag 2, and no one that with tag 3.
type imageWorld struct {
	*world
	image    string // without a tag
	ada, eve *cosigntest.Key
	digests  map[string]digest.Digest // by tag
	requests *atomic.Int64
	rules    *policy.Current
}

// inImageWorld runs a test in a world in which ada's key may sign, and tag 1 runs.
func inImageWorld(t *testing.T, required bool, test func(w *imageWorld)) {
	t.Helper()
	s := &imageWorld{ada: cosigntest.NewKey(t, "ecdsa"), eve: cosigntest.NewKey(t, "ecdsa"), requests: &atomic.Int64{}}
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: cosigntest.Registry(t)})
	counting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(counting.Close)
	in := cosigntest.Open(t, strings.TrimPrefix(counting.URL, "http://")+"/coin/app", auth.Credential{})
	s.image, s.digests = in.Name, map[string]digest.Digest{"1": in.Image("1", "one"), "2": in.Image("2", "two"), "3": in.Image("3", "three")}
	s.ada.Sign(in, s.digests["1"])
	s.eve.Sign(in, s.digests["2"])
	inWorld(t, func(w *world) {
		s.world = w
		s.rules = w.under(demand(required, s.ada.File))
		s.tagged("1")
		w.commit("1", nodeDir+"docker-compose.yml", "services: {web: {image: \""+s.image+":$TAG\"}}\n")
		test(s)
	})
}

// demand gives a policy that demands signatures by the keys in files.
func demand(required bool, files ...string) *policy.Policy {
	return &policy.Policy{Images: &policy.Images{Signatures: []policy.ImageSignature{{Images: policy.Patterns{"*"}, Keys: files, Required: required}}}}
}

// tagged has the registries of the engine know one tag.
func (w *imageWorld) tagged(tag string) {
	asked := 0
	w.tag(w.digests[tag].String(), &asked)
}

// TestSignaturesAreJudgedAnew holds a commit whose image another key signed: no look asks the
// registry again, and it rolls out without `agent retry` after a reload of the policy, and
// after a change of the key file.
func TestSignaturesAreJudgedAnew(t *testing.T) {
	for name, change := range map[string]func(w *imageWorld) error{
		"reload": func(w *imageWorld) error {
			w.rules.Reload(demand(true, w.ada.File, w.eve.File), nil)
			return nil
		},
		"key file": func(w *imageWorld) error {
			public, err := os.ReadFile(w.eve.File)
			if err != nil {
				return err
			}
			return os.WriteFile(w.ada.File, public, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inImageWorld(t, true, func(w *imageWorld) {
				w.start()
				w.wantLast(w.revision.Commit, record.Succeeded)
				w.tagged("2")
				commit := w.release("2")
				w.poll()
				held := w.wantLast(commit, record.Failed)
				if held.Stage != record.StagePlan || !held.Held() || held.Wrote || held.Rules == "" || !strings.Contains(held.Error, "is signed, and not by a listed key") {
					t.Fatalf("refused as %+v", held)
				}
				if !strings.Contains(held.Hint, "agent retry") || !strings.Contains(held.Hint, "systemctl reload coin-agent") {
					t.Errorf("the hint is %q", held.Hint)
				}
				before := w.requests.Load()
				for range 3 {
					w.poll()
				}
				if asked := w.requests.Load() - before; asked > 0 || w.last().ID != held.ID {
					t.Errorf("while it is held: %d requests, sync #%d after #%d", asked, w.last().ID, held.ID)
				}
				if err := change(w); err != nil {
					t.Fatal(err)
				}
				w.poll()
				w.wantLast(commit, record.Succeeded)
			})
		})
	}
}

// TestIdleLooksAskNoRegistry verifies a signature once: looks that find nothing to do send no
// request to the registry, and neither does a later sync of the same image.
func TestIdleLooksAskNoRegistry(t *testing.T) {
	inImageWorld(t, true, func(w *imageWorld) {
		w.start()
		w.wantLast(w.revision.Commit, record.Succeeded)
		before := w.requests.Load()
		if before == 0 {
			t.Error("the signature was not looked for")
		}
		for range 5 {
			w.poll()
		}
		commit := w.commit("2", nodeDir+"docker-compose.yml", "services: {web: {image: \""+w.image+":$TAG\", environment: {A: b}}}\n")
		w.poll()
		w.wantLast(commit, record.Succeeded)
		if asked := w.requests.Load() - before; asked > 0 {
			t.Errorf("%d requests", asked)
		}
	})
}

// TestSignaturesThatAreNotRequired rolls out an image without a signature, with a warning.
func TestSignaturesThatAreNotRequired(t *testing.T) {
	inImageWorld(t, false, func(w *imageWorld) {
		w.start()
		if sync := w.wantLast(w.revision.Commit, record.Succeeded); slices.ContainsFunc(sync.Warnings, aboutSignatures) {
			t.Errorf("a signed image has the warnings %q", sync.Warnings)
		}
		w.tagged("2")
		commit := w.release("2")
		w.poll()
		sync := w.wantLast(commit, record.Succeeded)
		want := "image " + w.image + ":2@" + w.digests["2"].String() + " of web: is signed, and not by a listed key"
		if !slices.ContainsFunc(sync.Warnings, func(text string) bool { return strings.HasPrefix(text, want) }) {
			t.Errorf("warnings %q, want %q", sync.Warnings, want)
		}
		w.wantImage(w.image + ":2@" + w.digests["2"].String())
	})
}

func aboutSignatures(warning string) bool { return strings.Contains(warning, "signed") }

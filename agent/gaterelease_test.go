package agent_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/readiness"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/tokens"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// around is what the release gates find around the agent.
type around struct {
	mu     sync.Mutex
	asked  [][]string // images, each time registries were asked
	lost   []string   // images that their registry does not have
	silent bool       // no registry answers
	bad    error      // of the engine
	root   string     // the engine's folder
	user   string     // the login for registries
	word   string     // … and its password
	hosts  []string   // that logins were asked for
}

func (a *around) Ready(context.Context) (deploy.Info, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return deploy.Info{EngineVersion: "27.0", APIVersion: "1.47", DataRoot: a.root, Local: true}, a.bad
}

func (a *around) Pushed(_ context.Context, images []string) ([]deploy.Pushed, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, images)
	var all []deploy.Pushed
	for _, image := range images {
		one := deploy.Pushed{Image: image}
		switch {
		case a.silent:
			one.Problem, one.Remedy = "registry r does not answer", "make sure that this node can reach it"
		case slices.Contains(a.lost, image):
			one.Missing, one.Problem, one.Remedy = true, "registry r does not have the image", "check the tag, or push the image"
		}
		all = append(all, one)
	}
	return all, nil
}

func (a *around) Login(_ context.Context, host string) (string, secrets.Value, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hosts = append(a.hosts, host)
	return a.user, secrets.NewValue([]byte(a.word)), nil
}

func (a *around) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

// times is how often registries were asked.
func (a *around) times() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.asked)
}

const releaseTag = "2025-12-15-11eeef9e99"

// gated is config.yml with gates; more begins with deployment's other keys.
func gated(kind, gates, more string) string {
	return "environment: {name: sandbox, type: " + kind + "}\nnodes: [{name: node3, context: c, stack: s}]\ndeployment:\n  gates: " + gates + "\n" + more
}

// surround gives the world's agent surroundings.
func (w *world) surround(found *around) {
	w.change = func(p *agent.Parts) { p.Release = found }
}

// releaseGate gives what the release gate said last.
func (w *world) releaseGate() record.Gate {
	for _, gate := range w.last().Gates {
		if gate.Name == "release" {
			return gate
		}
	}
	return record.Gate{}
}

// TestReleaseIsRefused has revisions that must not be rolled out: all reasons at
// once, each with its remedy, nothing touched, and the revision is held.
func TestReleaseIsRefused(t *testing.T) {
	tests := map[string]struct {
		kind, gates, tag string
		lost             []string
		want             []string
	}{
		"tag in production":     {"production", "{}", "v1", nil, []string{`node3/node.env:1:1: TAG is "v1", which does not match ^\d{4}-|set TAG in node.env`}},
		"no tag":                {"production", "{}", "", nil, []string{`no TAG is set, which does not match|set TAG`}},
		"own pattern":           {"non-production", `{tag: {pattern: "^v"}}`, "1", nil, []string{`TAG is "1", which does not match ^v|set TAG`}},
		"image not pushed":      {"production", "{}", releaseTag, []string{"app:" + releaseTag}, []string{"image app:" + releaseTag + ": registry r does not have the image|check the tag"}},
		"asked for in sandbox":  {"non-production", "{images: true}", "1", []string{"app:1"}, []string{"image app:1: registry r does not have the image|check the tag"}},
		"both, in their order":  {"production", "{}", "v1", []string{"app:v1"}, []string{"TAG is|set TAG", "image app:v1|check the tag"}},
		"tag is off, image not": {"production", `{tag: {pattern: ""}}`, "v1", []string{"app:v1"}, []string{"image app:v1|check the tag"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				found := &around{lost: test.lost}
				w.surround(found)
				env, compose := "TAG="+test.tag+"\n", "services: {web: {image: \"app:$TAG\"}}\n"
				if test.tag == "" {
					env, compose = "A=1\n", "services: {web: {image: app}}\n"
				}
				commit := w.commit("2", configFile, gated(test.kind, test.gates, ""), nodeDir+"node.env", env, nodeDir+"docker-compose.yml", compose)
				w.start()
				w.poll()
				sync := w.wantLast(commit, record.Failed)
				if sync.Transient || sync.Stage != "gate" || w.plans() != 0 || found.times() > 1 {
					w.t.Errorf("at %s, again %t, %d plans, asked %d times", sync.Stage, sync.Transient, w.plans(), found.times())
				}
				faults := sync.Faults
				if len(faults) == 0 {
					faults = []record.Fault{{Error: sync.Error, Hint: sync.Hint}}
				}
				for i, want := range test.want {
					text, hint, _ := strings.Cut(want, "|")
					if len(faults) != len(test.want) || !strings.Contains(faults[i].Error, text) || !strings.Contains(faults[i].Hint, hint) {
						w.t.Fatalf("faults %+v, want %q", faults, test.want)
					}
				}
				w.told(commit, gitlab.Failed)
			})
		})
	}
}

// TestReleasePasses says what was looked at; nothing is asked where nothing is
// written.
func TestReleasePasses(t *testing.T) {
	inWorld(t, func(w *world) {
		found := &around{root: w.t.TempDir()}
		w.surround(found)
		commit := w.commit("2", configFile, gated("production", "{}", ""), nodeDir+"node.env", "TAG="+releaseTag+"\n",
			nodeDir+"docker-compose.yml", "services: {a: {image: \"app:$TAG\"}, b: {image: \"app:$TAG\"}, c: {image: other}}\n")
		w.start()
		w.wantLast(commit, record.Succeeded)
		want := "TAG is as it should be; 2 images in the registry; "
		if got := w.releaseGate(); !strings.HasPrefix(got.Passed, want) || !strings.Contains(got.Passed, " GB free under /") || !strings.HasSuffix(got.Passed, "; 3 probes of the doctor passed") {
			w.t.Errorf("passed with %q", got.Passed)
		}
		commit = w.commit("3", nodeDir+"project.env", "A=1\n")
		w.poll()
		if w.wantLast(commit, record.Succeeded); found.times() != 1 {
			w.t.Errorf("asked %v", found.asked)
		}
		commit = w.commit("4", nodeDir+"docker-compose.yml", "services: {a: {image: \"app:$TAG\"}, b: {image: \"app:$TAG\"}, c: {image: other, user: a}}\n")
		w.poll()
		if w.wantLast(commit, record.Succeeded); found.times() != 2 || !slices.Equal(found.asked[1], []string{"other:latest"}) {
			w.t.Errorf("asked %v, want only the image of what is written", found.asked)
		}
	})
}

// TestSurroundingsAreWaitedFor holds a rollout back while something around the agent
// is not as it should be: nothing is touched, and it goes on by itself.
func TestSurroundingsAreWaitedFor(t *testing.T) {
	const plenty = "999999TB"
	tests := map[string]struct {
		gates string
		bad   func(*around)
		good  func(*around)
		want  string
		hint  string
	}{
		"registry": {
			"{images: true}", func(a *around) { a.silent = true }, func(a *around) { a.silent = false },
			"image app:1: registry r does not answer", "make sure that this node can reach it",
		},
		"engine": {
			"{}", func(a *around) { a.bad = fault.WithHint(errors.New("no Swarm manager"), "promote it") }, func(a *around) { a.bad = nil },
			"no Swarm manager", "promote it",
		},
		"disk": {"{disk: {min_free: " + plenty + "}}", func(*around) {}, nil, "are free under", "docker image prune"},
		"path": {"{disk: {path: /nowhere/at/all}}", func(*around) {}, nil, "look at the disk under /nowhere/at/all: no such file", "deployment.gates.disk.path"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				found := &around{}
				test.bad(found)
				w.surround(found)
				commit := w.commit("2", configFile, gated("non-production", test.gates, ""))
				w.start()
				w.pass(5 * time.Minute)
				sync := w.wantLast(commit, record.Failed)
				if !sync.Transient || w.plans() != 0 || !strings.Contains(sync.Error, test.want) || !strings.Contains(sync.Hint, test.hint) {
					w.t.Fatalf("got %q, %q, again %t, %d plans", sync.Error, sync.Hint, sync.Transient, w.plans())
				}
				id := sync.ID
				if test.good == nil {
					return
				}
				found.set(func() { test.good(found) })
				w.pass(time.Hour)
				if done := w.wantLast(commit, record.Succeeded); done.ID != id || w.plans() != 1 {
					w.t.Errorf("sync %d, want %d; %d plans", done.ID, id, w.plans())
				}
			})
		})
	}
}

// TestAPreflightThatIsOff goes on with an engine that could not be asked.
func TestAPreflightThatIsOff(t *testing.T) {
	inWorld(t, func(w *world) {
		w.surround(&around{bad: errors.New("away")})
		commit := w.commit("2", configFile, gated("non-production", "{preflight: false}", ""))
		w.start()
		w.wantLast(commit, record.Succeeded)
	})
}

// TestReleaseWhileOthersWait asks registries when the gates are first reached, every
// ten minutes while a person is waited for, and at last before the rollout; trouble
// in between ends no waiting.
func TestReleaseWhileOthersWait(t *testing.T) {
	inWorld(t, func(w *world) {
		found := &around{}
		w.surround(found)
		commit := w.commit("2", configFile, gated("non-production", "{images: true}", "  auto_deploy: false\n"))
		w.start()
		w.pass(9 * time.Minute)
		if w.wantLast(commit, record.Waiting); found.times() != 1 {
			w.t.Fatalf("asked %d times in nine minutes", found.times())
		}
		w.pass(2 * time.Minute)
		if found.times() != 2 {
			w.t.Fatalf("asked %d times in eleven minutes", found.times())
		}
		found.set(func() { found.silent = true })
		w.pass(15 * time.Minute)
		if sync := w.wantLast(commit, record.Waiting); !strings.HasPrefix(sync.Waiting, "auto_deploy is off") || w.releaseGate().Waiting != "" {
			w.t.Errorf("waits for %q", sync.Waiting)
		}
		_, _ = w.desk.Sync(w.t.Context(), person, func(string) {})
		if sync := w.wantLast(commit, record.Failed); !sync.Transient || w.plans() != 0 {
			w.t.Errorf("rolled out by what was true long ago: %+v", sync)
		}
		found.set(func() { found.silent = false })
		w.pass(time.Hour)
		if w.wantLast(commit, record.Succeeded); w.plans() != 1 {
			w.t.Errorf("%d plans", w.plans())
		}
	})
}

// TestReleaseIsConfirmed has an image vanish while a person is waited for.
func TestReleaseIsConfirmed(t *testing.T) {
	inWorld(t, func(w *world) {
		found := &around{}
		w.surround(found)
		commit := w.commit("2", configFile, gated("non-production", "{images: true}", "  auto_deploy: false\n"))
		w.start()
		w.wantLast(commit, record.Waiting)
		found.set(func() { found.lost = []string{"app:1"} })
		_, _ = w.desk.Sync(w.t.Context(), person, func(string) {})
		if sync := w.wantLast(commit, record.Failed); sync.Transient || w.plans() != 0 || found.times() != 2 {
			w.t.Errorf("got %+v, asked %d times", sync, found.times())
		}
	})
}

// TestTroubleBesideAnotherGate shows both, and goes on waiting.
func TestTroubleBesideAnotherGate(t *testing.T) {
	inWorld(t, func(w *world) {
		found := &around{silent: true}
		w.surround(found)
		commit := w.commit("2", configFile, gated("non-production", "{images: true}", "  auto_deploy: false\n"))
		w.start()
		sync := w.wantLast(commit, record.Waiting)
		if want := "auto_deploy is off; `agent sync` on the node rolls it out; image app:1: registry r does not answer"; sync.Waiting != want {
			w.t.Errorf("waits for %q", sync.Waiting)
		}
		if gate := w.releaseGate(); gate.Waiting == "" || gate.Since.IsZero() {
			w.t.Errorf("%+v", gate)
		}
	})
}

// TestDriftIsCorrectedWithoutGates puts back what was proven, whatever is said of it
// by now.
func TestDriftIsCorrectedWithoutGates(t *testing.T) {
	inWorld(t, func(w *world) {
		found := &around{}
		w.surround(found)
		commit := w.commit("2", configFile, gated("non-production", "{images: true}", "drift: correct\n"))
		w.start()
		w.wantLast(commit, record.Succeeded)
		found.set(func() { found.lost = []string{"app:1"} })
		w.set(func() {
			spec := w.live["s_web"]
			container := *spec.TaskTemplate.ContainerSpec
			container.User = "by-hand"
			spec.TaskTemplate.ContainerSpec = &container
			w.live = map[string]swarm.ServiceSpec{"s_web": spec}
		})
		w.poll()
		if w.releaseGate().Passed != "returns to what was verified" || w.plans() != 2 || found.times() != 1 {
			w.t.Errorf("%d plans, asked %d times: %+v", w.plans(), found.times(), w.last())
		}
	})
}

// TestTokenOfGitLabEnds warns, and goes on.
func TestTokenOfGitLabEnds(t *testing.T) {
	inWorld(t, func(w *world) {
		w.change = func(p *agent.Parts) {
			p.Tokens = func() []tokens.State {
				return []tokens.State{{Setting: "gitlab_token_file", Problems: []tokens.Problem{{Text: "the token expires 2000-01-08", Hint: "replace it", Soon: true}}}}
			}
		}
		commit := w.commit("2")
		w.start()
		sync := w.wantLast(commit, record.Succeeded)
		if text := strings.Join(sync.Warnings, "\n"); !strings.Contains(text, "GitLab: gitlab_token_file: the token expires 2000-01-08") || !strings.Contains(text, "replace it") {
			w.t.Errorf("warnings: %s", text)
		}
	})
}

// TestSizes rounds nothing up: what is less than a bound of 5GB is not shown as 5 GB.
func TestSizes(t *testing.T) {
	for bytes, want := range map[uint64]string{0: "0.00 GB", 4_999_999_999: "4.99 GB", 5_000_000_000: "5.00 GB", 3_120_000_000: "3.12 GB"} {
		if got := readiness.Size(bytes); got != want {
			t.Errorf("%d bytes are %s, want %s", bytes, got, want)
		}
	}
}

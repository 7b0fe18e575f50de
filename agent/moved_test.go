package agent_test

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// tag has the registries of the world give images a digest, and counts how often
// they are asked.
func (w *world) tag(digest string, asked *int) {
	w.set(func() {
		w.resolve = func(_ deploy.LiveServices, want *compose.Stack) (*compose.Stack, []string, error) {
			*asked++
			if digest == "" {
				return nil, nil, errors.New("the logins cannot be read")
			}
			resolved := *want
			resolved.Services = maps.Clone(want.Services)
			for name, spec := range want.Services {
				container := *spec.TaskTemplate.ContainerSpec
				container.Image += "@" + digest
				spec.TaskTemplate.ContainerSpec = &container
				resolved.Services[name] = spec
			}
			return &resolved, []string{"a warning"}, nil
		}
	})
}

// TestAMovedTagIsSeen moves a tag in the registry while nothing else happens.
func TestAMovedTagIsSeen(t *testing.T) {
	for config, want := range map[string]struct{ asked, plans, drift int }{
		"images: {resolve: always}\n":                  {asked: 2, plans: 1, drift: 1},
		"images: {resolve: always}\ndrift: correct\n":  {asked: 3, plans: 2},
		"images: {resolve: changed}\ndrift: correct\n": {asked: 1, plans: 1},
		"images: {resolve: never}\ndrift: correct\n":   {asked: 1, plans: 1},
	} {
		t.Run(config, func(t *testing.T) {
			inWorld(t, func(w *world) {
				asked := 0
				w.tag("sha256:1", &asked)
				commit := w.commit("1", configFile, string(w.files[configFile].Data)+config)
				w.start()
				if sync := w.wantLast(commit, record.Succeeded); !slices.Contains(sync.Warnings, "a warning") {
					t.Errorf("warnings %v", sync.Warnings)
				}
				w.pass(9 * time.Minute)
				if asked != 1 {
					t.Errorf("asked %d times while nothing happens", asked)
				}
				w.tag("sha256:2", &asked)
				w.pass(3 * time.Minute)
				w.poll() // a drift stays one between two questions
				if status := w.desk.Status(); asked != want.asked || w.plans() != want.plans || len(status.Drift) != want.drift {
					t.Errorf("asked %d times, %d plans, drift %+v", asked, w.plans(), status.Drift)
				}
			})
		})
	}
}

func TestRegistriesThatCannotBeAsked(t *testing.T) {
	inWorld(t, func(w *world) {
		asked := 0
		w.tag("", &asked)
		commit := w.commit("1", configFile, string(w.files[configFile].Data)+"images: {resolve: always}\n")
		w.start()
		if sync := w.wantLast(commit, record.Failed); !sync.Transient || sync.Wrote || sync.Stage != "plan" {
			t.Errorf("%+v", sync)
		}
		w.tag("sha256:1", &asked)
		w.poll()
		w.poll()
		w.wantLast(commit, record.Succeeded)
		w.tag("", &asked)
		w.pass(12 * time.Minute)
		if status := w.desk.Status(); !status.InSync || len(status.Drift) > 0 {
			t.Errorf("%+v", status)
		}
	})
}

// The release gates judge an image that a moved tag names now, as they judge that of a commit. What was
// verified is put back without them.
func TestAMovedTagIsJudged(t *testing.T) {
	for name, test := range map[string]struct {
		lost  []string
		image string
		state record.State
	}{
		"the registry has it":     {image: "app:1@sha256:2", state: record.Succeeded},
		"the registry has it not": {lost: []string{"app:1@sha256:2"}, image: "app:1@sha256:1", state: record.RolledBack},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				asked, found := 0, &around{lost: test.lost}
				w.surround(found)
				w.tag("sha256:1", &asked)
				commit := w.commit("1", configFile, gated("non-production", "{images: true}", "images: {resolve: always}\ndrift: correct\n"))
				w.start()
				w.wantLast(commit, record.Succeeded)
				w.set(func() { delete(w.live, "s_web") })
				w.poll()
				if w.image("s_web") != "app:1@sha256:1" || found.times() != 1 {
					t.Errorf("put back %s, %d times judged", w.image("s_web"), found.times())
				}
				w.tag("sha256:2", &asked)
				w.pass(13 * time.Minute)
				w.wantLast(commit, test.state)
				if w.image("s_web") != test.image || found.times() != 2 {
					t.Errorf("runs %s, %d times judged", w.image("s_web"), found.times())
				}
			})
		})
	}
}

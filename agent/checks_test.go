package agent_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
)

// asked is a world in whose containers commands run, by the tag that the service runs.
type asked struct {
	*world
	takes map[string]time.Duration // how long the command takes
	fails map[string]error         // why it cannot be run; nil where it exits with 1
	times int                      // how often it was run
}

// Exec runs a command, which takes its time.
func (a *asked) Exec(_ context.Context, service string, command []string) (int, string, error) {
	a.mu.Lock()
	_, tag, _ := strings.Cut(a.live[service].TaskTemplate.ContainerSpec.Image, ":")
	takes := a.takes[tag]
	err, fails := a.fails[tag]
	a.times++
	first := a.times == 1
	a.mu.Unlock()
	time.Sleep(takes)
	switch {
	case command[0] == "hiccup" && first:
		return 0, "", fmt.Errorf("ask the engine: %w", deploy.ErrUnavailable)
	case command[0] == "hiccup":
		return 0, "", nil
	case fails && err == nil:
		return 1, "", nil
	}
	return 0, "", err
}

const health = "    - {name: health, retries: 0, exec: {service: web, command: [health]}}\n"

// checked is a config.yml with automatic rollback, and more below `deployment`.
func checked(more string) string {
	return baseConfig + "deployment:\n  rollback: {automatic: true}\n" + more
}

func inAskedWorlds(t *testing.T, tests map[string]func(a *asked)) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				a := &asked{world: w, takes: map[string]time.Duration{}, fails: map[string]error{}}
				w.change = func(parts *agent.Parts) { parts.Exec = a }
				test(a)
			})
		})
	}
}

// good rolls out tags, each well within 100 ms.
func (a *asked) good(config string, tags ...string) {
	a.t.Helper()
	for _, tag := range tags {
		a.takes[tag] = 100 * time.Millisecond
		commit := a.release(tag, configFile, config)
		if a.stop == nil {
			a.start()
		}
		a.poll()
		a.wantLast(commit, record.Succeeded)
	}
}

// TestCheckTimes compares how long a check takes with the last good releases.
func TestCheckTimes(t *testing.T) {
	inAskedWorlds(t, map[string]func(a *asked){
		"warns": func(a *asked) {
			config := checked("  checks:\n" + health)
			a.good(config, "1", "2", "3")
			a.takes["4"] = 160 * time.Millisecond
			commit := a.release("4")
			a.poll()
			want := "check health (exec s_web: health) took 160 ms, 60% more than the median 100 ms of the last good releases (allowed: 20%)"
			if sync := a.wantLast(commit, record.Succeeded); !slices.Contains(sync.Warnings, want) {
				a.t.Errorf("warned of %q", sync.Warnings)
			}
		},
		"fails": func(a *asked) {
			a.good(checked("  performance: {max_degradation: 50, fail: true}\n  checks:\n"+health), "1", "2", "3")
			a.takes["4"] = 160 * time.Millisecond
			bad := a.release("4")
			a.poll()
			if sync := a.wantLast(bad, record.RolledBack); !strings.Contains(sync.Error, "60% more than the median 100 ms of the last good releases (allowed: 50%)") {
				a.t.Errorf("failed with %q", sync.Error)
			}
			a.runs("3")
		},
		"as asked": func(a *asked) {
			a.good(checked("  performance: {max_degradation: 70, fail: true}\n  checks:\n"+health), "1", "2", "3")
			a.takes["4"] = 160 * time.Millisecond
			commit := a.release("4")
			a.poll()
			if sync := a.wantLast(commit, record.Succeeded); strings.Contains(fmt.Sprint(sync.Warnings), "check health") {
				a.t.Errorf("warned of %q", sync.Warnings)
			}
		},
	})
}

// TestCheckMetrics tells by the metrics how what runs was checked last.
func TestCheckMetrics(t *testing.T) {
	const metric = `coin_agent_check_ok{check="health",environment="sandbox",node="node3"} `
	config := checked("  checks:\n" + health)
	inAskedWorlds(t, map[string]func(a *asked){
		"rolled back": func(a *asked) {
			a.good(config, "1")
			a.fails["2"] = nil
			bad := a.release("2")
			a.poll()
			a.wantLast(bad, record.RolledBack)
			a.wantMetrics(metric + "1")
		},
		"not well after it": func(a *asked) {
			a.good(config, "1", "2")
			a.fails["1"] = nil
			if sync, err := a.goBack(request.Rollback{}); err != nil || sync.State != record.Failed {
				a.t.Fatalf("got %+v, %v", sync, err)
			}
			a.wantMetrics(metric + "0")
		},
		"held": func(a *asked) {
			a.good(strings.Replace(config, "automatic: true", "automatic: false", 1), "1")
			a.fails["2"] = nil
			bad := a.release("2")
			a.poll()
			a.wantLast(bad, record.Failed)
			a.wantMetrics(metric + "0")
		},
		"checks no more": func(a *asked) {
			a.good(config, "1")
			commit := a.commit("none", configFile, checked(""))
			a.poll()
			a.wantLast(commit, record.Succeeded)
			if body := a.scrape(); strings.Contains(body, metric) {
				a.t.Error("the metrics tell of a check that is no more")
			}
		},
	})
}

// A check that has failed fails the rollout, whatever the engine did on the way; what
// only the engine has failed is tried again.
func TestCheckOfAnEngineThatStumbles(t *testing.T) {
	const hiccup = "    - {name: hiccup, retries: 1, interval: 1s, exec: {service: web, command: [hiccup]}}\n"
	inAskedWorlds(t, map[string]func(a *asked){
		"a check fails": func(a *asked) {
			a.fails["1"] = nil
			a.takes["1"] = 10 * time.Second // hiccup is asked first
			commit := a.release("1", configFile, checked("  checks:\n"+hiccup+strings.Replace(health, "retries: 0", "retries: 0, timeout: 1m", 1)))
			a.start()
			a.pass(25 * time.Second)
			if sync := a.wantLast(commit, record.Failed); sync.Transient || !strings.HasPrefix(sync.Error, "check health") {
				a.t.Errorf("retry %t: %s", sync.Transient, sync.Error)
			}
		},
		"the engine fails": func(a *asked) {
			a.fails["1"] = fmt.Errorf("ask the engine: %w", deploy.ErrUnavailable)
			commit := a.release("1", configFile, checked("  checks:\n"+health))
			a.start()
			if sync := a.wantLast(commit, record.Failed); !sync.Transient {
				a.t.Errorf("held: %s", sync.Error)
			}
			a.set(func() { delete(a.fails, "1") })
			a.pass(5 * time.Minute)
			a.wantLast(commit, record.Succeeded)
		},
	})
}

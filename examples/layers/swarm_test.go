package layers_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/waitfor"
)

const (
	router   = folder + "system/docker-compose.yml"
	database = folder + "platform/docker-compose.yml"
	apps     = folder + "business/docker-compose.yml"
)

// TestLayersOnSwarm has the agent keep the three stacks of the example in sync on a real Swarm.
func TestLayersOnSwarm(t *testing.T) {
	l := newLab(t)
	first := l.commit("three layers")
	l.start()
	for _, stack := range []string{"system", "platform", "business"} {
		l.await(stack, first, record.Succeeded)
	}
	l.routed()
	l.eachLayer()
	l.middleFails()
	l.killedBetween()
	l.removed()
}

// routed checks that the routes of cfa.capital are answered through the router's port of the
// node. Of the two services only the gateway has a secret.
func (l *lab) routed() {
	l.t.Helper()
	for path, secrets := range map[string]string{"/api": "[{postgres_password}]", "/issuer": "[]", "/investor": "[]", "/admin": "[]"} {
		waitfor.NoError(l.t, patience, func() error { // the router gives a busy engine 5 s
			if got, err := l.answers("cfa.capital", path); err != nil || got != secrets {
				return fmt.Errorf("%s is answered by a service with the secrets %s, %w", path, got, err)
			}
			return nil
		})
	}
	for _, other := range [][2]string{{"cfa.capital", "/other"}, {"other.capital", "/api"}} {
		waitfor.NoError(l.t, patience, func() error {
			got, err := l.answers(other[0], other[1])
			if err == nil {
				l.t.Fatalf("%v is answered: %s", other, got)
			}
			if !strings.Contains(err.Error(), "404") {
				return err
			}
			return nil
		})
	}
}

// eachLayer changes one stack after the other: the others are not written.
func (l *lab) eachLayer() {
	l.t.Helper()
	for _, one := range []struct {
		stack, service string
		edit           [3]string
	}{
		{"system", "system_router", [3]string{router, "--ping=true", "--ping=true\n      - --accessLog=true"}},
		{"platform", "platform_postgres", [3]string{database, "POSTGRES_DB: ois", "POSTGRES_DB: ois\n      TZ: UTC"}},
		{"business", "business_pages", [3]string{apps, "pages:$TAG", "pages:$TAG\n    environment: {TITLE: second}"}},
	} {
		before := l.versions()
		commit := l.commit("change "+one.stack, one.edit)
		for _, stack := range []string{"system", "platform", "business"} {
			l.await(stack, commit, record.Succeeded)
		}
		if diff := cmp.Diff([]string{one.service}, l.changed(before)); diff != "" {
			l.t.Errorf("a change of %s wrote (-want +got):\n%s", one.stack, diff)
		}
	}
	l.routed()
}

// middleFails has a bad release of the platform hold the applications, which run on, until it is
// mended.
func (l *lab) middleFails() {
	l.t.Helper()
	before := l.versions()
	bad := l.commit("a bad database", [3]string{database, "TZ: UTC", "TZ: UTC\n      CRASH_AFTER: 10ms"}, [3]string{apps, "second", "third"})
	l.await("platform", bad, record.Failed)
	held := l.await("business", bad, record.Waiting)
	if want := "waiting for the stack platform, which failed"; !strings.Contains(held.Sync.Waiting, want) {
		l.t.Errorf("business waits: %q", held.Sync.Waiting)
	}
	if changed := l.changed(before); slices.ContainsFunc(changed, func(name string) bool { return name != "platform_postgres" }) {
		l.t.Errorf("the failure of platform wrote %v", changed)
	}
	l.routed()
	if code, text := l.run("status"); code == 0 || !strings.Contains(text, "platform") {
		l.t.Errorf("status ends with %d:\n%s", code, text)
	}
	good := l.commit("a good database", [3]string{database, "\n      CRASH_AFTER: 10ms", ""})
	l.await("business", good, record.Succeeded)
	if diff := cmp.Diff([]string{"business_pages", "platform_postgres"}, l.changed(before)); diff != "" {
		l.t.Errorf("the mended release wrote (-want +got):\n%s", diff)
	}
}

// killedBetween kills the agent before its first write to the third stack. It carries on.
func (l *lab) killedBetween() {
	l.t.Helper()
	before, dead := l.versions(), make(chan error, 1)
	l.recorder.Reset()
	l.recorder.BeforeWrite(2, func(swarmtest.Call) error { // the first is the router's
		dead <- l.process.Process.Kill()
		return errors.New("the agent was killed")
	})
	commit := l.commit("two layers", [3]string{router, "--accessLog=true", "--accessLog=false"}, [3]string{apps, "third", "fourth"})
	if err := <-dead; err != nil {
		l.t.Fatal(err)
	}
	_ = l.process.Wait()
	if diff := cmp.Diff([]string{"system_router"}, l.changed(before)); diff != "" {
		l.t.Errorf("before the kill (-want +got):\n%s", diff)
	}
	l.start()
	for _, stack := range []string{"system", "platform", "business"} {
		l.await(stack, commit, record.Succeeded)
	}
	if diff := cmp.Diff([]string{"business_pages", "system_router"}, l.changed(before)); diff != "" {
		l.t.Errorf("in all (-want +got):\n%s", diff)
	}
	var updates int
	for _, call := range l.recorder.Writes() {
		if strings.HasSuffix(call.Path, "/update") {
			updates++
		}
	}
	if updates != 3 { // one of them was lost
		l.t.Errorf("%d writes: %v", updates, l.recorder.Writes())
	}
	l.routed()
}

// removed takes the two upper stacks off the list. A user approves the removal of each. What
// another stack uses stays until that is removed, and volumes always stay.
func (l *lab) removed() {
	l.t.Helper()
	config := "environments/sandbox/config.yml"
	before := l.versions()
	off := l.commit("no database", [3]string{config, "      - name: platform\n        prune: true\n", ""}, [3]string{config, "[system, platform]", "[system]"})
	l.await("business", off, record.Succeeded)
	if _, text := l.run("status"); !strings.Contains(text, "NOT MANAGED ANY MORE") || len(l.changed(before)) > 0 {
		l.t.Errorf("after the commit %v changed; status:\n%s", l.changed(before), text)
	}
	l.approve("platform", off)
	waitfor.NoError(l.t, patience, func() error { return l.has("system_router", "business_gateway", "business_pages") })
	l.says("platform", "network data, which business_gateway uses")
	l.routed()
	off = l.commit("no applications", [3]string{config, l.entry("business"), ""})
	waitfor.NoError(l.t, patience, func() error {
		status, err := l.status("business")
		if err == nil && (status.Left == nil || status.Left.Commit != off) {
			err = errors.New("it is still on the list")
		}
		return err
	})
	l.approve("business", off)
	waitfor.NoError(l.t, patience, func() error { return l.has("system_router") })
	waitfor.NoError(l.t, patience, func() error { // what business used of platform
		if _, err := l.swarm.API.NetworkInspect(l.t.Context(), "data", network.InspectOptions{}); !errdefs.IsNotFound(err) {
			return fmt.Errorf("the network that nothing uses any more: %w", err)
		}
		return nil
	})
	if _, err := l.swarm.API.NetworkInspect(l.t.Context(), "front", network.InspectOptions{}); err != nil {
		l.t.Errorf("the network of system: %v", err)
	}
	if _, err := l.swarm.API.VolumeInspect(l.t.Context(), "platform_postgres"); err != nil {
		l.t.Errorf("the volume: %v", err)
	}
}

// entry gives the lines of a stack in config.yml.
func (l *lab) entry(stack string) string {
	content := l.files["environments/sandbox/config.yml"]
	from := strings.Index(content, "      - name: "+stack)
	return content[from : from+strings.Index(content[from:], "deployment:")-len("images: {missing: warn}\n")]
}

func (l *lab) approve(stack, commit string) {
	l.t.Helper()
	if code, text := l.run("approve", commit, "--stack", stack, "--reason", "it is not needed"); code != 0 {
		l.t.Fatalf("approve ends with %d:\n%s", code, text)
	}
}

// says checks that the audit log names what stays of a stack.
func (l *lab) says(stack, want string) {
	l.t.Helper()
	waitfor.NoError(l.t, patience, func() error {
		if _, text := l.run("audit", "log"); !strings.Contains(text, want) {
			return fmt.Errorf("the audit log does not say %q of %s:\n%s", want, stack, text)
		}
		return nil
	})
}

// has checks that these services run, and no others.
func (l *lab) has(services ...string) error {
	var names []string
	for name := range l.versions() {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Sort(services)
	if !slices.Equal(names, services) {
		return fmt.Errorf("the services are %v", names)
	}
	return nil
}

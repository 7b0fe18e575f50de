package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
)

// monitoring is what docker stack deploy runs, which no commit may touch by itself.
const monitoring = `
version: "3.8"
services:
  grafana: {image: coin-test/app:1, environment: {SERVICE_NAME: grafana}, deploy: {endpoint_mode: dnsrr}}
  prometheus: {image: coin-test/app:1, environment: {SERVICE_NAME: prometheus}, deploy: {endpoint_mode: dnsrr}}
`

// takeover is a stack that would overwrite one of its services, and remove the other.
const takeover = `
services:
  grafana:
    image: coin-test/app:$TAG
    environment: {SERVICE_NAME: grafana, STOLEN: "1"}
    deploy: {endpoint_mode: dnsrr, update_config: {monitor: 1s}}
`

// indexes gives the version index of the services of a stack: every write changes it.
func (l *lab) indexes(stack string) map[string]uint64 {
	l.t.Helper()
	services, err := l.swarm.API.ServiceList(l.t.Context(), swarm.ServiceListOptions{
		Filters: filters.NewArgs(filters.Arg("label", "com.docker.stack.namespace="+stack)),
	})
	if err != nil {
		l.t.Fatal(err)
	}
	found := map[string]uint64{}
	for _, service := range services {
		found[service.Spec.Name] = service.Version.Index
	}
	return found
}

// TestAnotherStackIsAdopted has a commit point the node at a stack that docker stack deploy
// made. Nothing of it is written until a user has seen the plan, over restarts; what ran
// still runs.
func TestAnotherStackIsAdopted(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.swarm.Image(t, imageA)
	other := l.swarm.Stack(t)
	l.swarm.Docker(t, monitoring, "stack", "deploy", "--resolve-image=never", "-c", "-", other)
	config := func(stack string) string {
		return fmt.Sprintf("environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: ctx3, stack: %s}]\n", stack)
	}
	first := l.commit("first", map[string]string{
		"environments/sandbox/config.yml": config(l.stack), node3 + "node.env": "TAG=1\n", node3 + "docker-compose.yml": takeover,
	})
	l.start()
	l.await(first, record.Succeeded)
	others, own := l.indexes(other), l.indexes(l.stack)

	second := l.commit("take over", map[string]string{"environments/sandbox/config.yml": config(other)})
	status := l.await(second, record.Waiting)
	for _, words := range []string{"config.yml names the stack " + other, "keeps the stack " + l.stack, "service " + other + "_prometheus", "`agent adopt`"} {
		if !strings.Contains(status.Sync.Waiting, words) {
			t.Errorf("it waits for %q, want %q in it", status.Sync.Waiting, words)
		}
	}
	l.kill()
	l.start()
	l.await(second, record.Waiting)
	if code, out, errs := l.command("sync", "--wait"); code != exitDifferent {
		t.Errorf("sync --wait: exit %d: %s%s", code, out, errs)
	}
	if code, out, errs := l.command("diff"); code != exitDifferent || !strings.Contains(out, "the sync will wait for `agent adopt`") {
		t.Errorf("diff: exit %d: %s%s", code, out, errs)
	}
	if diff := cmp.Diff(others, l.indexes(other)); diff != "" {
		t.Errorf("the other stack was written:\n%s", diff)
	}
	if diff := cmp.Diff(own, l.indexes(l.stack)); diff != "" {
		t.Errorf("the own stack was written:\n%s", diff)
	}

	code, out, errs := l.command("adopt")
	if code != exitUsage || !strings.Contains(out, "prometheus  (will be removed)") || !strings.Contains(out, "STOLEN") {
		t.Errorf("adopt: exit %d: %s%s", code, out, errs)
	}
	digest := regexp.MustCompile(`--plan ([0-9a-f]{10})`).FindStringSubmatch(errs)
	if digest == nil {
		t.Fatalf("the hint names no plan: %s", errs)
	}
	if code, out, errs := l.command("adopt", "--yes", "--plan", "0123456789"); code != exitError || !strings.Contains(errs, "the plan is ") {
		t.Errorf("another plan: exit %d: %s%s", code, out, errs)
	}
	l.await(second, record.Waiting)
	if code, out, errs := l.command("adopt", "--yes", "--plan", digest[1], "--reason", "the move"); code != exitDone {
		t.Fatalf("adopt: exit %d: %s%s", code, out, errs)
	}
	l.await(second, record.Succeeded)
	if names := slices.Sorted(maps.Keys(l.indexes(other))); !slices.Equal(names, []string{other + "_grafana"}) {
		t.Errorf("the adopted stack has %v", names)
	}
	l.recorder.Reset()
	if code, out, errs := l.command("sync", "--wait"); code != exitDone || len(l.recorder.Writes()) > 0 {
		t.Errorf("second sync: exit %d: %s%s, writes %v", code, out, errs, l.recorder.Writes())
	}
	l.wantAdoption("the move")
}

// wantAdoption checks the entry of the audit log about an adoption.
func (l *lab) wantAdoption(reason string) {
	l.t.Helper()
	var entries []audit.Entry
	if _, err := audit.Read(l.dir+"/state", func(entry audit.Entry) {
		if entry.Action == audit.Adopt {
			entries = append(entries, entry)
		}
	}); err != nil {
		l.t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Actor.By != audit.ByUser || !strings.Contains(entries[0].Detail, reason) {
		l.t.Errorf("the audit log has %+v", entries)
	}
}

// TestPipelineAdopts adopts what docker deployed with the first sync of a node, and nothing
// later.
func TestPipelineAdopts(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.swarm.Image(t, imageA)
	l.swarm.Docker(t, monitoring, "stack", "deploy", "--resolve-image=never", "-c", "-", l.stack)
	before := l.indexes(l.stack)
	l.commit("first", map[string]string{
		"environments/sandbox/config.yml": fmt.Sprintf("environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: ctx3, stack: %s}]\n", l.stack),
		node3 + "node.env":                "TAG=1\n", node3 + "docker-compose.yml": takeover,
	})
	if code, out, errs := l.command("sync", "--adopt"); code != exitUsage {
		t.Errorf("without --once: exit %d: %s%s", code, out, errs)
	}
	if code, out, errs := l.command("sync", "--once"); code != exitDifferent || !strings.Contains(out, "adoption is required") {
		t.Errorf("without --adopt: exit %d: %s%s", code, out, errs)
	}
	if diff := cmp.Diff(before, l.indexes(l.stack)); diff != "" {
		t.Errorf("written without --adopt:\n%s", diff)
	}
	if code, out, errs := l.command("sync", "--once", "--adopt"); code != exitDone {
		t.Fatalf("with --adopt: exit %d: %s%s", code, out, errs)
	}
	l.wantAdoption("prometheus")
	l.swarm.Docker(t, strings.Replace(monitoring, "grafana: {image", "debug: {image", 1), "stack", "deploy", "--resolve-image=never", "-c", "-", l.stack)
	l.commit("second", map[string]string{node3 + "node.env": "TAG=1\nX=2\n"})
	if code, out, errs := l.command("sync", "--once", "--adopt"); code != exitDifferent || !strings.Contains(out, l.stack+"_debug") {
		t.Errorf("a later --adopt: exit %d: %s%s", code, out, errs)
	}
}

// TestAdoptWithoutTheDaemon shows and adopts in one process what docker deployed. While the
// daemon runs, it has the state file.
func TestAdoptWithoutTheDaemon(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.swarm.Image(t, imageA)
	l.swarm.Docker(t, monitoring, "stack", "deploy", "--resolve-image=never", "-c", "-", l.stack)
	before := l.indexes(l.stack)
	first := l.commit("first", map[string]string{
		"environments/sandbox/config.yml": fmt.Sprintf("environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: ctx3, stack: %s}]\n", l.stack),
		node3 + "node.env":                "TAG=1\n", node3 + "docker-compose.yml": takeover,
	})
	code, out, errs := l.command("adopt", "--once")
	digest := regexp.MustCompile(`--plan ([0-9a-f]{10})`).FindStringSubmatch(errs)
	if code != exitUsage || !strings.Contains(out, "prometheus  (will be removed)") || digest == nil {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	if code, out, errs := l.command("adopt", "--once", "--yes", "--plan", "0123456789"); code != exitError || !strings.Contains(errs, "the plan is ") {
		t.Errorf("another plan: exit %d: %s%s", code, out, errs)
	}
	if diff := cmp.Diff(before, l.indexes(l.stack)); diff != "" {
		t.Errorf("written before the consent:\n%s", diff)
	}
	code, out, errs = l.command("adopt", "--once", "--yes", "--plan", digest[1], "--reason", "the move")
	if code != exitDone || !strings.Contains(out, "adopted: stack "+l.stack) {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	if names := slices.Sorted(maps.Keys(l.indexes(l.stack))); !slices.Equal(names, []string{l.stack + "_grafana"}) {
		t.Errorf("the adopted stack has %v", names)
	}
	l.wantAdoption("the move")
	if code, out, errs := l.command("adopt", "--once"); code != exitError || !strings.Contains(errs, "no rollout waits for adoption") {
		t.Errorf("nothing waits: exit %d: %s%s", code, out, errs)
	}
	l.start()
	l.await(first, record.Succeeded)
	if code, out, errs := l.command("adopt", "--once"); code != exitError || !strings.Contains(errs, "without --once") {
		t.Errorf("beside the daemon: exit %d: %s%s", code, out, errs)
	}
}

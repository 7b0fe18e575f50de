package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/sopstest"
)

// changed lists the services whose version index differs.
func changed(before, after map[string]uint64) []string {
	var names []string
	for name := range maps.Keys(after) {
		if before[name] != after[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestMainJob goes the way of a node's life: the first rollout, a second look
// that writes nothing, one service's new tag, a raised secret, a removed
// service, a commit that concerns nobody here.
func TestMainJob(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	other := l.swarm.Stack(t)
	l.swarm.Docker(t, "version: \"3.8\"\nservices: {neighbour: {image: "+imageA+"}}\n", "stack", "deploy", "--resolve-image=never", "-c", "-", other)
	files := l.smallRepo()
	first := l.commit("first", files)
	l.start()

	l.await(first, record.Succeeded)
	if diff := cmp.Diff([]string{"pending", "running", "success"}, l.posts(first, "success")); diff != "" {
		t.Error(diff)
	}
	tasks := l.swarm.Tasks(t, l.stack+"_migrate")
	if len(tasks) != 1 || tasks[0].Status.State != "complete" {
		t.Errorf("migrate has %d tasks, the first is %s: want one, complete", len(tasks), tasks[0].Status.State)
	}
	before := l.versions()

	l.recorder.Reset()
	if code, out, errs := l.command("sync", "--wait"); code != 0 || !strings.Contains(out, "nothing to change") {
		t.Errorf("second sync: exit %d: %s%s", code, out, errs)
	}
	if writes := l.recorder.Writes(); len(writes) > 0 {
		t.Errorf("the second sync wrote: %v", writes)
	}

	second := l.commit("web to 2", map[string]string{node3 + "node.env": l.nodeEnv("1", "TAG_WEB=2")})
	l.await(second, record.Succeeded)
	// The cron service is stopped and started around every rollout.
	if diff := cmp.Diff([]string{"cron_service", "web"}, changed(before, l.versions())); diff != "" {
		t.Error(diff)
	}
	if image := l.service("web").Spec.TaskTemplate.ContainerSpec.Image; image != imageB {
		t.Errorf("web runs %s, want %s", image, imageB)
	}
	before = l.versions()

	third := l.commit("raise db_access", map[string]string{
		node3 + "secrets.enc":          sopstest.YAML(t, l.key, map[string]string{"db_access": canaries["db_next"], "web_auth": canaries["web_auth"]}),
		node3 + "secrets.override.enc": sopstest.YAML(t, l.key, map[string]string{"SV_db_access": "2"}),
	})
	l.await(third, record.Succeeded)
	if diff := cmp.Diff([]string{"cron_service", "migrate", "web"}, changed(before, l.versions())); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"_db_access.1", "_db_access.2", "_web_auth.0"} {
		if !slices.Contains(l.secrets(), l.stack+name) {
			t.Errorf("no secret %s among %v", name, l.secrets())
		}
	}

	fourth := l.commit("remove worker", map[string]string{node3 + "docker-compose.yml": without(smallCompose, "worker")})
	l.await(fourth, record.Succeeded)
	if _, there := l.versions()["worker"]; there {
		t.Error("worker is still there")
	}
	if tasks := l.swarm.Tasks(t, other+"_neighbour"); len(tasks) == 0 {
		t.Error("the other stack's service is gone")
	}

	fifth := l.commit("elsewhere", map[string]string{"README.md": "nothing of node3"})
	status := l.await(fifth, record.Succeeded)
	if !status.Sync.Unchanged || !status.InSync {
		t.Errorf("unchanged %v, in sync %v: want both", status.Sync.Unchanged, status.InSync)
	}
	if diff := cmp.Diff([]string{"success"}, l.posts(fifth, "success")); diff != "" {
		t.Error(diff)
	}
	posts := l.gitlab.Statuses(fifth).Posts
	if text := posts[0].Description; !strings.HasPrefix(text, "unchanged") {
		t.Errorf("described as %q", text)
	}
}

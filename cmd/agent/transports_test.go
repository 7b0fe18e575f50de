package main

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/sync/gittest"
)

// tiny is a compose file with one service and nothing to wait for.
const tiny = `
services:
  worker:
    image: coin-test/app:$TAG
    environment: {SERVICE_NAME: worker}
`

// TestSSH follows a repository over ssh, with a key and pinned host keys.
func TestSSH(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	files := l.smallRepo()
	files[node3+"docker-compose.yml"] = tiny
	l.commit("first", files)
	server := gittest.SSH(t, l.repo.Root(), gittest.Options{})
	l.settings["repository"], l.settings["ssh_key_file"] = server.URL+"/repo", server.KeyFile

	l.settings["known_hosts_file"] = l.file("nobody", "")
	l.mustRun(exitError, []string{"agent: hint: "}, "sync", "--once")
	if len(l.versions()) > 0 {
		t.Fatal("an unknown host was believed")
	}
	l.settings["known_hosts_file"] = server.KnownHostsFile
	l.mustRun(exitDone, []string{"1 service, 1 network created"}, "sync", "--once")
	if _, there := l.versions()["worker"]; !there {
		t.Error("the worker is not there")
	}
}

// TestTags follows the newest tag that matches a pattern, not the branch.
func TestTags(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.settings["tag_pattern"] = `^\d{4}-\d{2}-\d{2}-[a-f0-9]{10}$`
	files := l.smallRepo()
	files[node3+"docker-compose.yml"] = tiny
	l.commit("first", files)
	l.mustRun(exitError, []string{"tag"}, "sync", "--once")

	tagged := l.repo.Head()
	l.repo.Annotate("2025-12-15-11eeef9e99")
	l.commit("not released", map[string]string{node3 + "node.env": l.nodeEnv("nowhere", "")})
	l.repo.Tag("latest")
	l.mustRun(exitDone, []string{"2025-12-15-11eeef9e99 " + tagged[:10]}, "sync", "--once")
	if states := strings.Join(l.posts(tagged, "success"), " "); states != "pending running success" {
		t.Errorf("GitLab has %s", states)
	}
	l.commit("second", map[string]string{node3 + "node.env": l.nodeEnv("2", "")})
	l.repo.Tag("2025-12-16-0123456789")
	l.mustRun(exitDone, []string{"2025-12-16-0123456789"}, "sync", "--once")
	if image := l.service("worker").Spec.TaskTemplate.ContainerSpec.Image; image != imageB {
		t.Errorf("the worker runs %s", image)
	}
}

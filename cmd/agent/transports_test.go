package main

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/sync/gittest"
)

// tiny is a compose file with one service and nothing to wait for.
const tiny = `
services:
  worker:
    image: coin-test/app:$TAG
    environment: {SERVICE_NAME: worker}
    deploy: {update_config: {monitor: 300ms}}
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
	l.wantWorker(imageB)

	// A tag with a later date on an older commit is not followed, and blocks no other tag.
	l.repo.Git("tag", "2099-01-01-eeeeeeeeee", tagged)
	refused := "tag 2099-01-01-eeeeeeeeee is not followed: its commit " + tagged[:10] + " does not descend from "
	l.mustRun(exitDone, []string{"2025-12-16-0123456789", "nothing to change"}, "sync", "--once")
	l.mustRun(exitDone, []string{refused, "no difference"}, "diff")
	l.wantWorker(imageB)
	l.commit("third", map[string]string{node3 + "node.env": l.nodeEnv("2", "X=3")})
	third := l.repo.Head()
	l.repo.Tag("2025-12-17-0123456789")
	l.mustRun(exitDone, []string{"2025-12-17-0123456789 " + third[:10]}, "sync", "--once")

	// A deleted or moved tag changes nothing that runs.
	l.repo.Git("tag", "--force", "2025-12-17-0123456789", tagged)
	l.mustRun(exitDone, []string{"2025-12-17-0123456789 " + third[:10], "nothing to change"}, "sync", "--once")
	l.repo.Git("tag", "--delete", "2025-12-17-0123456789")
	l.mustRun(exitDone, []string{"2025-12-17-0123456789 " + third[:10], "nothing to change"}, "sync", "--once")
	l.wantWorker(imageB)

	// A user can ask for any tag, and stays at it.
	l.mustRun(exitError, []string{`the remote has no tag "v1"`}, "sync", "--once", "--to", "v1")
	l.mustRun(exitDone, []string{"2025-12-15-11eeef9e99 " + tagged[:10]}, "sync", "--once", "--to", "2025-12-15-11eeef9e99")
	l.wantWorker(imageA)
	l.mustRun(exitDone, []string{"2025-12-15-11eeef9e99", "nothing to change"}, "sync", "--once")
	l.wantWorker(imageA)
	l.wantSelected(2)
}

func (l *lab) wantWorker(image string) {
	l.t.Helper()
	if got := l.service("worker").Spec.TaskTemplate.ContainerSpec.Image; got != image {
		l.t.Errorf("the worker runs %s, want %s", got, image)
	}
}

// wantSelected checks that the audit log has the requests for a tag, with their user.
func (l *lab) wantSelected(want int) {
	l.t.Helper()
	var found []audit.Entry
	if _, err := audit.Read(l.dir+"/state", func(entry audit.Entry) {
		if entry.Action == audit.Select {
			found = append(found, entry)
		}
	}); err != nil {
		l.t.Fatal(err)
	}
	if len(found) != want || found[0].Actor.By != audit.ByUser {
		l.t.Errorf("the audit log has %+v, want %d", found, want)
	}
}

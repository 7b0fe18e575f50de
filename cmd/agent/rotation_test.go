package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/waitfor"
)

// both makes the example's sandbox fit for two agents on one engine: each node
// has a stack name of its own, also before its secrets' names, and only some
// services, so that a rollout takes seconds.
func (p pair) both() map[string]string {
	p[0].t.Helper()
	files := p[0].exampleRepo()
	p[0].edit(files, "environments/sandbox/config.yml", "stack: sbxapp4", "stack: "+p[1].stack)
	const config = "environments/sandbox/config.yml" // checks are asked of services that are left
	files[config] = strings.NewReplacer("service: admin_api,", "service: admin_control_api,", "service: client_api,", "service: webhook_api,").Replace(files[config])
	named := regexp.MustCompile(`(?m)^    name: (\S+\.\$SV_)`)
	for name, content := range files {
		for _, node := range p {
			if !strings.HasPrefix(name, "environments/sandbox/nodes/"+node.settings["node"]+"/") || !strings.Contains(name, ".y") {
				continue
			}
			content = onlyServices(content, "admin_control_api", "webhook_api", "partner_api", "migrate", "cron_service", "testshop")
			files[name] = named.ReplaceAllString(quick.Replace(content), "    name: "+node.stack+"_$1")
		}
	}
	const socket = "environments/sandbox/nodes/node4/node.env"
	p[0].edit(files, socket, "DOCKER_SOCKET=/var/run/docker.sock", "DOCKER_SOCKET="+strings.TrimPrefix(p[0].swarm.Host, "unix://"))
	return files
}

// onlyServices drops the other services from a compose file.
func onlyServices(compose string, keep ...string) string {
	service := regexp.MustCompile(`^  ([A-Za-z0-9_-]+):\s*$`)
	var kept strings.Builder
	within, dropping := false, false
	for line := range strings.Lines(compose) {
		if line[0] != ' ' && line[0] != '\n' {
			within, dropping = strings.HasPrefix(line, "services:"), false
		}
		if found := service.FindStringSubmatch(line); within && found != nil {
			dropping = !slices.Contains(keep, found[1])
		}
		if !dropping {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// webhookUsers are the services that use webhook.auth, and the cron service,
// which is stopped and started around every rollout.
var webhookUsers = []string{"cron_service", "partner_api", "webhook_api"}

// rolledOut waits for a commit on both nodes and checks that only the users of
// webhook.auth have new tasks.
func (p pair) rolledOut(commit string, before []map[string][]string) {
	p.each(func(node *lab) { node.await(commit, record.Succeeded) })
	for i, node := range p {
		if diff := cmp.Diff(webhookUsers, node.restarted(before[i])); diff != "" {
			node.t.Errorf("%s restarted:\n%s", node.settings["node"], diff)
		}
	}
}

// now notes the tasks and the secrets of both nodes.
func (p pair) now() (tasks []map[string][]string, made []map[string]string) {
	p.each(func(node *lab) { tasks, made = append(tasks, node.tasks()), append(made, node.made()) })
	return tasks, made
}

// TestRotation goes the way of a secret: rotated on both nodes of the example's
// sandbox at once, merged, read by its users alone; taken back, read as before;
// collected when newer ones have come.
func TestRotation(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.exampleKey()
	nodes := pair{l, l.neighbour("node4")}
	first := l.commit("first", nodes.both())
	nodes.each(func(node *lab) { node.swarm.Image(t, imagesOf(node.rendered())...) })
	clone := l.clone()
	nodes.each(func(node *lab) { node.start() })
	nodes.each(func(node *lab) { node.await(first, record.Succeeded) })

	tasks, made := nodes.now()
	before := map[*lab]string{}
	nodes.each(func(node *lab) {
		before[node] = node.value("webhook.auth")
		node.reads("1", before[node])
	})
	var merge string
	nodes.step("rotated, not yet merged", func() {
		nodes.each(func(node *lab) { node.recorder.Reset() })
		rotation := l.rotate(clone, "webhook.auth", "--environment", "sandbox", "--generate", "32")
		if want := "security: rotate webhook.auth of sandbox (node3, node4: 1 -> 2)"; rotation.Result.Commit.Message != want {
			l.t.Errorf("the commit says %q, want %q", rotation.Result.Commit.Message, want)
		}
		nodes.each(func(node *lab) {
			node.looks(2)
			if writes := node.recorder.Writes(); len(writes) > 0 {
				node.t.Errorf("before the merge %s wrote %v", node.settings["node"], writes)
			}
			if diff := cmp.Diff(made[slices.Index(nodes, node)], node.made()); diff != "" {
				node.t.Errorf("before the merge, secrets:\n%s", diff)
			}
		})
		merge = l.merge(rotation.Result.Commit.Branch)
	})
	nodes.step("merged", func() {
		nodes.rolledOut(merge, tasks)
		nodes.each(func(node *lab) {
			value := node.value("webhook.auth")
			if len(value) != 32 || value == before[node] {
				node.t.Errorf("the generated value has %d characters", len(value))
			}
			node.reads("", value) // a generated value does not tell its version
			node.gained(made[slices.Index(nodes, node)], "webhook.auth.2")
		})
		if l.value("webhook.auth") == nodes[1].value("webhook.auth") {
			l.t.Error("the nodes had different values and now have one")
		}
	})
	nodes.step("taken back", func() {
		tasks, made = nodes.now()
		nodes.rolledOut(l.revert(merge), tasks)
		nodes.each(func(node *lab) {
			node.reads("1", before[node])
			node.gained(made[slices.Index(nodes, node)])
		})
	})
	nodes.step("rotated again", func() {
		tasks, made = nodes.now()
		value := "version: 3\nnote: written by hand\n"
		file := l.file("value", value)
		rotation := l.rotate(clone, "webhook.auth", "--environment", "sandbox", "--node", "node3", "--value-file", file)
		commit := l.merge(rotation.Result.Commit.Branch)
		l.await(commit, record.Succeeded)
		l.reads("3", value)
		l.gained(made[0], "webhook.auth.3")
		nodes[1].await(commit, record.Succeeded)
		nodes[1].reads("1", before[nodes[1]])
		if names := nodes[1].restarted(tasks[1]); len(names) > 0 {
			l.t.Errorf("node4 restarted %v", names)
		}
	})
	nodes.step("old versions go", func() {
		const config = "environments/sandbox/config.yml"
		content, err := os.ReadFile(filepath.Join(l.repo.Dir, config))
		if err != nil {
			l.t.Fatal(err)
		}
		l.commit("keep one old version", map[string]string{config: string(content) + "\nsecrets: {retention: {days: 0, versions: 1}}\n"})
		rotation := l.rotate(clone, "webhook.auth", "--environment", "sandbox", "--node", "node3", "--generate", "32")
		l.await(l.merge(rotation.Result.Commit.Branch), record.Succeeded)
		l.collected("webhook.auth.3", "webhook.auth.4")
		why := ""
		for line := range strings.Lines(l.mustRun(exitDone, nil, "secrets", "list")) {
			if strings.Contains(line, l.stack+"_webhook.auth.3 ") {
				why = line
			}
		}
		if !strings.Contains(why, "stays: previous spec of "+l.stack+"_partner_api") {
			l.t.Errorf("the list says of the previous version: %s", why)
		}
	})
}

// collected waits until only these versions of webhook.auth are left.
func (l *lab) collected(want ...string) {
	l.t.Helper()
	waitfor.NoError(l.t, patience, func() error {
		var left []string
		for name := range l.made() {
			if strings.HasPrefix(name, "webhook.auth.") {
				left = append(left, name)
			}
		}
		slices.Sort(left)
		if diff := cmp.Diff(want, left); diff != "" {
			return errors.New(diff)
		}
		return nil
	})
}

// reads checks what the users of webhook.auth see of it.
func (l *lab) reads(version, content string) {
	l.t.Helper()
	for _, service := range []string{"partner_api", "webhook_api"} {
		if told, has := l.sees(service, "webhook.auth"); told != version || has != content {
			l.t.Errorf("%s/%s tells version %q, want %q; its content is as expected: %t", l.settings["node"], service, told, version, has == content)
		}
	}
}

// gained checks which secrets there are beside those of before, which must be the
// very same.
func (l *lab) gained(before map[string]string, names ...string) {
	l.t.Helper()
	after := l.made()
	for _, name := range names {
		if _, there := after[name]; !there {
			l.t.Errorf("%s has no secret %s among %v", l.settings["node"], name, slices.Sorted(maps.Keys(after)))
		}
		delete(after, name)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		l.t.Errorf("%s, other secrets than %s:\n%s", l.settings["node"], fmt.Sprint(names), diff)
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"
	"golang.org/x/sys/unix"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/internal/waitfor"
)

// neighbour makes the lab of another node: an agent and a stack of its own, with
// the same repository and GitLab.
func (l *lab) neighbour(node string) *lab {
	l.t.Helper()
	n := newLab(l.t)
	n.joins(l, node)
	return n
}

// joins makes l the lab of another node of a repository and GitLab.
func (l *lab) joins(other *lab, node string) {
	l.repo, l.git, l.gitlab, l.key = other.repo, other.git, other.gitlab, other.key
	for _, name := range []string{"repository", "gitlab_url", "gitlab_token_file", "age_key_files"} {
		l.settings[name] = other.settings[name]
	}
	l.settings["node"] = node
}

// clone makes a working copy of the repository, as an engineer has one; GitLab
// sees the branches that are pushed.
func (l *lab) clone() string {
	l.t.Helper()
	dir := filepath.Join(l.dir, "clone")
	l.repo.Git("clone", "--quiet", l.settings["repository"], dir)
	served := l.repo.Dir
	l.gitlab.SetTips(func(branch string) string {
		out, err := exec.Command("git", "-C", served, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch).Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	})
	return dir
}

// rotation is `agent secrets rotate` in a working copy, as a process of its own.
func (l *lab) rotation(clone string, args ...string) *exec.Cmd {
	command := exec.Command(binary, append([]string{
		"secrets", "rotate", "--repo", clone, "--config", l.config(),
		"--author", "Ada Engineer <ada@coin.example>", "-o", "json",
	}, args...)...)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + l.dir}
	return command
}

// rotate rotates on a fresh master of a working copy and gives what came of it:
// a branch that is pushed, and an open merge request.
func (l *lab) rotate(clone string, args ...string) rotated {
	l.t.Helper()
	l.repo.Git("-C", clone, "switch", "--quiet", "master")
	l.repo.Git("-C", clone, "pull", "--quiet", "--ff-only")
	out, err := l.rotation(clone, args...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("agent secrets rotate %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	made, result := decode[rotated](l.t, string(out)), decode[proposed](l.t, string(out))
	merges := l.gitlab.MergeRequests()
	if last := merges[len(merges)-1]; last.SourceBranch != result.Commit.Branch || last.TargetBranch != "master" ||
		last.SHA != result.Commit.Hash || last.WebURL != result.MergeRequest || last.Title != result.Commit.Message {
		l.t.Errorf("the merge request is %+v, the rotation %+v", last, result)
	}
	made.Result = result
	return made
}

// merge merges a branch into the one that is followed, as GitLab does.
func (l *lab) merge(branch string) string {
	l.t.Helper()
	l.repo.Git("merge", "--quiet", "--no-ff", "--message", "Merge branch '"+branch+"' into 'master'", branch)
	return l.known()
}

// revert takes a merge back.
func (l *lab) revert(merge string) string {
	l.t.Helper()
	l.repo.Git("revert", "--no-edit", "--mainline", "1", merge)
	return l.known()
}

// known lets GitLab know of the commit that is checked out.
func (l *lab) known() string {
	sha := l.repo.Head()
	l.gitlab.AddCommit(sha, "master")
	return sha
}

// pair is the two nodes of an environment, each with an agent.
type pair []*lab

func (p pair) step(name string, act func()) {
	whole := p[0].t
	whole.Run(name, func(t *testing.T) {
		for _, node := range p {
			node.t = t
		}
		act()
	})
	for _, node := range p {
		node.t = whole
	}
}

// each does the same on each node, one after the other.
func (p pair) each(act func(node *lab)) {
	for _, node := range p {
		act(node)
	}
}

// restarted lists the services whose tasks are not those of before.
func (l *lab) restarted(before map[string][]string) []string {
	l.t.Helper()
	var names []string
	for name, ids := range l.tasks() {
		if !slices.Equal(before[name], ids) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// made tells when each secret of the stack was created, by its name without the
// stack's: one that was made anew has another time.
func (l *lab) made() map[string]string {
	l.t.Helper()
	list, err := l.swarm.API.SecretList(l.t.Context(), swarm.SecretListOptions{
		Filters: filters.NewArgs(filters.Arg("label", "com.docker.stack.namespace="+l.stack)),
	})
	if err != nil {
		l.t.Fatal(err)
	}
	times := map[string]string{}
	for _, secret := range list {
		times[strings.TrimPrefix(secret.Spec.Name, l.stack+"_")] = secret.ID + " of " + secret.CreatedAt.Format(time.RFC3339Nano)
	}
	return times
}

// value gives what the repository's files hold for a secret of this node.
func (l *lab) value(key string) string {
	l.t.Helper()
	wanted := &app{settings: settings.Default()}
	wanted.settings.Environment, wanted.settings.Node, wanted.settings.AgeKeyFiles = "sandbox", l.settings["node"], []string{l.settings["age_key_files"]}
	stack, err := desired.Render(l.t.Context(), os.DirFS(l.repo.Dir), wanted.nodeOptions())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, secret := range stack.Secrets {
		if secret.Key == key {
			return string(secret.Value.Reveal())
		}
	}
	l.t.Fatalf("no secret %s", key)
	return ""
}

var listenPort = regexp.MustCompile(`^LISTEN_PORTS=(\d+)`)

// sees asks the container of a service for the version of a secret that it tells
// over HTTP, and looks at the content that the container has.
func (l *lab) sees(service, secret string) (version, content string) {
	l.t.Helper()
	waitfor.NoError(l.t, patience, func() error {
		pid, port, err := l.container(service)
		if err != nil {
			return err
		}
		if version, err = reported(l.t.Context(), pid, port, secret); err != nil {
			return err
		}
		mounted, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/run/secrets/%s", pid, secret))
		content = string(mounted)
		return err
	})
	return version, content
}

// container finds the one running container of a service.
func (l *lab) container(service string) (pid int, port string, err error) {
	running, err := l.swarm.API.ContainerList(l.t.Context(), container.ListOptions{Filters: filters.NewArgs(
		filters.Arg("label", "com.docker.swarm.service.name="+l.stack+"_"+service), filters.Arg("status", "running"))})
	if err != nil {
		return 0, "", err
	}
	if len(running) != 1 {
		return 0, "", fmt.Errorf("%d containers of %s run", len(running), service)
	}
	info, err := l.swarm.API.ContainerInspect(l.t.Context(), running[0].ID)
	if err != nil {
		return 0, "", err
	}
	port = "8080"
	for _, variable := range info.Config.Env {
		if found := listenPort.FindStringSubmatch(variable); found != nil {
			port = found[1]
		}
	}
	return info.State.Pid, port, nil
}

// reported asks the demo program, in the network of its container.
func reported(ctx context.Context, pid int, port, secret string) (string, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		done := make(chan error, 1)
		go func() {
			runtime.LockOSThread() // for good: the thread is lost to that network
			space, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
			if err == nil {
				err = errors.Join(unix.Setns(int(space.Fd()), unix.CLONE_NEWNET), space.Close())
			}
			if err == nil {
				conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
			}
			done <- err
		}()
		err = <-done
		return conn, err
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+"/", http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Secrets []struct{ Name, Version string }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return "", err
	}
	for _, one := range answer.Secrets {
		if one.Name == secret {
			return one.Version, nil
		}
	}
	return "", fmt.Errorf("the container has no secret %s", secret)
}

package prepare_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/prepare"
)

// TestFaults gives an error with a hint for bad input, and nothing changes.
func TestFaults(t *testing.T) {
	next := release(replaced(original, "info", "debug"))
	for name, test := range map[string]struct {
		files   map[string]string
		before  func(*lab)
		bundle  prepare.Source
		request prepare.Request
		want    string
	}{
		"tag":                 {request: request("latest"), want: `"latest" is not the tag of a release`},
		"day":                 {request: request("2025-13-45-11eeef9e99"), want: "is not the tag of a release"},
		"tag with more":       {request: request(second + "\nTAG_X=1"), want: "is not the tag of a release"},
		"version":             {request: prepare.Request{Release: prepare.Release{Environment: "sandbox", Tag: second, Version: "25 22"}}, want: "is not the version"},
		"task":                {request: prepare.Request{Release: prepare.Release{Environment: "sandbox", Tag: second, Task: "$(id)"}}, want: "is not the number of a task"},
		"migration":           {request: prepare.Request{Release: prepare.Release{Environment: "sandbox", Tag: second, Migration: "-1"}}, want: "is not a migration ID"},
		"unknown environment": {request: prepare.Request{Release: prepare.Release{Environment: "moon", Tag: second}}, want: `environment "moon" is not in the repository`},
		"unknown node":        {request: request(second, "node9"), want: `node "node9" is not in environment sandbox`},
		"no registry": {
			files:   map[string]string{"environments/sandbox/config.yml": replaced(config, "base: {registry: registry.coin.example/coin/release}\n", "")},
			request: request(second), want: "config.yml does not say where the releases are",
		},
		"not clean":     {before: func(l *lab) { l.write(nodes+"node4/project.env", "B=2\n") }, request: request(second), want: "changes that are not committed: " + nodes + "node4/project.env"},
		"not in git":    {before: func(l *lab) { l.write(nodes+"node4/docker-compose-x.yml", "") }, request: request(second), want: "changes that are not committed"},
		"branch exists": {before: func(l *lab) { l.Git("branch", "release/sandbox/"+second) }, request: request(second), want: "exists already"},
		"no compose file": {
			bundle: source(packed(map[string]string{"deploy.sh": "x"})), request: request(second), want: "the bundle has no compose file for node node3",
		},
		"another bundle for a tag": {
			files:   map[string]string{"releases/" + second + "/docker-compose.yml": "services: {}\n"},
			request: request(second), want: "releases/" + second + "/docker-compose.yml: the release " + second + " has other content than when it was prepared first",
		},
		"link": {
			files:   map[string]string{nodes + "node4/docker-compose.yml": "-> ../node3/docker-compose.yml"},
			request: request(second), want: nodes + "node4/docker-compose.yml is a symbolic link",
		},
		"link of the kept files": {
			files:   map[string]string{"releases/" + first + "/docker-compose.yml": "", "releases": "-> environments"},
			request: request(second), want: "releases is a symbolic link",
		},
		"two on a line": {
			files:   map[string]string{nodes + "node3/node.env": "TAG=" + first + "; TAG_WEB=1\n"},
			request: request(second), want: nodes + "node3/node.env:1: a TAG_ variable shares its line",
		},
		"derived tag": {
			files:   map[string]string{nodes + "node3/node.env": "DAY=2025-12-05\nTAG=$DAY-ecacdc6c25\n"},
			request: request(second), want: "the value of TAG is not a plain text",
		},
		"file of config.yml": {
			files:   map[string]string{"environments/sandbox/config.yml": replaced(config, "coin/release}", "coin/release, release_files: [nginx.conf]}")},
			request: request(second), want: "the bundle does not have nginx.conf",
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, test.files)
			if test.before != nil {
				test.before(l)
			}
			if test.bundle == nil {
				test.bundle = next
			}
			before := l.state()
			_, err := l.prepare(test.bundle, test.request)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %s", err, test.want)
			}
			if fault.Hint(fault.All(err)[0]) == "" {
				t.Errorf("no hint: %v", err)
			}
			if after := l.state(); after != before {
				t.Errorf("changed: %s\nwas: %s", after, before)
			}
		})
	}
}

func (l *lab) write(name, content string) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.Dir, name), []byte(content), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

package settings_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/policy"
)

func TestReadYAML(t *testing.T) {
	got := settings.Default()
	err := got.ReadYAML("agent.yml", []byte(`
environment: sandbox
node: "node3"
allow_rewrite: true
interval: 1d1m30s
age_key_files: [/a, /b]
pgp_key_files: /c, /d
listen: ""
`))
	if err != nil {
		t.Fatal(err)
	}
	want := settings.Default()
	want.Environment, want.Node, want.AllowRewrite, want.Interval = "sandbox", "node3", true, 24*time.Hour+90*time.Second
	want.AgeKeyFiles, want.PGPKeyFiles, want.Listen = []string{"/a", "/b"}, []string{"/c", "/d"}, ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, field := range got.Fields() {
		if field.Name == "" || field.Help == "" || field.Env() != "COIN_AGENT_"+strings.ToUpper(field.Name) || strings.Contains(field.Flag(), "_") {
			t.Errorf("field %q: %q, %s, --%s", field.Name, field.Help, field.Env(), field.Flag())
		}
	}
}

func TestReadYAMLFaults(t *testing.T) {
	for content, want := range map[string]string{
		"nod: x":                       `agent.yml:1:1: unknown setting "nod"`,
		"a: [":                         "agent.yml:1: not valid YAML: did not find",
		"- a":                          "agent.yml:1: the settings are not a mapping",
		"node: a\nnode: b":             "agent.yml:2:1: node is set twice",
		"node: a\n---\npolicy: strict": "agent.yml:2: the file has a second YAML document",
		"node: [a]":                    "agent.yml:1:1: node does not take a list",
		"node: {a: b}":                 "agent.yml:1:1: node does not take a mapping",
		"\ninterval: 5":                `agent.yml:2:1: interval: "5" is not a valid duration`,
		"allow_rewrite: yep":           `agent.yml:1:1: allow_rewrite: "yep" is neither true nor false`,
	} {
		got := settings.Default()
		err := got.ReadYAML("agent.yml", []byte(content))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", content, err, want)
			continue
		}
		if fault.Hint(fault.All(err)[0]) == "" {
			t.Errorf("%q: no hint for %v", content, err)
		}
	}
}

func TestValidate(t *testing.T) {
	valid := settings.Default()
	valid.Environment, valid.Node, valid.Repository = "sandbox", "node3", "https://gitlab.example.com/coin/gitops.git"
	if err := valid.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(s *settings.Settings){
		"the setting node is missing":                     func(s *settings.Settings) { s.Node = "" },
		"branch and tag_pattern are both set":             func(s *settings.Settings) { s.Branch, s.TagPattern = "a", "b" },
		"interval 10ms is under one second":               func(s *settings.Settings) { s.Interval = 10 * time.Millisecond },
		"the setting gitlab_token_file is missing":        func(s *settings.Settings) { s.GitLabURL, s.GitLabProject = "https://a", "b" },
		"gitlab_url is not a valid address":               func(s *settings.Settings) { s.GitLabURL, s.GitLabProject, s.GitLabTokenFile = "a", "b", "c" },
		`audit_issue "#17" is not the number of an issue`: func(s *settings.Settings) { s.AuditIssue = "#17" },
		`audit_issue "-1" is not the number of an issue`:  func(s *settings.Settings) { s.AuditIssue = "-1" },
		"audit_issue is set, and gitlab_url is not":       func(s *settings.Settings) { s.AuditIssue = "17" },
		`"tcp://log:514" is not the address of a syslog`:  func(s *settings.Settings) { s.AuditSyslog = "tcp://log:514" },
		`listen ":9180" is not a loopback address`:        func(s *settings.Settings) { s.Listen = ":9180" },
		`socket "a.sock" cannot be used`:                  func(s *settings.Settings) { s.Socket = "a.sock" },
		"gitlab_url does not use TLS, so that others could read the token": func(s *settings.Settings) {
			s.GitLabURL, s.GitLabProject, s.GitLabTokenFile = "http://gitlab.example.com", "b", "c"
		},
	} {
		spoiled := valid
		spoil(&spoiled)
		err := spoiled.Validate()
		if all := fault.All(err); len(all) != 1 || all[0].Error() != want || fault.Hint(all[0]) == "" {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for _, address := range []string{"http://127.0.0.1:80", "http://localhost:80", "http://[::1]", "https://gitlab.example.com"} {
		with := valid
		with.GitLabURL, with.GitLabProject, with.GitLabTokenFile = address, "b", "c"
		if err := with.Validate(); err != nil {
			t.Errorf("gitlab_url %s: %v", address, err)
		}
	}
	for _, listen := range []string{"", "localhost:1", "127.0.0.2:1", "[::1]:1"} {
		valid.Listen = listen
		if err := valid.Validate(); err != nil {
			t.Errorf("listen %q: %v", listen, err)
		}
	}
	valid.Socket = "/" + strings.Repeat("a", 107)
	if err := valid.Validate(); err == nil {
		t.Error("a socket's path of 108 bytes passed")
	}
}

func FuzzReadYAML(f *testing.F) {
	for _, seed := range []string{"node: a", "age_key_files: [a, b]", "a: &a [*a]", "? [a]\n: b", "interval: 1s\ninterval: 2s", "node: !!binary x", "<<: {node: x}", "policy: {strict: true, floor: {approval: {required: true}}}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := settings.Default()
		if err := got.ReadYAML("agent.yml", data); err != nil {
			for _, one := range fault.All(err) {
				if !strings.HasPrefix(one.Error(), "agent.yml") {
					t.Errorf("no place: %v", one)
				}
			}
			return
		}
		again := settings.Default()
		if err := again.ReadYAML("agent.yml", data); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, again, cmp.Comparer(samePolicy)); diff != "" {
			t.Error(diff)
		}
	})
}

// samePolicy compares policies as they are written.
func samePolicy(a, b *policy.Policy) bool {
	if a == nil || b == nil {
		return a == b
	}
	one, oneErr := a.YAML()
	other, otherErr := b.YAML()
	return one == other && oneErr == nil && otherErr == nil
}

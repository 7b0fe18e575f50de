package settings_test

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/settings"
)

func TestStatusLink(t *testing.T) {
	for _, test := range []struct {
		page, gitlab, project string
		sync                  uint64
		want                  string
	}{
		{"https://node3.example.com:9443", "https://gitlab.example.com", "coin/coin-gitops", 12, "https://node3.example.com:9443/syncs/12"},
		{"https://node3.example.com/agent/", "", "", 12, "https://node3.example.com/agent/syncs/12"},
		{"https://node3.example.com", "", "", 0, "https://node3.example.com/"},
		{"", "https://gitlab.example.com/", "coin/coin-gitops", 12, "https://gitlab.example.com/coin/coin-gitops/-/environments/folders/sandbox"},
		{"", "https://gitlab.example.com", "7", 12, ""},
		{"", "", "", 12, ""},
	} {
		s := settings.Settings{Environment: "sandbox", PageURL: test.page, GitLabURL: test.gitlab, GitLabProject: test.project}
		if got := s.StatusLink(test.sync); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

func TestPageURL(t *testing.T) {
	for page, want := range map[string]string{
		"https://node3.example.com:9443":                "",
		"http://10.0.0.1/agent":                         "",
		"node3.example.com":                             "page_url is not an http or https address",
		"javascript:alert(1)":                           "page_url is not an http or https address",
		"https://user:pass@node3.example.com":           "page_url is not an http or https address",
		"https://node3.example.com/?a=b":                "page_url is not an http or https address",
		"https://a.example/" + strings.Repeat("x", 250): "page_url is longer than 220 characters",
	} {
		s := settings.Default()
		s.Environment, s.Node, s.Repository, s.PageURL = "sandbox", "node3", "/srv/coin.git", page
		err := s.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", page, err)
		}
	}
}

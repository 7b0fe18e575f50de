package audit_test

import (
	"testing"

	"coin.internal/coin-agent/agent/audit"
)

// Behind sudo everybody is root: who had logged in is kept beside it.
func TestLogin(t *testing.T) {
	for _, test := range []struct{ text, uid, want string }{
		{"4294967295", "0", ""},
		{"0\n", "0", ""},
		{"", "0", ""},
		{"4000000", "0", "4000000"},
		{"0", "4000000", "root"},
	} {
		if got := audit.LoginOf(test.text, test.uid); got != test.want {
			t.Errorf("%q of %s: %q, want %q", test.text, test.uid, got, test.want)
		}
	}
}

// A name says who vouches for it: the author of a commit, which is a text of the commit, never
// reads as a user of this machine. Records of older agents have names without marks.
func TestNames(t *testing.T) {
	for _, test := range []struct {
		actor audit.Actor
		want  string
	}{
		{audit.Actor{By: audit.ByUser, Name: "root", UID: "0", Login: "ada"}, "local:root (ada)"},
		{audit.Actor{By: audit.ByUser, Name: "local:root", UID: "0"}, "local:root"},
		{audit.User(4_000_000, 1<<30), "local:4000000"},
		{audit.User(0, 1<<30), "local:root"},
		{audit.Author("root"), "git:root"},
		{audit.Author("root <root@node3>"), "git:root <root@node3>"},
		{audit.Author("local:root"), "git:local:root"},
		{audit.Author("gitlab:eve"), "git:gitlab:eve"},
		{audit.Author(""), ""},
		{audit.Actor{By: audit.ByAuthor, Name: "root"}, "git:root"},
		{audit.Actor{By: audit.ByAuthor, Name: "local:root"}, "git:local:root"},
		{audit.Agent(), "agent"},
		{audit.Actor{}, "agent"},
	} {
		if got := test.actor.String(); got != test.want {
			t.Errorf("%+v: %q, want %q", test.actor, got, test.want)
		}
	}
	for _, name := range []string{"bob", "gitlab:bob"} {
		if got := audit.GitLabName(name); got != "gitlab:bob" {
			t.Errorf("%q: %q", name, got)
		}
	}
}

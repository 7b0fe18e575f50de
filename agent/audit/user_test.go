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
	actor := audit.Actor{By: audit.ByUser, Name: "root", UID: "0", Login: "ada"}
	if actor.String() != "root (ada)" {
		t.Errorf("named %q", actor)
	}
}

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/fleet"
)

// TestGroupAddresses sends the token to an address of config.yml only after a question, and drops
// no node that the user names.
func TestGroupAddresses(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	fromGit := []fleet.Member{{Name: "node4", URL: "https://elsewhere.example.com:9181"}, {Name: "node3", URL: "https://node3.example.com:9181"}, {Name: "node5"}}
	nodes, err := inEnvironment(fromGit, map[string]string{"node3": "https://own.example.com:9181"})
	if err != nil || len(nodes) != 3 || nodes[0].url != "https://own.example.com:9181" {
		t.Fatalf("got %v, %v", nodes, err)
	}
	for _, asking := range []bool{false, true} {
		var got []string
		for _, one := range members(nodes, control.Remote{TokenFile: token}, "", asking) {
			if one.Err == nil {
				got = append(got, one.Node)
			}
		}
		if want := map[bool]string{false: "node3", true: "node3 node4"}[asking]; strings.Join(got, " ") != want {
			t.Errorf("asking %t: the token goes to %v, want %s", asking, got, want)
		}
	}
	if _, err := inEnvironment(fromGit, map[string]string{"nod3": "https://own.example.com:9181"}); !errors.As(err, new(usageError)) {
		t.Errorf("a node that does not exist: %v", err)
	}
}

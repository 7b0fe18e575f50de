package main

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
)

// The records of a node with several stacks are those of the stack that the user names.
func TestStoredKey(t *testing.T) {
	opened, err := store.Open(t.TempDir(), "sandbox/node3", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close() //nolint:errcheck // only a test's
	if key, err := storedKey(&app{}, opened); err != nil || key != record.OnlyStack {
		t.Errorf("the only stack: %s, %v", key, err)
	}
	list := record.StackList{Commit: "1", Stacks: []record.ListedStack{{Key: "platform"}, {Key: "business"}}}
	if err := opened.Lists().SaveStackList(list, nil); err != nil {
		t.Fatal(err)
	}
	good := record.GoodState{Owner: "sandbox/node3"}
	if err := opened.Stack("platform").SaveOutcome(&record.Sync{State: record.Succeeded}, &good); err != nil {
		t.Fatal(err)
	}
	if key, err := storedKey(&app{stack: "business"}, opened); err != nil || key != "business" {
		t.Errorf("a named stack: %s, %v", key, err)
	}
	if _, err := storedKey(&app{}, opened); err == nil || !strings.Contains(err.Error(), "several stacks") {
		t.Errorf("none is named: %v", err)
	}
	if _, err := storedKey(&app{stack: "other"}, opened); err == nil || !strings.Contains(err.Error(), `no stack "other"`) {
		t.Errorf("an unknown one: %v", err)
	}
	if found, err := anyDeployed(opened); err != nil || found == nil || found.Owner != good.Owner {
		t.Errorf("deployed on the node: %+v, %v", found, err)
	}
}

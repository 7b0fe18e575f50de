package deploy_test

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/swarmtest"
)

// A connection that only reads sends no request that could change something, whatever is asked
// of it.
func TestConnectToRead(t *testing.T) {
	t.Parallel()
	on := swarmtest.Engine(t)
	recorder := on.Record(t)
	engine, err := deploy.ConnectToRead(recorder.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	stack := newStack(on.Stack(t))
	addSecret(stack, "db_access", "1", "canary-content")
	live, err := engine.Observe(t.Context(), stack)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := deploy.Diff(live, stack)
	if err != nil || plan.Empty() {
		t.Fatalf("planned %+v, %v", plan, err)
	}
	err = engine.Apply(t.Context(), plan, stack, deploy.ApplyOptions{})
	if err == nil || !strings.Contains(err.Error(), "the agent only observes") {
		t.Errorf("applied: %v", err)
	}
	if len(recorder.Calls()) == 0 {
		t.Error("the engine was not asked at all")
	}
	for _, call := range recorder.Calls() {
		if call.Method != "GET" && call.Method != "HEAD" {
			t.Errorf("the engine was asked to %s %s", call.Method, call.Path)
		}
	}
}

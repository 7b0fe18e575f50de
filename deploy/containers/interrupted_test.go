package containers_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/deploy/containers"
	"coin.internal/coin-agent/stackfiles"
)

// A run that ends after the files of secrets were written, or before a container has all its
// networks, is finished by the next one.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	name := l.options.Stack.Name
	const second = `version: "3.8"
services:
  base:
    image: coin/app:1
    environment: {LEVEL: info}
    stop_grace_period: 1s
  web:
    image: coin/app:1
    depends_on: [base]
    networks: [back, front]
    secrets: [db_access]
    stop_grace_period: 1s
networks: {back: {}, front: {}}
secrets: {db_access: {file: ./db_access}}
`
	l.write("docker-compose.yml", second)
	l.run()
	l.write("db_access", canary+"-another")
	l.write("docker-compose.yml", strings.Replace(second, "info", "debug", 1))
	files, err := stackfiles.Read(t.Context(), stackfiles.Flags{Stack: name, Compose: []string{"docker-compose.yml"}}, stackfiles.Options{Dir: l.dir})
	if err != nil {
		t.Fatal(err)
	}
	defer files.Wipe()
	ctx, interrupt := context.WithCancel(t.Context())
	options := l.options
	options.Stack = files.Stack
	options.Progress = func(line string) {
		if line == "removed "+name+"_base.1, which differs" {
			interrupt()
		}
	}
	if _, _, err := containers.Run(ctx, options); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Fatalf("the run ended with %v", err)
	}
	replaced := []string{"removed STACK_web.1, which differs", "started STACK_web.1"}
	if _, lines := l.run(); !slices.Equal(lines, slices.Insert(slices.Clone(replaced), 0, "started STACK_base.1")) {
		t.Errorf("after an interruption behind the files, the run did %q", lines)
	}
	if err := l.engine.API.NetworkDisconnect(t.Context(), name+"_front", l.inspect("web.1").ID, true); err != nil {
		t.Fatal(err)
	}
	if _, lines := l.run(); !slices.Equal(lines, replaced) {
		t.Errorf("without a network, the run did %q", lines)
	}
	if _, lines := l.run(); len(lines) > 0 {
		t.Errorf("the last run did %q", lines)
	}
}

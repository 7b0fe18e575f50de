package deploy_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/swarmtest"
)

// TestExec runs commands in a container of a real service.
func TestExec(t *testing.T) {
	t.Parallel()
	s := swarmtest.Engine(t)
	s.Image(t, image1)
	engine := connect(t, s.Host)
	stack := hostStack(s.Stack(t))
	add(stack, "web", func(spec *swarm.ServiceSpec) {
		listens(spec)
		spec.TaskTemplate.ContainerSpec.Env = append(spec.TaskTemplate.ContainerSpec.Env, "JOB_DELAY=5m") // of jobs run in it
	})
	rollout(t, engine, stack)
	web := stack.Name + "_web"
	for _, test := range []struct {
		name    string
		command []string
		code    int
		output  string
		fails   string
	}{
		{name: "done", command: []string{"/app", "health"}},
		{name: "exit code", command: []string{"/bin/sh", "-c", "exit 7"}, code: 7},
		{name: "what it says", command: []string{"/app", "nonsense"}, code: 2, output: "nonsense"},
		{name: "no such program", command: []string{"/nowhere"}, code: 126, output: "no such file or directory"}, // newer engines: 127
	} {
		t.Run(test.name, func(t *testing.T) {
			code, output, err := deploy.ContainersOf(engine).Exec(t.Context(), web, test.command)
			if err != nil || min(code, 126) != test.code || !strings.Contains(output, test.output) {
				t.Errorf("got %d, %q, %v; want %d, %q", code, output, err, test.code, test.output)
			}
		})
	}
	t.Run("no task", func(t *testing.T) {
		_, _, err := deploy.ContainersOf(engine).Exec(t.Context(), stack.Name+"_nobody", []string{"/app"})
		if err == nil || !strings.Contains(err.Error(), stack.Name+"_nobody") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("too slow", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, _, err := deploy.ContainersOf(engine).Exec(ctx, web, []string{"/app", "/job.sh", "migrate"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestMasksOfText(t *testing.T) {
	t.Parallel()
	stack := newStack("s")
	addSecret(stack, "db", "1", "canary/value")
	addSecret(stack, "api", "1", "canary+p@ss!w~rd ?1")
	addSecret(stack, "login", "1", "coin:canary-login")
	addSecret(stack, "settings", "1", "LEVEL=warning\nDB_PASSWORD='canary-quoted'\nDSN_X=postgres://coin:canary%40dsn@db/coin\n")
	addSecret(stack, "json", "1", `{"level": "warning", "smtp": {"password": "canary-json"}, "api_key": "canary-key"}`)
	for text, want := range map[string]string{
		"it says canary/value and password=hunter2 of x":     "it says *** and password=*** of x",
		"a query ?q=canary%2Fvalue, base64 Y2FuYXJ5L3ZhbHVl": "a query ?q=***, base64 ***",
		"in hex 63616e6172792f76616c7565":                    "in hex ***",
		"for user coin: canary-login, canary-quoted":         "for user coin: ***, ***",
		"canary@dsn or canary%40dsn":                         "*** or ***",
		"warning: canary-json, canary-key":                   "warning: ***, ***",
		"RFC 3986: canary%2Bp%40ss%21w~rd%20%3F1":            "RFC 3986: ***",
		"small: canary%2bp%40ss%21w~rd%20%3f1":               "small: ***",
		"Go: canary%2Bp%40ss%21w~rd+%3F1":                    "Go: ***",
		"Go: canary+p@ss%21w~rd%20%3F1":                      "Go: ***",
		"JavaScript: canary%2Bp%40ss!w~rd%20%3F1":            "JavaScript: ***",
		"Java: canary%2Bp%40ss%21w%7Erd+%3F1":                "Java: ***",
		"without padding Y2FuYXJ5K3BAc3Mhd35yZCA/MQ":         "without padding ***",
	} {
		if got := deploy.NewMasks(stack).Text(text); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

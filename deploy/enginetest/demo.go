package enginetest

import (
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// DemoApp makes containers do what examples/app does, as their arguments and their
// environment say: serve, run a job once, crash after CRASH_AFTER, fail a job by
// JOB_FAIL, take JOB_DELAY for it, be unhealthy with HEALTH_FAIL. So a test can use one
// stack on the simulated engine and on a real one.
func DemoApp() Trait {
	return func(b *Behaviour, spec *swarm.ContainerSpec) {
		env := map[string]string{}
		for _, entry := range spec.Env {
			name, value, _ := strings.Cut(entry, "=")
			env[name] = value
		}
		if len(spec.Args) == 2 && spec.Args[0] == "/job.sh" {
			demoJob(b, spec.Args[1], env)
			return
		}
		b.Unhealthy, b.Runs = env["HEALTH_FAIL"] != "", demoCommand
		if given := env["CRASH_AFTER"]; given != "" {
			after, err := time.ParseDuration(given)
			b.Ends, b.Exit, b.After = true, 3, after
			b.Prints = []string{"app: error: crashed on demand (CRASH_AFTER)"}
			if err != nil {
				b.Exit, b.After, b.Prints = 1, 0, []string{"app: error: read CRASH_AFTER: " + err.Error()}
			}
		}
	}
}

// demoCommand is the program's little shell.
func demoCommand(command []string) Command {
	if len(command) == 3 && command[0] == "sh" {
		if code, err := strconv.ParseUint(strings.TrimPrefix(command[2], "exit "), 10, 8); err == nil {
			return Command{Exit: int(code)}
		}
		return Command{Exit: 127, Output: "sh: this image has no shell: only exit N works\n"}
	}
	return Command{}
}

func demoJob(b *Behaviour, name string, env map[string]string) {
	b.Ends = true
	var err error
	if given := env["JOB_DELAY"]; given != "" {
		b.After, err = time.ParseDuration(given)
	}
	switch fail := env["JOB_FAIL"]; {
	case err != nil:
		b.Exit, b.Prints = 1, []string{"app: error: read JOB_DELAY: " + err.Error()}
	case fail == name || fail == "1":
		b.Exit, b.Prints = 1, []string{"app: error: job " + name + ": failed on demand (JOB_FAIL)"}
	default:
		b.Prints = []string{"job done " + name}
	}
}

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"coin.internal/coin-agent/internal/waitfor"
)

// TestCommands runs testdata/*.txt: the agent as a person types it. Each script
// finds the example repository in $EXAMPLE and its keys, private, in keys/.
func TestCommands(t *testing.T) {
	example, err := filepath.Abs(examples + "coin-gitops")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+os.Getenv("PATH"))
			env.Setenv("EXAMPLE", example)
			env.Setenv("GIT_CONFIG_GLOBAL", "/dev/null")
			return copyKeys(filepath.Join(env.WorkDir, "keys"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await},
	})
}

// copyKeys copies the example's keys: in git anybody can read them, so the agent
// would refuse them.
func copyKeys(dir string) error {
	names, err := filepath.Glob(examples + "keys/*")
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// await waits for a command to succeed: await agent status.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: await command [argument...]")
	}
	waitfor.NoError(scriptTB{ts: ts}, patience, func() error { return ts.Exec(args[0], args[1:]...) })
}

// scriptTB lets a script fail where a helper wants a test.
type scriptTB struct {
	testing.TB
	ts *testscript.TestScript
}

func (scriptTB) Helper()                             {}
func (s scriptTB) Fatalf(format string, args ...any) { s.ts.Fatalf(format, args...) }

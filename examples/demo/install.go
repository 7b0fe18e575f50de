package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

// prepare checks the machine and installs missing programs.
func (w *world) prepare(ctx context.Context) error {
	output, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if w.root = strings.TrimSpace(string(output)); err != nil || w.root == "" {
		return fault.WithHint(fmt.Errorf("this folder is not in the source of %s", module), "run `make demo` in a clone of its repository")
	}
	if os.Geteuid() != 0 {
		return fault.WithHint(errors.New("a private Docker engine needs root"), `sudo env "PATH=$PATH" make demo`)
	}
	// Debian installs dockerd in a folder that may not be in a user's PATH.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return err
	}
	missing := false
	programs := []string{"dockerd", "git"}
	for _, program := range programs {
		path, err := exec.LookPath(program)
		if err != nil {
			missing, path = true, "missing"
		}
		w.say.line("  %-8s %s", program, path)
	}
	if !missing {
		return nil
	}
	return w.say.during(ctx, "installing the missing programs from Debian's packages (scripts/need)", "", func(ctx context.Context) error {
		output, err := exec.CommandContext(ctx, filepath.Join(w.root, "scripts/need"), programs...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("install the missing programs: %w\n%s", err, output)
		}
		return nil
	})
}

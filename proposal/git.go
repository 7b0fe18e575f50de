package proposal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/visible"
)

// shownChanges is how many changed files an error lists.
const shownChanges = 5

// Git runs the git command in a folder and gives its output. An exit code other than 0 is an
// *exec.ExitError beside the output.
func Git(ctx context.Context, dir string, arguments ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, "git", arguments...)
	command.Dir = dir
	var out, said bytes.Buffer
	command.Stdout, command.Stderr = &out, &said
	err := command.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fault.WithHint(fmt.Errorf("run git: %w", err), "install git")
	}
	if err != nil {
		err = fmt.Errorf("git %s: %w: %s", arguments[0], err, visible.Line(strings.TrimSpace(said.String())))
	}
	return out.Bytes(), err
}

// Clean returns an error if a file below the folders has changes that are not committed, or is
// not in git.
func (w *Worktree) Clean(ctx context.Context, folders ...string) error {
	out, err := Git(ctx, w.Dir(), append([]string{"--no-optional-locks", "status", "--porcelain", "--untracked-files=all", "--"}, folders...)...)
	if err != nil {
		return err
	}
	changes := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	if changes[0] == "" {
		return nil
	}
	var names []string
	for _, change := range changes[:min(len(changes), shownChanges)] {
		names = append(names, visible.Line(strings.TrimSpace(change[min(3, len(change)):])))
	}
	if more := len(changes) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return fault.New(fault.Place{}, "commit or restore them first: git status", "the working copy has changes that are not committed: %s", strings.Join(names, ", "))
}

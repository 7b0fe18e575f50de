package prepare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/internal/visible"
	"coin.internal/coin-agent/proposal"
)

// shownConflict is how many lines of a conflict an error shows.
const shownConflict = 40

// version is a content with the name that it has in a conflict.
type version struct {
	name    string
	content []byte
}

// merge joins the changes of two versions since a third by git's own algorithm. It needs no
// repository. A conflict is a fault with both sides.
func merge(ctx context.Context, file string, ours, base, theirs version) ([]byte, error) {
	dir, err := written(ours, base, theirs)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary
	out, err := proposal.Git(ctx, dir, "merge-file", "--stdout", "--diff3", "-L", ours.name, "-L", base.name, "-L", theirs.name, "0", "1", "2")
	ended, exited := errors.AsType[*exec.ExitError](err)
	if exited && ended.ExitCode() > 0 && ended.ExitCode() < 128 { // the number of conflicts
		return nil, conflict(file, out)
	}
	if err != nil {
		return nil, fault.New(fault.Place{File: file}, "merge it by hand", "merge the release's file: %w", err)
	}
	return out, nil
}

// conflict gives the places that both sides have changed.
func conflict(file string, merged []byte) error {
	var shown []string
	inside, count := false, 0
	for text := range strings.Lines(string(merged)) {
		begins, ends := strings.HasPrefix(text, "<<<<<<< "), strings.HasPrefix(text, ">>>>>>> ")
		if begins {
			inside = true
			count++
		}
		if inside && len(shown) < shownConflict {
			shown = append(shown, visible.Line(strings.TrimRight(text, "\r\n")))
		}
		inside = inside && !ends
	}
	if len(shown) == shownConflict {
		shown = append(shown, "…")
	}
	return fault.New(fault.Place{File: file}, "make your change fit the release, commit it, and run the command again",
		"the release and the node both change the same lines (%s):\n%s", plural.Count(count, "conflict"), strings.Join(shown, "\n"))
}

// written writes versions as files into a folder of their own. They are files of the repository
// or of a release, and have no secrets.
func written(versions ...version) (string, error) {
	dir, err := os.MkdirTemp("", "coin-agent-merge-")
	if err != nil {
		return "", fmt.Errorf("make a folder for a merge: %w", err)
	}
	for i, one := range versions {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), one.content, 0o600); err != nil {
			return "", errors.Join(fmt.Errorf("write a file to merge: %w", err), os.RemoveAll(dir))
		}
	}
	return dir, nil
}

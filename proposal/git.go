package proposal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/go-git/go-git/v5/config"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/visible"
	"coin.internal/coin-agent/internal/worktree"
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

// settings gives the settings of git that a commit needs, by names such as user.name. git itself reads
// its configuration files, with those that they include, also in a clone of another user; on a machine
// without git, what they include does not count.
func settings(ctx context.Context, of *worktree.Worktree) map[string]string {
	all := map[string]string{}
	system, _ := config.LoadConfig(config.SystemScope)
	global, _ := config.LoadConfig(config.GlobalScope)
	local, _ := of.Repo.Config()
	for _, file := range []*config.Config{system, global, local} { // nil for one that cannot be read
		for _, name := range []string{"author.name", "author.email", "user.name", "user.email", "commit.gpgsign"} {
			section, option, _ := strings.Cut(name, ".")
			if file != nil && file.Raw.Section(section).HasOption(option) {
				all[name] = file.Raw.Section(section).Option(option)
			}
		}
	}
	out, _ := Git(ctx, of.Root, "-c", "safe.directory=*", "config", "--null", "--get-regexp", `^(author|user|commit)\.(name|email|gpgsign)$`)
	for one := range strings.SplitSeq(string(out), "\x00") {
		if name, value, assigned := strings.Cut(one, "\n"); assigned {
			all[name] = value
		} else { // a name alone is true
			all[name] = "true"
		}
	}
	return all
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

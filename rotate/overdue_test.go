package rotate_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/rotate"
)

// overdueLab has two overdue secrets on two nodes.
func overdueLab(t *testing.T) *lab {
	t.Helper()
	return newLab(t, func(_ sopstest.Key, files map[string]string) {
		files["environments/sandbox/config.yml"] = config + "secrets: {rotation_days: 90}\n"
	})
}

func overdue(names ...string) rotate.Overdue {
	return rotate.Overdue{Environment: "sandbox", Names: names, Generate: rotate.Generate{Length: 24, Charset: "hex"}, Now: time.Now()}
}

func (l *lab) branches() string {
	return strings.Join(strings.Fields(l.Git("for-each-ref", "--format=%(refname:short)", "refs/heads")), " ")
}

// TestOverdue rotates what is overdue by a commit each on one branch, also when a run was
// interrupted. A second run changes nothing.
func TestOverdue(t *testing.T) {
	for name, interrupted := range map[string]bool{"at once": false, "interrupted": true} {
		t.Run(name, func(t *testing.T) {
			l := overdueLab(t)
			want := []string{"db_access", "server.key"}
			if interrupted {
				if _, err := overdue("db_access").Run(t.Context(), l.Dir, l.keys); err != nil {
					t.Fatal(err)
				}
				want = want[1:]
			}
			batch, err := overdue().Run(t.Context(), l.Dir, l.keys)
			if err != nil || !slices.Equal(batch.Secrets, want) || batch.Commit == nil || batch.Commit.Branch != "rotate/sandbox/overdue" {
				t.Fatalf("%+v, %v", batch, err)
			}
			if len(batch.Skipped) > 0 {
				t.Errorf("skipped %q", batch.Skipped)
			}
			if got := l.branches(); got != "master rotate/sandbox/overdue" {
				t.Errorf("branches %s", got)
			}
			if subjects := l.Git("log", "--format=%s", "master..HEAD"); strings.Count(subjects, "security: rotate ") != 2 || l.Git("status", "--porcelain") != "" {
				t.Errorf("commits:\n%s", subjects)
			}
			for _, node := range []string{"node3", "node4"} {
				if value, object := l.sees(node, "db_access"); object != "db_access.4" || len(value) != 24 {
					t.Errorf("%s has %s with %d characters", node, object, len(value))
				}
			}
			head := l.Head()
			if again, err := overdue().Run(t.Context(), l.Dir, l.keys); err != nil || len(again.Secrets) > 0 || again.Commit.Hash != head {
				t.Errorf("again: %+v, %v", again, err)
			}
			l.Git("switch", "--quiet", "master")
			if _, err := overdue().Run(t.Context(), l.Dir, l.keys); err == nil || !strings.Contains(err.Error(), "rotate/sandbox/overdue has an earlier rotation") || l.branches() != "master rotate/sandbox/overdue" {
				t.Errorf("on master: %v, %s", err, l.branches())
			}
		})
	}
}

// TestOverdueKilled finishes a run that was killed while it checked out the branch of a secret, and while
// it made that of all.
func TestOverdueKilled(t *testing.T) {
	for name, test := range map[string]struct {
		kill func(l *lab, first, last string) // with the branches of the first secret's commit and of the last one's
		want []string
	}{
		"in a secret": {func(l *lab, first, _ string) {
			l.Git("switch", "--quiet", "master")
			l.Git("branch", first, "rotate/sandbox/overdue~1")
			l.Git("branch", "--quiet", "-D", "rotate/sandbox/overdue")
			l.Git("restore", "--source", first, "--worktree", "environments")
		}, []string{"server.key"}},
		"at the end": {func(l *lab, first, last string) {
			l.Git("branch", first, "HEAD~1")
			l.Git("branch", last)
			l.Git("symbolic-ref", "HEAD", "refs/heads/"+last)
		}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			l := overdueLab(t)
			if _, err := overdue().Run(t.Context(), l.Dir, l.keys); err != nil {
				t.Fatal(err)
			}
			branch := func(commit string) string {
				return l.Git("log", "-1", "--format=%(trailers:key=Rotation-Branch,valueonly,separator=)", commit)
			}
			kept := l.Git("rev-parse", "HEAD~1")
			test.kill(l, branch("HEAD~1"), branch("HEAD"))
			batch, err := overdue().Run(t.Context(), l.Dir, l.keys)
			if err != nil || !slices.Equal(batch.Secrets, test.want) || len(batch.Skipped) > 0 {
				t.Fatalf("%+v, %v", batch, err)
			}
			if got := l.branches() + l.Git("status", "--porcelain"); got != "master rotate/sandbox/overdue" || l.Git("rev-parse", "HEAD~1") != kept {
				t.Errorf("left %s\n%s", got, l.Git("log", "--oneline"))
			}
		})
	}
}

// TestOverdueLeavesOtherBranches removes no branch with commits that the batch has not, such as that of a
// secret whose name begins with "overdue-".
func TestOverdueLeavesOtherBranches(t *testing.T) {
	l := overdueLab(t)
	l.Git("branch", "rotate/sandbox/overdue-fee-7", l.Git("commit-tree", "-m", "By hand", "-p", "HEAD", "HEAD^{tree}"))
	if batch, err := overdue().Run(t.Context(), l.Dir, l.keys); err != nil || len(batch.Secrets) != 2 {
		t.Fatalf("%+v, %v", batch, err)
	}
	if got := l.branches(); got != "master rotate/sandbox/overdue rotate/sandbox/overdue-fee-7" {
		t.Errorf("branches %s", got)
	}
}

// TestNothingOverdue makes no commit and no branch.
func TestNothingOverdue(t *testing.T) {
	l := newLab(t, nil)
	batch, err := overdue().Run(t.Context(), l.Dir, l.keys)
	if err != nil || batch.Commit != nil || len(batch.Secrets)+len(batch.Skipped) > 0 || l.branches() != "master" {
		t.Errorf("%+v, %v, %s", batch, err, l.branches())
	}
}

// TestOverdueNames takes a secret by its SV_ name, and refuses names without a secret, so that a
// scheduled job does not succeed for ever without rotating anything.
func TestOverdueNames(t *testing.T) {
	l := overdueLab(t)
	_, err := overdue("db_acess", "db_access", "nothing").Run(t.Context(), l.Dir, l.keys)
	if faults := fault.All(err); len(faults) != 2 || !strings.Contains(faults[0].Error(), `a secret "db_acess"`) || !strings.Contains(fault.Hint(faults[1]), "db_access, server.key") || l.branches() != "master" {
		t.Fatalf("%q, %s", faults, l.branches())
	}
	batch, err := overdue("SV_server_key").Run(t.Context(), l.Dir, l.keys)
	if err != nil || !slices.Equal(batch.Secrets, []string{"server.key"}) {
		t.Errorf("%+v, %v", batch, err)
	}
}

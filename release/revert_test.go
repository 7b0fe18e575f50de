package release_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/worktree"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/release"
)

func (p *promotions) revert(of release.Revert) (*release.RevertPlan, error) {
	p.t.Helper()
	tree, err := worktree.Open(p.Dir)
	if err != nil {
		p.t.Fatal(err)
	}
	return of.Plan(p.t.Context(), tree, p.Head())
}

// revertTo wants a plan that takes sandbox back to the first release.
func (p *promotions) revertTo(brought string) *release.RevertPlan {
	p.t.Helper()
	plan, err := p.revert(release.Revert{Environment: "sandbox"})
	if err != nil {
		p.t.Fatal(err)
	}
	if plan.Reverts != brought || plan.Release != second || plan.Back != first {
		p.t.Errorf("got %+v, want to revert %s", plan, brought)
	}
	for _, file := range plan.Files {
		if file.After == nil && !strings.HasSuffix(file.Path, "/new.conf") {
			p.t.Errorf("%s is removed", file.Path)
		}
		if file.After == nil {
			continue
		}
		if want := p.Git("show", first40(p)+":"+file.Path); strings.TrimSpace(string(file.After)) != strings.TrimSpace(want) {
			p.t.Errorf("%s is %s, want %s", file.Path, file.After, want)
		}
	}
	return plan
}

// first40 gives the first commit.
func first40(p *promotions) string { return p.Git("rev-list", "--max-parents=0", "HEAD") }

// A plain commit is reverted, whatever came after it; so is a merge, and a squashed one.
func TestRevert(t *testing.T) {
	p := newPromotions(t, put(map[string]string{sandbox + "nodes/node3/new.conf": "new\n", "README": "of all"}))
	brought := p.Head()
	plan := p.revertTo(brought)
	if len(plan.Files) != 7 || plan.Files[1].Path != sandbox+"nodes/node3/new.conf" || plan.Files[1].After != nil {
		t.Errorf("reverts %d files, the second is %s", len(plan.Files), plan.Files[1].Path)
	}
	if diff := cmp.Diff([]string{"README"}, plan.Others); diff != "" {
		t.Errorf("others (-want +got):\n%s", diff)
	}
	p.Commit("Else", map[string]string{testing4 + "common/project.env": "LOG_LEVEL=warning\n", sandbox + "common/project.env": "LOG_LEVEL=info\nFEATURE_BETA_UI=true\n"})
	p.revertTo(brought)
}

func TestRevertOfAMerge(t *testing.T) {
	p := newPromotions(t, nil)
	p.Git("branch", "release")
	p.Git("reset", "--quiet", "--hard", "HEAD~")
	p.Git("merge", "--quiet", "--no-ff", "--no-edit", "release")
	p.revertTo(p.Head())
}

// The commit of a revert removes what the release added. A second run finds it.
func TestRevertIsCommitted(t *testing.T) {
	p := newPromotions(t, put(map[string]string{sandbox + "nodes/node3/conf/new.conf": "new\n"}))
	plan := p.revertTo(p.Head())
	tree, err := proposal.OpenWorktree(t.Context(), p.Dir)
	if err != nil {
		t.Fatal(err)
	}
	commit, err := plan.Propose(tree, "", "it fails")
	tree.Close()
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Git("diff", "--stat", first40(p), "HEAD"); got != "" {
		t.Errorf("the revert leaves\n%s", got)
	}
	if got := p.Git("status", "--porcelain"); got != "" {
		t.Errorf("the working copy is not clean:\n%s", got)
	}
	if commit.Message != `Revert "Second release"` || !strings.Contains(commit.Text, "it fails") {
		t.Errorf("got %+v", commit)
	}
	if tree, err = proposal.OpenWorktree(t.Context(), p.Dir); err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	again, err := release.Revert{Environment: "sandbox"}.TakeUp(tree)
	if err != nil || again == nil || again.Hash != commit.Hash {
		t.Errorf("got %+v, %v", again, err)
	}
	// A revert is not reverted by a second one.
	_, err = p.revert(release.Revert{Environment: "sandbox"})
	if err == nil || !strings.Contains(err.Error(), "sandbox has its release by a revert") {
		t.Error(err)
	}
	if plan, err := p.revert(release.Revert{Environment: "sandbox", Commit: p.Head()}); err != nil || plan.Back != second {
		t.Errorf("got %+v, %v", plan, err)
	}
}

// A named commit that is older than the release does not take the release back, and the text does not say
// that it does.
func TestRevertOfASetting(t *testing.T) {
	p := newPromotions(t, nil)
	p.Git("reset", "--quiet", "--hard", "HEAD~")
	p.Commit("Setting", map[string]string{sandbox + "nodes/node3/own.conf": "own\n"})
	setting := p.Head()
	p.Git("cherry-pick", "ORIG_HEAD")
	plan, err := p.revert(release.Revert{Environment: "sandbox", Commit: setting})
	if err != nil || len(plan.Files) != 1 || plan.Release != second || plan.Back != second {
		t.Fatalf("got %+v, %v", plan, err)
	}
	if text := plan.Text(""); !strings.HasPrefix(text, "This reverts commit "+setting+" in sandbox. Its release "+second+" stays.\n") {
		t.Errorf("got %s", text)
	}
}

// A link or a mode that the release changed is refused: a file in its place would have the text of
// the link. Secrets that go back are named.
func TestRevertOfLinksAndSecrets(t *testing.T) {
	p := newPromotions(t, put(map[string]string{sandbox + "nodes/node3/secrets.override.env": "SV_db_access=4\n"}))
	plan := p.revertTo(p.Head())
	if want := "- Secrets go back, too: environments/sandbox/nodes/node3/secrets.override.env\n"; !strings.Contains(plan.Text(""), want) {
		t.Errorf("the text lacks %q:\n%s", want, plan.Text(""))
	}
	for _, change := range []func(file string) error{
		func(file string) error { return errors.Join(os.Remove(file), os.Symlink("node.env", file)) },
		func(file string) error { return os.Chmod(file, 0o755) },
	} {
		p := newPromotions(t, nil)
		if err := change(filepath.Join(p.Dir, sandbox, "nodes/node3/nginx.conf")); err != nil {
			t.Fatal(err)
		}
		p.Git("commit", "--quiet", "--all", "--amend", "--no-edit")
		_, err := p.revert(release.Revert{Environment: "sandbox"})
		if err == nil || !strings.Contains(err.Error(), "nginx.conf: the commit changed a link, a module or a mode") {
			t.Error(err)
		}
	}
}

// Lines that go back next to those of a later commit are named: on the screen, in the merge request,
// and in that of a run that finishes an interrupted one.
func TestRevertBeside(t *testing.T) {
	p := newPromotions(t, nil)
	file := sandbox + "nodes/node3/docker-compose.yml"
	later := strings.Replace(p.Git("show", "HEAD:"+file), "configs: [nginx]", "configs: [nginx] # of the proxy", 1)
	p.Commit("Later", map[string]string{file: later + "\n"})
	plan, err := p.revert(release.Revert{Environment: "sandbox"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{file + ":7"}, plan.Beside); diff != "" {
		t.Errorf("beside (-want +got):\n%s", diff)
	}
	tree, err := proposal.OpenWorktree(t.Context(), p.Dir)
	if err != nil {
		t.Fatal(err)
	}
	commit, err := plan.Propose(tree, "", "")
	tree.Close()
	if err != nil {
		t.Fatal(err)
	}
	if tree, err = proposal.OpenWorktree(t.Context(), p.Dir); err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	again, err := release.Revert{Environment: "sandbox"}.TakeUp(tree)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{commit.Text, again.Body("Reverted-Release")} {
		if !strings.Contains(text, "which a later commit has changed:\n") || !strings.Contains(text, "- "+file+":7") {
			t.Errorf("the merge request does not name the line:\n%s", text)
		}
	}
}

// Lines that a later commit has changed are told, and nothing is changed.
func TestRevertConflicts(t *testing.T) {
	p := newPromotions(t, nil)
	p.Commit("Later", map[string]string{sandbox + "nodes/node3/docker-compose.yml": web("80", "512M", "serve --faster")})
	_, err := p.revert(release.Revert{Environment: "sandbox"})
	if err == nil || !strings.Contains(err.Error(), sandbox+"nodes/node3/docker-compose.yml:7: a later commit has changed the same lines") {
		t.Error(err)
	}
	p.Git("reset", "--quiet", "--hard", first40(p))
	_, err = p.revert(release.Revert{Environment: "sandbox"})
	if err == nil || !strings.Contains(err.Error(), "has no release of sandbox before "+first) {
		t.Error(err)
	}
}

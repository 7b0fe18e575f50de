package release

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/worktree"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/secrets"
)

// Revert asks for the revert of what brought an environment its present release.
type Revert struct {
	Environment string
	Commit      string // that brought it, by its full hash; "": it is searched for
}

// RevertPlan is what a revert changes.
type RevertPlan struct {
	Environment string   `json:"environment"`
	Reverts     string   `json:"reverts"` // the commit that brought the release
	Subject     string   `json:"subject"`
	Release     string   `json:"release"`
	Back        string   `json:"back"`             // the release after the revert
	Others      []string `json:"others,omitempty"` // files outside the environment that it changed too, and that stay
	Beside      []string `json:"beside,omitempty"` // lines of files that go back, next to those that a later commit has changed

	Files   []proposal.File `json:"-"`
	Changes []Change        `json:"changes"`
}

// The last lines of a revert's commit.
const (
	trailerReverted = "Reverted-Release" // "<environment> <commit>"
	trailerRevert   = "Revert-Branch"
)

// reverter makes one plan.
type reverter struct {
	asked Revert
	tree  *worktree.Worktree
	head  *object.Commit
	files []string                 // of variables, of all nodes
	known map[plumbing.Hash]string // releases, by the folder environments
}

// Plan finds the commit of the branch that brought the release, and takes back what it changed in
// the environment. It writes nothing.
func (r Revert) Plan(ctx context.Context, tree *worktree.Worktree, head string) (*RevertPlan, error) {
	commit, err := tree.Repo.CommitObject(plumbing.NewHash(head))
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", head, err)
	}
	made := &reverter{asked: r, tree: tree, head: commit, known: map[plumbing.Hash]string{}}
	if made.files, err = r.variables(snapshotOf(tree, head)); err != nil {
		return nil, err
	}
	brought, err := made.brought(ctx)
	if err != nil {
		return nil, err
	}
	subject, _, _ := strings.Cut(strings.TrimSpace(brought.Message), "\n")
	plan := &RevertPlan{Environment: r.Environment, Reverts: brought.Hash.String(), Subject: subject}
	parent, err := brought.Parent(0)
	if err != nil {
		return nil, fault.New(fault.Place{}, "make a complete clone: git fetch --unshallow", "the commit before %s is not in this clone", record.Short(plan.Reverts))
	}
	plan.Release = made.release(commit)
	if err := made.takeBack(brought, parent, plan); err != nil {
		return plan, err
	}
	top, _, err := snapshotOf(tree, head).open()
	if err != nil {
		return nil, err
	}
	plan.Back = made.releases(proposal.After(top, plan.Files))
	return plan, nil
}

// variables lists the files of variables of the environment's nodes.
func (r Revert) variables(at snapshot) (files []string, err error) {
	top, _, err := at.open()
	if err != nil {
		return nil, err
	}
	config, err := manifests.LoadConfig(top, r.Environment)
	if err != nil {
		return nil, err
	}
	for _, node := range config.Nodes {
		for _, stack := range config.StackNames(node.Name) {
			loaded, err := manifests.InspectStack(top, r.Environment, node.Name, stack)
			if loaded == nil {
				return nil, err
			}
			files = append(files, loaded.VariableFiles...)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// release gives the releases of the nodes in a commit.
func (r *reverter) release(commit *object.Commit) string {
	var folder plumbing.Hash
	if tree, err := commit.Tree(); err == nil {
		if entry, err := tree.FindEntry(r.tree.Prefix + "environments"); err == nil {
			folder = entry.Hash
		}
	}
	if release, known := r.known[folder]; known {
		return release
	}
	if top, _, err := snapshotOf(r.tree, commit.Hash.String()).open(); err == nil {
		r.known[folder] = r.releases(top)
	}
	return r.known[folder]
}

// releases joins the releases that the files of variables set in a folder.
func (r *reverter) releases(top fs.FS) string {
	var all []string
	for _, file := range r.files {
		if release := releaseIn(top, []string{file}); release != "" {
			all = append(all, release)
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// brought finds the commit of the branch since which the environment has its release.
func (r *reverter) brought(ctx context.Context) (*object.Commit, error) {
	if r.asked.Commit != "" {
		commit, err := r.tree.Repo.CommitObject(plumbing.NewHash(r.asked.Commit))
		if err != nil {
			return nil, fault.New(fault.Place{}, "give the full hash of a commit that this clone has", "there is no commit %s", r.asked.Commit)
		}
		return commit, nil
	}
	commit, present := r.head, r.release(r.head)
	for range mostCommits {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		parent, err := commit.Parent(0)
		if err != nil {
			break
		}
		if before := r.release(parent); before != present {
			if before == "" {
				break
			}
			return commit, r.notReverted(commit)
		}
		commit = parent
	}
	return nil, fault.New(fault.Place{}, "revert it by hand, or name the commit with --commit", "the history of this clone has no release of %s before %s", r.asked.Environment, present)
}

// notReverted refuses a commit that is a revert itself: to revert it brings back the release that
// was left.
func (r *reverter) notReverted(commit *object.Commit) error {
	for _, message := range messagesOf(commit) {
		if strings.HasPrefix(message, `Revert "`) || proposal.Trailers(message)[trailerReverted] != "" {
			return fault.New(fault.Place{}, "to bring back the release that was left, run the command with --commit "+commit.Hash.String(),
				"%s has its release by a revert, commit %s", r.asked.Environment, record.Short(commit.Hash.String()))
		}
	}
	return nil
}

// takeBack takes back what a commit changed in the environment. A later change of the same lines
// is a conflict.
func (r *reverter) takeBack(brought, parent *object.Commit, plan *RevertPlan) error {
	before, err := parent.Tree()
	if err != nil {
		return fmt.Errorf("read commit %s: %w", parent.Hash, err)
	}
	after, err := brought.Tree()
	if err != nil {
		return fmt.Errorf("read commit %s: %w", brought.Hash, err)
	}
	now, err := r.head.Tree()
	if err != nil {
		return fmt.Errorf("read commit %s: %w", r.head.Hash, err)
	}
	changes, err := before.Diff(after)
	if err != nil {
		return fmt.Errorf("compare commit %s with the one before: %w", brought.Hash, err)
	}
	var conflicts []error
	for _, change := range changes {
		for _, name := range slices.Compact([]string{change.From.Name, change.To.Name}) {
			within, ours := strings.CutPrefix(name, r.tree.Prefix+"environments/"+r.asked.Environment+"/")
			switch {
			case name == "":
			case !ours:
				plan.Others = append(plan.Others, name)
			default:
				file := proposal.File{Path: "environments/" + r.asked.Environment + "/" + within}
				conflicts = append(conflicts, plan.takeBack(file, name, change, [3]*object.Tree{before, after, now}))
			}
		}
	}
	if err := errors.Join(conflicts...); err != nil {
		return fault.WithHint(err, fmt.Sprintf("revert by hand: git revert -m 1 %s (without -m 1 if it is not a merge), resolve the conflicts, and open a merge request; `agent rollback --group` takes the nodes back until then", brought.Hash))
	}
	slices.Sort(plan.Beside)
	slices.Sort(plan.Others)
	plan.Others = slices.Compact(plan.Others)
	slices.SortFunc(plan.Files, func(a, b proposal.File) int { return strings.Compare(a.Path, b.Path) })
	return nil
}

// takeBack takes back what a change did to a file that has that name in the trees before it, after
// it, and now.
func (p *RevertPlan) takeBack(file proposal.File, name string, change *object.Change, trees [3]*object.Tree) error {
	err := plainChange(change, file.Path)
	var beside []int
	if err == nil {
		beside, err = takeBackFile(&file, name, trees)
	}
	for _, line := range beside {
		p.Beside = append(p.Beside, fault.Place{File: file.Path, Line: line}.String())
	}
	if string(file.Before) != string(file.After) || (file.Before == nil) != (file.After == nil) {
		p.Files = append(p.Files, file)
		p.Changes = append(p.Changes, Change{file.Path, file.Diff()})
	}
	return err
}

// plainChange refuses what a file's content does not say: links, modules, and another mode.
func plainChange(change *object.Change, file string) error {
	before, after := change.From.TreeEntry.Mode, change.To.TreeEntry.Mode
	fits := func(mode filemode.FileMode) bool { return mode == filemode.Empty || mode == filemode.Regular }
	if fits(before) && fits(after) || after == filemode.Executable && (before == filemode.Empty || before == after) {
		return nil
	}
	return fault.New(fault.Place{File: file}, "", "the commit changed a link, a module or a mode")
}

// takeBackFile gives a file as it is now and as it is without the commit, and the lines that are next
// to those of a later commit. The trees are those before and after the commit, and the present one.
func takeBackFile(file *proposal.File, name string, trees [3]*object.Tree) (beside []int, err error) {
	var contents [3][]byte
	for i, tree := range trees {
		if contents[i], err = blob(tree, name); err != nil {
			return nil, err
		}
	}
	before, after, now := contents[0], contents[1], contents[2]
	file.Before, file.After = now, now
	same := func(a, b []byte) bool { return string(a) == string(b) && (a == nil) == (b == nil) }
	switch {
	case same(now, before):
	case same(now, after):
		file.After = before
	case before == nil || after == nil || now == nil || secrets.Encrypted(secrets.File{Path: file.Path, Data: now}, false):
		return nil, fault.New(fault.Place{File: file.Path}, "", "the file has changed since")
	default:
		merged, conflicts := proposal.Merge(string(after), string(now), string(before))
		if len(conflicts) > 0 {
			return nil, fault.New(fault.Place{File: file.Path, Line: conflicts[0].Line}, "", "a later commit has changed the same lines (%d such places)", len(conflicts))
		}
		file.After = []byte(merged)
		return proposal.Beside(merged, string(now), string(before)), nil
	}
	return nil, nil
}

// blob gives the content of a file in a tree; nil without one.
func blob(tree *object.Tree, name string) ([]byte, error) {
	file, err := tree.File(name)
	if errors.Is(err, object.ErrFileNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	content, err := file.Contents()
	return []byte(content), err
}

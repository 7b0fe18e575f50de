package rotate

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"coin.internal/coin-agent/internal/fault"
)

// Commit is the commit of a rotation, on a branch of its own, which is checked out.
type Commit struct {
	Hash    string `json:"commit"`
	Branch  string `json:"branch"`
	Message string `json:"message"` // its first line

	// Taken is set if an earlier run made the commit: it was interrupted, or could not
	// open the merge request.
	Taken bool `json:"taken_up"`

	// Unsigned is set if git is configured to sign commits: this one is not signed.
	Unsigned bool `json:"unsigned,omitempty"`

	body  string
	nodes []string
}

// Commit writes the plan's files, commits them on a new branch and checks it out. If one
// step fails, nothing has changed.
func (w *Worktree) Commit(plan *Plan, request Request) (*Commit, error) {
	branch := cmp.Or(request.Branch, plan.branch())
	name := plumbing.NewBranchReferenceName(branch)
	if err := name.Validate(); err != nil {
		return nil, fault.New(fault.Place{}, "name another with --branch", "%q is not a valid branch name", branch)
	}
	if _, err := w.git.Repo.Reference(name, false); err == nil {
		return nil, fault.New(fault.Place{}, "merge it, delete it (git branch -D "+branch+"), or name another with --branch", "the branch %s exists already", branch)
	}
	author, err := w.author(request.Author)
	if err != nil {
		return nil, err
	}
	if err := w.checkClean(plan.Files); err != nil {
		return nil, err
	}
	message := plan.message(branch, request)
	made, err := w.store(plan.Files, author, message)
	if err != nil {
		return nil, fmt.Errorf("make the commit: %w", err)
	}
	// From here on, the next run finishes an interrupted one.
	if err := w.git.Repo.Storer.SetReference(plumbing.NewHashReference(name, made)); err != nil {
		return nil, fmt.Errorf("make the branch %s: %w", branch, err)
	}
	if err := w.checkout(plan.Files, name); err != nil {
		return nil, errors.Join(err, w.git.Repo.Storer.RemoveReference(name))
	}
	return w.describe(made, branch, message, false, ""), nil
}

func (w *Worktree) describe(hash plumbing.Hash, branch, message string, taken bool, signature string) *Commit {
	subject, body, _ := strings.Cut(message, "\n")
	body, _, _ = strings.Cut(strings.TrimSpace(body), "\n\n"+trailerSecret+": ")
	return &Commit{
		nodes: strings.Fields(trailersOf(message)[trailerNodes]),
		Hash:  hash.String(), Branch: branch, Message: subject, Taken: taken,
		Unsigned: signature == "" && w.wantsSignature(), body: body,
	}
}

// branch gives the default name of the branch.
func (p *Plan) branch() string {
	version := ""
	for _, node := range p.Nodes {
		for _, one := range node.Versions {
			if one.New == auto && len(node.Secrets) > 0 {
				one.New = node.Secrets[0].New[strings.LastIndex(node.Secrets[0].New, ".")+1:]
			}
			if len(one.New) > len(version) || len(one.New) == len(version) && one.New > version {
				version = one.New
			}
		}
	}
	part := func(text string) string {
		return strings.Trim(regexp.MustCompile(`[^A-Za-z0-9_-]+`).ReplaceAllString(text, "-"), "-")
	}
	return "rotate/" + part(p.Environment) + "/" + part(p.Secret) + "-" + part(version)
}

// message gives the commit message. A later run finds the commit by the last lines.
func (p *Plan) message(branch string, request Request) string {
	var steps []string
	nodes := map[string][]string{}
	var all []string
	for _, node := range p.Nodes {
		all = append(all, node.Name)
		var parts []string
		for _, version := range node.Versions {
			step := version.Old + " -> " + version.New
			if version.New == auto {
				step = auto
			}
			parts = append(parts, step)
		}
		step := strings.Join(slices.Compact(parts), ", ")
		if nodes[step] == nil {
			steps = append(steps, step)
		}
		nodes[step] = append(nodes[step], node.Name)
	}
	for i, step := range steps {
		steps[i] = names(nodes[step]) + ": " + step
	}
	text := fmt.Sprintf("security: rotate %s of %s (%s)\n\n", p.Secret, p.Environment, strings.Join(steps, "; "))
	for _, node := range p.Nodes {
		for _, object := range node.Secrets {
			text += fmt.Sprintf("- %s: %s -> %s\n", node.Name, object.Old, object.New)
		}
	}
	text += fmt.Sprintf("\n%s: %s/%s\n%s: %s\n", trailerSecret, p.Environment, request.Name, trailerNodes, strings.Join(all, " "))
	if only := slices.Sorted(slices.Values(request.Nodes)); len(only) > 0 {
		text += fmt.Sprintf("%s: %s\n", trailerOnly, strings.Join(slices.Compact(only), " "))
	}
	return text + fmt.Sprintf("%s: %s\n", trailerBranch, branch)
}

// store writes blobs, trees and the commit. No ref points to them yet.
func (w *Worktree) store(files []File, author object.Signature, message string) (plumbing.Hash, error) {
	tree := w.commit.TreeHash
	for _, file := range files {
		blob := &plumbing.MemoryObject{}
		blob.SetType(plumbing.BlobObject)
		if _, err := blob.Write(file.After); err != nil {
			return plumbing.ZeroHash, err
		}
		hash, err := w.git.Repo.Storer.SetEncodedObject(blob)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		if tree, err = graft(w.git.Repo, tree, w.git.Prefix+file.Path, hash); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	return encode(w.git.Repo, &object.Commit{
		Author: author, Committer: author, Message: message, TreeHash: tree, ParentHashes: []plumbing.Hash{w.head.Hash()},
	})
}

// graft writes a tree with one file replaced or added.
func graft(repo *git.Repository, tree plumbing.Hash, path string, blob plumbing.Hash) (plumbing.Hash, error) {
	read, err := repo.TreeObject(tree)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("read the folder of %s: %w", path, err)
	}
	name, rest, nested := strings.Cut(path, "/")
	entries := slices.Clone(read.Entries)
	at := slices.IndexFunc(entries, func(e object.TreeEntry) bool { return e.Name == name })
	if at < 0 {
		at = len(entries)
		entries = append(entries, object.TreeEntry{Name: name, Mode: filemode.Regular})
	}
	if nested {
		if blob, err = graft(repo, entries[at].Hash, rest, blob); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	entries[at].Hash = blob
	sort.Sort(object.TreeEntrySorter(entries))
	return encode(repo, &object.Tree{Entries: entries})
}

func encode(repo *git.Repository, what object.Object) (plumbing.Hash, error) {
	stored := repo.Storer.NewEncodedObject()
	if err := what.Encode(stored); err != nil {
		return plumbing.ZeroHash, err
	}
	return repo.Storer.SetEncodedObject(stored)
}

var authorForm = regexp.MustCompile(`^\s*([^<>]*[^<>\s])\s*<([^<>\s]+)>\s*$`)

// author gives the requested author, else that of git's configuration files. It does not
// read environment variables.
func (w *Worktree) author(asked string) (object.Signature, error) {
	signature := object.Signature{When: time.Now()}
	if asked != "" {
		found := authorForm.FindStringSubmatch(asked)
		if found == nil {
			return signature, fault.New(fault.Place{}, `write it as "Ada Engineer <ada@coin.example>"`, "--author is not a name with a mail address")
		}
		signature.Name, signature.Email = found[1], found[2]
		return signature, nil
	}
	options := git.CommitOptions{}
	err := options.Validate(w.git.Repo)
	if errors.Is(err, git.ErrMissingAuthor) {
		return signature, fault.New(fault.Place{}, `run: git config user.name "Your Name" && git config user.email you@example.com; or add --author`,
			"git's configuration does not have a user.name and a user.email")
	}
	if err != nil {
		return signature, fault.WithHint(fmt.Errorf("read git's configuration: %w", err), "add --author \"Your Name <you@example.com>\"")
	}
	return *options.Author, nil
}

// wantsSignature reports whether git is configured to sign commits here.
func (w *Worktree) wantsSignature() bool {
	system, _ := config.LoadConfig(config.SystemScope)
	global, _ := config.LoadConfig(config.GlobalScope)
	local, _ := w.git.Repo.Config()
	wanted := ""
	for _, settings := range []*config.Config{system, global, local} { // nil for one that cannot be read
		if settings != nil && settings.Raw.Section("commit").HasOption("gpgsign") {
			wanted = settings.Raw.Section("commit").Option("gpgsign")
		}
	}
	return slices.Contains([]string{"true", "yes", "on", "1"}, strings.ToLower(wanted))
}

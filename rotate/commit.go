package rotate

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"coin.internal/coin-agent/internal/fault"
)

// Commit is the commit of a rotation, on a branch of its own that is checked out.
type Commit struct {
	Hash    string `json:"commit"`
	Branch  string `json:"branch"`
	Message string `json:"message"` // its first line

	// Taken tells that the commit was there already: an earlier run was
	// interrupted, or could not open the merge request.
	Taken bool `json:"taken_up"`

	// Unsigned tells that git's configuration asks for signed commits, which
	// this one is not.
	Unsigned bool `json:"unsigned,omitempty"`

	body  string
	nodes []string
}

// Commit writes the plan's files and commits them on a new branch, which it
// leaves checked out. Either all of this happens or nothing has changed.
func (w *Worktree) Commit(plan *Plan, request Request) (*Commit, error) {
	branch := request.Branch
	if branch == "" {
		branch = plan.branch()
	}
	name := plumbing.NewBranchReferenceName(branch)
	if err := name.Validate(); err != nil {
		return nil, fault.New(fault.Place{}, "choose another with --branch", "%q is no name of a branch", branch)
	}
	if _, err := w.Repo.Reference(name, false); err == nil {
		return nil, fault.New(fault.Place{}, "merge it, or delete it (git branch -D "+branch+"), or choose another name with --branch", "the branch %s is there already", branch)
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
	// From here on an interrupted run is taken up by the next.
	if err := w.Repo.Storer.SetReference(plumbing.NewHashReference(name, made)); err != nil {
		return nil, fmt.Errorf("make the branch %s: %w", branch, err)
	}
	if err := w.checkout(plan.Files, name); err != nil {
		return nil, errors.Join(err, w.Repo.Storer.RemoveReference(name))
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

// branch names the branch of a rotation.
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

// message is the commit's, in the words of the team's own rotations. Its last
// lines let a later run find it.
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

// store writes blobs, trees and the commit; no ref leads to them yet.
func (w *Worktree) store(files []File, author object.Signature, message string) (plumbing.Hash, error) {
	blobs := map[string]plumbing.Hash{}
	for _, file := range files {
		blob := w.Repo.Storer.NewEncodedObject()
		blob.SetType(plumbing.BlobObject)
		writer, err := blob.Writer()
		if err == nil {
			_, err = writer.Write(file.After)
			err = errors.Join(err, writer.Close())
		}
		if err != nil {
			return plumbing.ZeroHash, err
		}
		if blobs[w.Prefix+file.Path], err = w.Repo.Storer.SetEncodedObject(blob); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	root, err := w.tree(w.head.Hash())
	if err != nil {
		return plumbing.ZeroHash, err
	}
	tree, err := w.graft(root, blobs)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return w.encode(&object.Commit{
		Author: author, Committer: author, Message: message, TreeHash: tree, ParentHashes: []plumbing.Hash{w.head.Hash()},
	})
}

// graft gives a tree with some blobs replaced or added, by path.
func (w *Worktree) graft(tree *object.Tree, blobs map[string]plumbing.Hash) (plumbing.Hash, error) {
	entries := slices.Clone(tree.Entries)
	at := func(name string) *object.TreeEntry {
		for i := range entries {
			if entries[i].Name == name {
				return &entries[i]
			}
		}
		entries = append(entries, object.TreeEntry{Name: name, Mode: filemode.Regular})
		return &entries[len(entries)-1]
	}
	below := map[string]map[string]plumbing.Hash{}
	for path, hash := range blobs {
		first, rest, nested := strings.Cut(path, "/")
		if !nested {
			at(first).Hash = hash
			continue
		}
		if below[first] == nil {
			below[first] = map[string]plumbing.Hash{}
		}
		below[first][rest] = hash
	}
	for name, blobs := range below {
		sub, err := tree.Tree(name)
		if err != nil {
			return plumbing.ZeroHash, fmt.Errorf("read folder %s: %w", name, err)
		}
		hash, err := w.graft(sub, blobs)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		at(name).Hash = hash
	}
	slices.SortFunc(entries, func(a, b object.TreeEntry) int { return strings.Compare(sortName(a), sortName(b)) })
	return w.encode(&object.Tree{Entries: entries})
}

// sortName is the name by which git orders the entries of a tree.
func sortName(entry object.TreeEntry) string {
	if entry.Mode == filemode.Dir {
		return entry.Name + "/"
	}
	return entry.Name
}

func (w *Worktree) encode(what interface {
	Encode(plumbing.EncodedObject) error
},
) (plumbing.Hash, error) {
	stored := w.Repo.Storer.NewEncodedObject()
	if err := what.Encode(stored); err != nil {
		return plumbing.ZeroHash, err
	}
	return w.Repo.Storer.SetEncodedObject(stored)
}

var authorForm = regexp.MustCompile(`^\s*([^<>]*[^<>\s])\s*<([^<>\s]+)>\s*$`)

// author is who commits: as asked for, else as git's configuration files say.
// Environment variables are not consulted.
func (w *Worktree) author(asked string) (object.Signature, error) {
	signature := object.Signature{When: time.Now()}
	if asked != "" {
		found := authorForm.FindStringSubmatch(asked)
		if found == nil {
			return signature, fault.New(fault.Place{}, `write it as "Ada Engineer <ada@coin.example>"`, "--author is no name with an address")
		}
		signature.Name, signature.Email = found[1], found[2]
		return signature, nil
	}
	settings, err := w.Repo.ConfigScoped(config.SystemScope)
	if err != nil {
		return signature, fault.WithHint(fmt.Errorf("read git's configuration: %w", err), "name the author with --author")
	}
	signature.Name, signature.Email = settings.User.Name, settings.User.Email
	if settings.Author.Name != "" {
		signature.Name = settings.Author.Name
	}
	if settings.Author.Email != "" {
		signature.Email = settings.Author.Email
	}
	if signature.Name == "" || signature.Email == "" {
		return signature, fault.New(fault.Place{}, `run: git config user.name "Your Name" and git config user.email you@example.com, or give --author`,
			"git's configuration does not say who commits (user.name, user.email)")
	}
	return signature, nil
}

// wantsSignature tells whether git would sign commits here.
func (w *Worktree) wantsSignature() bool {
	wanted := ""
	for _, scope := range []config.Scope{config.SystemScope, config.GlobalScope} {
		if settings, err := config.LoadConfig(scope); err == nil {
			wanted = latest(settings, wanted)
		}
	}
	if settings, err := w.Repo.Config(); err == nil {
		wanted = latest(settings, wanted)
	}
	return slices.Contains([]string{"true", "yes", "on", "1"}, strings.ToLower(wanted))
}

func latest(settings *config.Config, before string) string {
	if section := settings.Raw.Section("commit"); section.HasOption("gpgsign") {
		return section.Option("gpgsign")
	}
	return before
}

package release

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/worktree"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/secrets"
)

// Promotion asks that an environment gets the release of the one before it.
type Promotion struct {
	From, To string

	Answers []Answer // for settings that To lacks
	Leave   []string // settings that To does not need
	Files   []string // compose files that To lacks and gets, by their base names
	Replace []string // files that To gets as From has them, without To's own lines, by their base names
}

// Answer is the value of a setting that an environment lacks.
type Answer struct {
	Node        string // "" for each node that lacks it, or for the whole environment
	Name, Value string
}

// PromotionPlan is what a promotion changes, and what people should know of it.
type PromotionPlan struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Commit  string `json:"commit"` // whose files it moves
	Release string `json:"release"`
	Nodes   []Pair `json:"nodes"`

	Files   []proposal.File `json:"-"` // sorted by path
	Changes []Change        `json:"changes"`

	Lacking   []Lacking  `json:"lacking,omitempty"`   // settings, without an answer
	Left      []string   `json:"left,omitempty"`      // settings that To does not need
	Secrets   []Missing  `json:"secrets,omitempty"`   // that To lacks
	Flags     []Differs  `json:"flags,omitempty"`     // feature flags that differ
	Resources []Resource `json:"resources,omitempty"` // of services, where they differ
	Dropped   []Dropped  `json:"dropped,omitempty"`   // releases of single services
	LeftOut   []string   `json:"left_out,omitempty"`  // compose files of From that To lacks
	Beside    []string   `json:"beside,omitempty"`    // lines of files that move, next to those that To has changed
	Problems  []string   `json:"problems,omitempty"`  // that agent check would find in To

	config *manifests.Config // of To
}

// Change is the difference of a file.
type Change struct {
	File string `json:"file"`
	Diff string `json:"diff"`
}

// Lacking is a setting that From has and To lacks.
type Lacking struct {
	Node  string `json:"node,omitempty"` // "" for the whole environment
	Name  string `json:"name"`
	Value string `json:"value,omitempty"` // in From; "" where it looks like a secret
	Of    string `json:"of"`              // the file of From that sets it
	File  string `json:"file"`            // that would set it

	secret bool // its value is not shown
	shell  bool // the file is one of variables, in shell syntax
}

// newLacking keeps the value of a setting, unless it looks like a secret: the place says where it
// stands.
func newLacking(name, value, of string) Lacking {
	if secrets.Suspicious(name, value) {
		return Lacking{Name: name, Of: of, secret: true}
	}
	return Lacking{Name: name, Value: value, Of: of}
}

// Shown gives the value for people.
func (l Lacking) Shown() string {
	if l.secret {
		return "not shown (it looks like a secret)"
	}
	return strconv.Quote(l.Value)
}

// Missing is a secret that a node lacks.
type Missing struct {
	Node string `json:"node"`
	Name string `json:"name"`
}

// Dropped is a service's own release that the promotion ends.
type Dropped struct {
	Node string `json:"node"`
	Name string `json:"name"` // TAG_<service>
	Tag  string `json:"tag"`
}

// CheckOrder refuses a promotion that skips an environment or goes back.
func (p Promotion) CheckOrder() error {
	if slices.Contains(Steps(), p.From+" "+p.To) {
		return nil
	}
	all := Steps()
	for i, one := range all {
		all[i] = "agent release promote " + one
	}
	return fault.New(fault.Place{}, "the promotions are: "+strings.Join(all, "; "), "a release does not move from %s to %s", p.From, p.To)
}

// promoter makes one plan.
type promoter struct {
	asked Promotion
	tree  *worktree.Worktree
	from  *manifests.Config // of From
	at    snapshot
	edits *proposal.Edits
	plan  *PromotionPlan
	files map[string]bool // the base names of the files that can move

	faults   []error
	answered map[Answer]bool
}

// Plan compares the two environments as a commit has them, given by its full hash. It writes
// nothing.
func (p Promotion) Plan(ctx context.Context, tree *worktree.Worktree, commit string) (*PromotionPlan, error) {
	if err := p.CheckOrder(); err != nil {
		return nil, err
	}
	made := &promoter{asked: p, tree: tree, at: snapshotOf(tree, commit), files: map[string]bool{}, answered: map[Answer]bool{}}
	made.plan = &PromotionPlan{From: p.From, To: p.To, Commit: made.at.commit}
	fsys, _, err := made.at.open()
	if err != nil {
		return nil, err
	}
	made.edits = proposal.NewEdits(fsys)
	from, err := manifests.LoadConfig(fsys, p.From)
	if err != nil {
		return nil, err
	}
	if made.plan.config, err = manifests.LoadConfig(fsys, p.To); err != nil {
		return nil, err
	}
	if made.plan.Nodes, err = pairs(from, made.plan.config); err != nil {
		return nil, err
	}
	made.from = from
	for _, pair := range made.plan.Nodes {
		stacks, err := made.stacks(pair)
		if err != nil {
			return nil, err
		}
		for _, stack := range stacks {
			if err := made.node(ctx, pair, stack); err != nil {
				return nil, err
			}
		}
	}
	return made.plan, made.finish(fsys)
}

// stacks lists the stacks of a node that move, and notes those that do not: only one of the two
// nodes lists them.
func (p *promoter) stacks(pair Pair) ([]string, error) {
	if p.from.Layered(pair.From) != p.plan.config.Layered(pair.To) {
		return nil, fault.New(p.plan.config.Place("nodes"), "list stacks for both or for none", "only one of %s of %s and %s of %s lists stacks", pair.From, p.asked.From, pair.To, p.asked.To)
	}
	theirs := p.from.StackNames(pair.From)
	var names []string
	for _, stack := range p.plan.config.StackNames(pair.To) {
		if slices.Contains(theirs, stack) {
			names = append(names, stack)
		}
	}
	for _, stack := range theirs {
		if !slices.Contains(names, stack) {
			p.plan.LeftOut = append(p.plan.LeftOut, "the stack "+stack+" of "+pair.From)
		}
	}
	return names, nil
}

// sides opens what a stack is on both nodes of a pair.
func (p *promoter) sides(pair Pair, stack string) (from, to *side, err error) {
	if from, err = p.at.openSide(stackOf{p.asked.From, pair.From, stack}, true); err != nil {
		return nil, nil, err
	}
	to, err = p.at.openSide(stackOf{p.asked.To, pair.To, stack}, false)
	return from, to, err
}

// node moves what one stack of a node gets.
func (p *promoter) node(ctx context.Context, pair Pair, stack string) error {
	from, to, err := p.sides(pair, stack)
	if err != nil {
		return err
	}
	release := from.node.Variables["TAG"].Value
	switch {
	case release == "":
		return fault.New(fault.Place{File: from.node.Dir}, "set TAG in its node.env", "%s has no release: TAG is not set", pair.From)
	case p.plan.Release != "" && p.plan.Release != release:
		return fault.New(from.node.Variables["TAG"].Place, "give all nodes of "+p.asked.From+" the same TAG first", "the nodes of %s have different releases: %s and %s", p.asked.From, p.plan.Release, release)
	}
	p.plan.Release = release
	p.variables(from, to)
	if err := p.composeFiles(ctx, from, to); err != nil {
		return err
	}
	return p.settings(from, to)
}

// finish makes the list of files, and looks at what they give.
func (p *promoter) finish(fsys fs.ReadLinkFS) error {
	files, err := p.edits.Files()
	if err := errors.Join(append(p.faults, err)...); err != nil {
		return err
	}
	p.plan.Files = files
	for _, file := range files {
		p.plan.Changes = append(p.plan.Changes, Change{file.Path, file.Diff()})
	}
	slices.SortFunc(p.plan.Lacking, func(a, b Lacking) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Name, b.Name)) })
	p.plan.Lacking = slices.Compact(p.plan.Lacking)
	after := proposal.After(fsys, files)
	for _, pair := range p.plan.Nodes {
		if err := p.look(after, pair); err != nil {
			return err
		}
	}
	scanned, err := scan(fsys, after, p.asked.To, files)
	if err != nil {
		return err
	}
	p.plan.problems(scanned)
	p.plan.Beside = compact(p.plan.Beside)
	slices.Sort(p.plan.LeftOut)
	p.plan.LeftOut = slices.Compact(p.plan.LeftOut)
	p.plan.Dropped = compact(p.plan.Dropped)
	p.plan.Flags, p.plan.Secrets = compact(p.plan.Flags), compact(p.plan.Secrets)
	slices.Sort(p.plan.Problems)
	p.plan.Problems = slices.Compact(p.plan.Problems)
	return p.unused()
}

// change changes a file. What is wrong with it, finish says.
func (p *promoter) change(file string, by func(before []byte) ([]byte, error)) {
	p.faults = append(p.faults, p.edits.Change(file, by))
}

// look finds out what a node has after the promotion.
func (p *promoter) look(after fs.FS, pair Pair) error {
	stacks, err := p.stacks(pair)
	if err != nil {
		return err
	}
	for _, stack := range stacks {
		from, before, err := p.sides(pair, stack)
		if err != nil {
			return err
		}
		then, err := inspectSide(after, stackOf{p.asked.To, pair.To, stack}, nil)
		if then == nil {
			return err
		}
		p.plan.compare(from, before, then)
	}
	for _, checked := range desired.Check(after, p.asked.To, pair.To, desired.Judged{}) {
		p.plan.problems(checked)
	}
	return nil
}

// compact removes what is listed again, as stacks of a node share files.
func compact[T comparable](all []T) []T {
	seen := map[T]bool{}
	return slices.DeleteFunc(all, func(one T) bool {
		again := seen[one]
		seen[one] = true
		return again
	})
}

// unused refuses answers to what is not asked.
func (p *promoter) unused() error {
	for _, name := range slices.Concat(p.asked.Files, p.asked.Replace) {
		if !p.files[name] {
			return fault.New(fault.Place{}, "name one of these: "+strings.Join(sorted(p.files), ", "), "no node of %s gets a file %q from %s", p.asked.To, name, p.asked.From)
		}
	}
	for _, answer := range p.asked.Answers {
		if !p.answered[answer] {
			return fault.New(fault.Place{}, "leave it out: --set answers settings that "+p.asked.From+" has and "+p.asked.To+" lacks", "%s does not lack the setting %s", cmp.Or(answer.Node, p.asked.To), answer.Name)
		}
	}
	return nil
}

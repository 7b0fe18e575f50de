package release

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/worktree"
	"coin.internal/coin-agent/launchdarkly"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/proposal"
)

// Flags asks that an environment's feature flags are as a provider has them.
type Flags struct {
	Environment string
	Provider    string // such as launchdarkly
	Project     string
	Values      []launchdarkly.Flag
}

// FlagPlan is what changes, and which flags of the provider do not count.
type FlagPlan struct {
	Environment string    `json:"environment"`
	Changed     []Changed `json:"changed"`
	Refused     []Refused `json:"refused,omitempty"`

	Files   []proposal.File `json:"-"`
	Changes []Change        `json:"changes"`

	of     Flags
	commit string
	edits  *proposal.Edits
	faults []error
}

// Changed is a flag that gets another value in a file.
type Changed struct {
	Name string `json:"name"`
	File string `json:"file"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Refused is a flag of the environment that keeps its value, and why.
type Refused struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// flagVariable names the variable of a flag: new-checkout is FEATURE_NEW_CHECKOUT.
func flagVariable(key string) string {
	return featurePrefix + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(key))
}

// Plan compares the flags that the environment's files set with those of the provider. A flag
// that no file sets is of no concern here. It writes nothing.
func (f Flags) Plan(tree *worktree.Worktree, commit string) (*FlagPlan, error) {
	at := snapshotOf(tree, commit)
	fsys, _, err := at.open()
	if err != nil {
		return nil, err
	}
	config, err := manifests.LoadConfig(fsys, f.Environment)
	if err != nil {
		return nil, err
	}
	plan := &FlagPlan{Environment: f.Environment, Changed: []Changed{}, of: f, commit: commit, edits: proposal.NewEdits(fsys)}
	wanted, refused := map[string]string{}, map[string]string{}
	for _, flag := range f.Values {
		name := flagVariable(flag.Key)
		_, twice := wanted[name]
		if _, before := refused[name]; twice || before {
			delete(wanted, name)
			refused[name] = "two flags of the provider are this variable, one is " + flag.Key
			continue
		}
		if flag.Refused != "" {
			refused[name] = flag.Refused
		} else {
			wanted[name] = strconv.FormatBool(flag.On)
		}
	}
	plan.configFlags(config, wanted, refused)
	files, err := f.settingFiles(at, config)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		plan.settings(fsys, file, wanted, refused)
	}
	plan.Files, err = plan.edits.Files()
	if err := errors.Join(append(plan.faults, err)...); err != nil {
		return nil, err
	}
	for _, file := range plan.Files {
		plan.Changes = append(plan.Changes, Change{file.Path, file.Diff()})
	}
	plan.Refused = compact(plan.Refused)
	return plan, nil
}

// settingFiles lists the files of the environment that set settings and variables, sorted.
func (f Flags) settingFiles(at snapshot, config *manifests.Config) (files []string, err error) {
	for _, node := range config.Nodes {
		for _, stack := range config.StackNames(node.Name) {
			one, err := at.openSide(stackOf{f.Environment, node.Name, stack}, false)
			if err != nil {
				return nil, err
			}
			files = append(files, slices.Concat(one.files.settings, one.files.variables)...)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// settings sets the flags of a file of settings or variables. In both a flag is NAME=true.
func (p *FlagPlan) settings(fsys fs.FS, file string, wanted, refused map[string]string) {
	content, _ := fs.ReadFile(fsys, file) // without the file it sets none
	for i, line := range proposal.Lines(string(content)) {
		text := strings.TrimSpace(line)
		name, value, assigned := strings.Cut(strings.TrimPrefix(text, "export "), "=")
		if !assigned || strings.HasPrefix(text, "#") || !strings.HasPrefix(name, featurePrefix) {
			continue
		}
		bare := strings.Trim(value, `"'`)
		to, known := wanted[name]
		switch why := refused[name]; {
		case why != "":
			p.Refused = append(p.Refused, Refused{name, why})
		case !known || bare == to:
		case bare != "true" && bare != "false":
			p.Refused = append(p.Refused, Refused{name, fmt.Sprintf("%s:%d: its value %q is neither true nor false", file, i+1, value)})
		default:
			p.Changed = append(p.Changed, Changed{name, file, bare, to})
			p.faults = append(p.faults, p.edits.Change(file, func(before []byte) ([]byte, error) {
				all := proposal.Lines(string(before))
				at := strings.LastIndex(all[i], bare)
				all[i] = all[i][:at] + to + all[i][at+len(bare):]
				return []byte(strings.Join(all, "")), nil
			}))
		}
	}
}

// configFlags sets the flags of feature_flags in config.yml, each at its place.
func (p *FlagPlan) configFlags(config *manifests.Config, wanted, refused map[string]string) {
	file := manifests.ConfigFile(p.Environment)
	flags := sorted(config.Deployment.FeatureFlags)
	slices.SortStableFunc(flags, func(a, b string) int { // those of one line from the last one, so that earlier places stay valid
		return config.Place("deployment.feature_flags."+b).Column - config.Place("deployment.feature_flags."+a).Column
	})
	for _, flag := range flags {
		if flag == "all" {
			continue
		}
		name, present := flagVariable(flag), strconv.FormatBool(config.Deployment.FeatureFlags[flag])
		if why := refused[name]; why != "" {
			p.Refused = append(p.Refused, Refused{name, why})
		}
		to, known := wanted[name]
		if !known || to == present {
			continue
		}
		place := config.Place("deployment.feature_flags." + flag)
		p.Changed = append(p.Changed, Changed{name, file, present, to})
		p.faults = append(p.faults, p.edits.Change(file, func(before []byte) ([]byte, error) {
			all := proposal.Lines(string(before))
			if place.Line > 0 && place.Line <= len(all) {
				line, at := all[place.Line-1], place.Column-1
				if at >= 0 && at+len(present) <= len(line) && strings.EqualFold(line[at:at+len(present)], present) {
					all[place.Line-1] = line[:at] + to + line[at+len(present):]
					return []byte(strings.Join(all, "")), nil
				}
			}
			return nil, fault.New(place, "write each flag on a line of its own, as "+path.Base(flag)+": "+present, "the flag %s cannot be changed in place", flag)
		}))
	}
}

// The last lines of the commit.
const (
	trailerFlags       = "Flags-Of" // "<environment> <provider> <project>"
	trailerFlagsBranch = "Flags-Branch"
)

// Branches begins the names of the branches.
func (f Flags) Branches() string { return "flags/" + f.Environment + "/" + f.Provider + "-" }

func (f Flags) of() string { return f.Environment + " " + f.Provider + " " + f.Project }

// TakeUp finds the commit of an earlier run; nil if there is none.
func (f Flags) TakeUp(w *proposal.Worktree) (*proposal.Commit, error) {
	commit, err := w.TakeUp(proposal.Wanted{
		What: "the feature flags of " + f.Environment,
		Matches: func(message, branch string) bool {
			trailers := proposal.Trailers(message)
			return trailers[trailerFlags] == f.of() && trailers[trailerFlagsBranch] == branch
		},
	})
	if commit != nil {
		commit.Text = commit.Body(trailerFlags)
	}
	return commit, err
}

// Propose commits the changes, on a branch of its own.
func (p *FlagPlan) Propose(w *proposal.Worktree, author string) (*proposal.Commit, error) {
	branch := p.of.Branches() + record.Short(p.commit)
	text := fmt.Sprintf("config: set feature flags of %s as %s has them\n\n", p.Environment, p.of.Provider)
	for _, one := range p.Changed {
		text += fmt.Sprintf("- %s: %s -> %s (%s)\n", one.Name, one.From, one.To, one.File)
	}
	text += fmt.Sprintf("\n%s: %s\n%s: %s\n", trailerFlags, p.of.of(), trailerFlagsBranch, branch)
	commit, err := w.Commit(proposal.Draft{Files: p.Files, Branch: branch, Message: text, Author: author})
	if err != nil {
		return nil, err
	}
	commit.Text = p.text()
	return commit, nil
}

// text describes the changes in the merge request.
func (p *FlagPlan) text() string {
	text := fmt.Sprintf("Feature flags of %s, as project %s of %s has them.\n\n## Changes\n\n", p.Environment, report.Escape(p.of.Project), p.of.Provider)
	for _, one := range p.Changed {
		text += fmt.Sprintf("- %s: %s → %s (%s)\n", report.Escape(one.Name), one.From, one.To, report.Escape(one.File))
	}
	if len(p.Refused) > 0 {
		text += "\n## Not set\n\n"
	}
	for _, one := range p.Refused {
		text += fmt.Sprintf("- %s: %s\n", report.Escape(one.Name), report.Escape(one.Why))
	}
	return text
}

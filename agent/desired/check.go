package desired

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/policy"
	"coin.internal/coin-agent/secrets"
)

// Checked is what Check found about one node.
type Checked struct {
	Environment string    `json:"environment"`
	Node        string    `json:"node"`
	Stack       string    `json:"stack,omitempty"` // of a node with several
	Services    int       `json:"services"`
	Secrets     int       `json:"secrets"`
	Files       int       `json:"files,omitempty"` // searched for secrets in the clear
	Problems    []Problem `json:"problems,omitempty"`
	Warnings    []Problem `json:"warnings,omitempty"`

	Elsewhere int `json:"listed_elsewhere,omitempty"` // problems that other results have

	idle    []Problem // entries of config.yml that name no service of this node, or are over
	partial bool      // its services are not all known
	claims  compose.Claimant
}

// Problem is one fault or warning of a check.
type Problem struct {
	Place   fault.Place `json:"place"`
	Message string      `json:"message"`
	Hint    string      `json:"hint,omitempty"`
	Code    fault.Code  `json:"code,omitempty"` // its class
}

// CheckConfig validates an environment's config.yml, and lists its nodes as far as it can
// be read.
func CheckConfig(fsys fs.FS, environment string) (Checked, []string) {
	config, err := manifests.InspectConfig(fsys, environment)
	checked := Checked{Environment: environment}
	var names []string
	if config != nil {
		err = errors.Join(err, config.Review())
		for _, node := range config.Nodes {
			if node.Name != "" && !slices.Contains(names, node.Name) {
				names = append(names, node.Name)
			}
		}
	}
	checked.Problems = problems(err)
	return checked, names
}

// Judged says how a node is judged beside its files.
type Judged struct {
	Rules *policy.Policy                              // where the node's credentials may go
	Obeys func(*manifests.Node, *compose.Stack) error // looks at what a stack without problems renders to; nil for nothing
}

// Check validates the stacks of one node without an engine and without keys. It finds the
// problems and warnings of all stages and files, and what the managers would refuse: what a stage
// cannot know because of an earlier problem, it leaves out. There is one result for each stack.
func Check(fsys fs.FS, environment, name string, by Judged) []Checked {
	var stacks []string
	if config, _ := manifests.InspectConfig(fsys, environment); config != nil {
		stacks = config.StackNames(name)
	}
	if len(stacks) == 0 { // config.yml, or its list, has faults
		stacks = []string{""}
	}
	looks := make([]*look, len(stacks))
	for i, stack := range stacks {
		looks[i] = lookAt(fsys, Checked{Environment: environment, Node: name, Stack: stack}, by.Rules)
	}
	settle(looks)
	var results []Checked
	for _, one := range looks {
		results = append(results, one.finish(by).Without(results).withoutWarnings(results))
	}
	return results
}

// look is what a check finds about one stack.
type look struct {
	checked   Checked
	node      *manifests.Node // nil if it cannot be read
	stack     *compose.Stack
	stages    [][]Problem
	loose     []loose
	mentioned func(variable string) bool // by its files; nil if not all of them are known
}

func (l *look) add(err error) { l.stages = append(l.stages, problems(err)) }

func lookAt(fsys fs.FS, checked Checked, rules *policy.Policy) *look {
	l := &look{checked: checked}
	node, err := manifests.InspectStack(fsys, checked.Environment, checked.Node, checked.Stack)
	l.node = node
	l.add(err)
	if node == nil {
		return l
	}
	l.add(node.Config.Review())
	known := !slices.ContainsFunc(l.stages[0], func(p Problem) bool {
		return path.Base(p.Place.File) == overrideFile || slices.Contains(node.VariableFiles, p.Place.File)
	})
	wrong := map[fault.Place]bool{}
	for _, one := range l.stages[0] {
		wrong[fault.Place{File: one.Place.File, Line: one.Place.Line}] = true
	}
	maps.DeleteFunc(node.Variables, func(_ string, v manifests.Variable) bool { // their values are not known
		return wrong[fault.Place{File: v.Place.File, Line: v.Place.Line}]
	})
	files, err := ReadSecretFiles(node)
	l.add(err)
	set, err := secrets.Inspect(files, secretOptions(node))
	l.add(err)
	defer set.Wipe()
	l.add(checkSecrets(node, set))
	l.add(Bounds{Policy: rules}.judge(node, true))
	node.Stack = cmp.Or(node.Stack, "stack") // without it, each service's name would be a problem
	l.stack, err = compose.Inspect(node, set, known)
	l.add(err)
	if err := node.CheckTag(node.Variables["TAG"].Value); err != nil && known {
		l.add(err)
	}
	l.checked.Warnings = problems(joined(l.stack.Warnings))
	if l.checked.partial = l.stack.Mentioned == nil; !l.checked.partial {
		l.add(CheckServices(node, l.stack))
		l.loose, l.mentioned = unmentioned(node, set, l.stack)
	}
	l.checked.claims = compose.Claimant{Stack: named(node), Claims: l.stack.Claims()}
	return l
}

// finish gives the result.
func (l *look) finish(by Judged) Checked {
	checked, node, stack := l.checked, l.node, l.stack
	if node == nil {
		checked.Problems = merged(l.stages)
		return checked
	}
	for _, one := range l.loose {
		if one.typo {
			l.add(one.fault)
		} else {
			checked.Warnings = append(checked.Warnings, problem(one.fault))
		}
	}
	if checked.Problems = merged(l.stages); len(checked.Problems) == 0 {
		err := deploy.Unacceptable(stack)
		if by.Obeys != nil {
			err = errors.Join(err, by.Obeys(node, stack))
		}
		checked.Problems = problems(err)
	}
	checked.Services, checked.Secrets = len(stack.Services), len(stack.Secrets)
	if !node.Alone() { // else the stack's warnings have them
		for _, warning := range node.Config.Idle(stack.Short()) {
			checked.idle = append(checked.idle, problem(warning))
		}
	}
	for _, warning := range node.Config.OverIgnores(time.Now()) {
		checked.idle = append(checked.idle, problem(warning))
	}
	return checked
}

// merged joins the problems of stages. Of what has no line, the earliest stage has seen most.
func merged(stages [][]Problem) []Problem {
	var all []Problem
	seen := map[fault.Place]bool{}
	for _, stage := range stages {
		before := len(all)
		for _, one := range stage {
			if !seen[one.Place] || one.Place.Line > 0 {
				all = append(all, one)
			}
		}
		for _, one := range all[before:] {
			seen[one.Place] = true
		}
	}
	return all
}

// overrideFile sets variables over those of the node's VariableFiles.
const overrideFile = "secrets.override.env"

func joined(all []*fault.Error) error {
	var errs []error
	for _, one := range all {
		errs = append(errs, one)
	}
	return errors.Join(errs...)
}

// Name names the result: its environment, with its node and stack if it has them.
func (c Checked) Name() string {
	name := c.Environment
	for _, part := range []string{c.Node, c.Stack} {
		if part != "" {
			name += "/" + part
		}
	}
	return name
}

// Sorted gives the result with its problems and warnings sorted by place.
func (c Checked) Sorted() Checked {
	for _, all := range [][]Problem{c.Problems, c.Warnings} {
		slices.SortStableFunc(all, func(a, b Problem) int {
			return cmp.Or(strings.Compare(a.Place.File, b.Place.File), a.Place.Line-b.Place.Line, a.Place.Column-b.Place.Column, strings.Compare(a.Message, b.Message))
		})
	}
	return c
}

// WarnIdle warns, at the first of an environment's nodes, of the entries of config.yml that
// name no service of any of them, or are over.
func WarnIdle(nodes []Checked) {
	for i, node := range nodes {
		if node.partial || node.Services == 0 && len(node.Problems) > 0 {
			return // its services are not known
		}
		if i > 0 {
			idle := map[Problem]bool{}
			for _, one := range node.idle {
				idle[Problem{Place: one.Place, Message: one.Message}] = true // hints name services
			}
			nodes[0].idle = slices.DeleteFunc(nodes[0].idle, func(p Problem) bool { return !idle[Problem{Place: p.Place, Message: p.Message}] })
		}
	}
	if len(nodes) > 0 {
		nodes[0].Warnings = append(nodes[0].Warnings, nodes[0].idle...)
	}
}

func problems(err error) []Problem {
	var all []Problem
	for _, one := range fault.All(err) {
		all = append(all, problem(one))
	}
	return all
}

func problem(err error) Problem {
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Error() == err.Error() {
		return Problem{Place: f.Place, Message: f.Message, Hint: fault.Hint(err), Code: cmp.Or(fault.CodeOf(err), fault.CodeFiles)}
	}
	return Problem{Message: err.Error(), Hint: fault.Hint(err), Code: cmp.Or(fault.CodeOf(err), fault.CodeFiles)}
}

package desired

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// Checked is what Check found about one node.
type Checked struct {
	Environment string    `json:"environment"`
	Node        string    `json:"node"`
	Services    int       `json:"services"`
	Secrets     int       `json:"secrets"`
	Files       int       `json:"files,omitempty"` // searched for secrets in the clear
	Problems    []Problem `json:"problems,omitempty"`
	Warnings    []Problem `json:"warnings,omitempty"`

	Elsewhere int `json:"listed_elsewhere,omitempty"` // problems that other results have

	idleWaves []Problem // entries of deployment.waves that name no service of this node
	partial   bool      // its services are not all known
}

// Problem is one fault or warning of a check.
type Problem struct {
	Place   fault.Place `json:"place"`
	Message string      `json:"message"`
	Hint    string      `json:"hint,omitempty"`
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

// Check validates one node without an engine and without keys. It finds the problems and
// warnings of all stages and files: what a stage cannot know because of an earlier
// problem, it leaves out.
func Check(fsys fs.FS, environment, name string) Checked {
	checked := Checked{Environment: environment, Node: name}
	node, err := manifests.Inspect(fsys, environment, name)
	if node == nil {
		checked.Problems = problems(err)
		return checked
	}
	stages := [][]Problem{problems(err), problems(node.Config.Review())}
	add := func(err error) { stages = append(stages, problems(err)) }
	known := !slices.ContainsFunc(stages[0], func(p Problem) bool { return slices.Contains(variableFiles, path.Base(p.Place.File)) })
	maps.DeleteFunc(node.Variables, func(_ string, v manifests.Variable) bool { // their values are not known
		return slices.ContainsFunc(stages[0], func(p Problem) bool { return p.Place.File == v.Place.File && p.Place.Line == v.Place.Line })
	})
	files, err := ReadSecretFiles(node)
	add(err)
	set, err := secrets.Inspect(files, secrets.Options{AllowPlaintext: node.Config.AllowPlaintextSecrets})
	add(err)
	defer set.Wipe()
	add(checkSecrets(node, set))
	node.Stack = cmp.Or(node.Stack, "stack") // without it, each service's name would be a problem
	stack, err := compose.Inspect(node, set, known)
	add(err)
	if wrong := node.CheckTag(node.Variables["TAG"].Value); wrong != nil && known {
		add(wrong)
	}
	checked.Warnings = problems(joined(stack.Warnings))
	if checked.partial = stack.Mentioned == nil; !checked.partial {
		add(CheckServices(node, stack))
		likely, unlikely := unmentioned(node, set, stack)
		add(likely)
		checked.Warnings = append(checked.Warnings, problems(unlikely)...)
	}
	for _, stage := range stages {
		before := checked.Problems
		for _, one := range stage { // an earlier stage has seen more of it
			if !slices.ContainsFunc(before, func(p Problem) bool { return p.Place == one.Place }) || one.Place.Line > 0 {
				checked.Problems = append(checked.Problems, one)
			}
		}
	}
	checked.Services, checked.Secrets = len(stack.Services), len(stack.Secrets)
	if len(node.Config.Nodes) > 1 { // else the stack's warnings have them
		for _, warning := range node.Config.IdleWaves(stack.Short()) {
			checked.idleWaves = append(checked.idleWaves, problem(warning))
		}
	}
	return checked
}

// variableFiles are the files that set variables.
var variableFiles = []string{"node.env", "secrets.override.env"}

func joined(all []*fault.Error) error {
	var errs []error
	for _, one := range all {
		errs = append(errs, one)
	}
	return errors.Join(errs...)
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

// WarnIdleWaves warns, at the first of an environment's nodes, of the entries of
// deployment.waves that name no service of any of them.
func WarnIdleWaves(nodes []Checked) {
	for i, node := range nodes {
		if node.partial || node.Services == 0 && len(node.Problems) > 0 {
			return // its services are not known
		}
		if i > 0 {
			nodes[0].idleWaves = slices.DeleteFunc(nodes[0].idleWaves, func(p Problem) bool { return !slices.Contains(node.idleWaves, p) })
		}
	}
	if len(nodes) > 0 {
		nodes[0].Warnings = append(nodes[0].Warnings, nodes[0].idleWaves...)
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
		return Problem{Place: f.Place, Message: f.Message, Hint: fault.Hint(err)}
	}
	return Problem{Message: err.Error(), Hint: fault.Hint(err)}
}

package desired

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
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

	idle []Problem // entries of config.yml that name no service of this node, or are over
}

// Problem is one fault or warning of a check.
type Problem struct {
	Place   fault.Place `json:"place"`
	Message string      `json:"message"`
	Hint    string      `json:"hint,omitempty"`
}

// Check validates one node without an engine and without keys.
func Check(fsys fs.FS, environment, name string) Checked {
	checked := Checked{Environment: environment, Node: name}
	state, err := Open(fsys, Options{Environment: environment, Node: name})
	if err != nil {
		checked.Problems = problems(err)
		return checked
	}
	defer state.Wipe()
	node := state.Node
	stack, err := compose.Render(node, state.Secrets, compose.Options{AllowSealed: true})
	if err == nil {
		err = CheckServices(node, stack)
	}
	if err != nil {
		checked.Problems = problems(err)
		return checked
	}
	checked.Services, checked.Secrets = len(stack.Services), len(stack.Secrets)
	for _, warning := range stack.Warnings {
		checked.Warnings = append(checked.Warnings, problem(warning))
	}
	if len(node.Config.Nodes) > 1 { // else the stack's warnings have them
		for _, warning := range node.Config.Idle(stack.Short()) {
			checked.idle = append(checked.idle, problem(warning))
		}
	}
	for _, warning := range node.Config.OverIgnores(time.Now()) {
		checked.idle = append(checked.idle, problem(warning))
	}
	return checked
}

// WarnIdle warns, at the first of an environment's nodes, of the entries of config.yml that
// name no service of any of them, or are over.
func WarnIdle(nodes []Checked) {
	for i, node := range nodes {
		if len(node.Problems) > 0 {
			return // its services are not known
		}
		if i > 0 {
			nodes[0].idle = slices.DeleteFunc(nodes[0].idle, func(p Problem) bool {
				same := func(other Problem) bool { return other.Place == p.Place && other.Message == p.Message } // hints name services
				return !slices.ContainsFunc(node.idle, same)
			})
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
		return Problem{Place: f.Place, Message: f.Message, Hint: fault.Hint(err)}
	}
	return Problem{Message: err.Error(), Hint: fault.Hint(err)}
}

// Unreadable is the result for an environment whose nodes cannot be listed.
func Unreadable(environment string, err error) Checked {
	return Checked{Environment: environment, Problems: problems(err)}
}
